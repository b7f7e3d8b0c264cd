"""One of several processes that train together: `python -m gansaku.api_rank REQUEST`, started by `gansaku.launch`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from gansaku import api, processes
from gansaku.errors import GansakuError
from gansaku.launch import FAILED
from gansaku.listener import Listener
from gansaku.recipe import from_toml
from gansaku.recipes import registry
from gansaku.runs.live import Scoring
from gansaku.terminal import Terminal


def carry_out(request: dict[str, Any]) -> None:
    """Take part in the training that `api.train` was asked for."""
    for file in request["use"]:
        registry.use(Path(file))
    registry.recipes()  # so that parts are known by name
    given = dict(request)
    stored, name, loud = given.pop("stored"), given.pop("name"), given.pop("loud")
    if stored is not None:
        given["recipe"] = from_toml(stored).but(name=name)
    given["scoring"] = Scoring(**given["scoring"])
    api.train(**given, listener=Terminal() if loud and processes.rank() == 0 else Listener())


def main(arguments: list[str]) -> int:
    try:
        carry_out(json.loads(arguments[0]))
    except GansakuError as error:
        told = {"kind": type(error).__name__, "where": error.where, "sentence": error.sentence, "code": error.code}
        print(FAILED + json.dumps(told), flush=True)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
