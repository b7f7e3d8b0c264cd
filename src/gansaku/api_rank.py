"""One of several processes that train together: `python -m gansaku.api_rank REQUEST`, started by `gansaku.launch`."""

# ruff: noqa: E402
from __future__ import annotations

import signal

signal.signal(signal.SIGINT, signal.SIG_DFL)  # until somebody listens: the imports take seconds, and leave no traceback

import json
import sys
import time
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
    until, begins_with = given.pop("until"), given["begins_with"]
    given["budget"] = None if until is None else until - time.time()
    given["begins_with"] = begins_with and api.load(begins_with[0], at=begins_with[1])
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
