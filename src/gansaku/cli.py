"""The command line: one function per command, each one call into the api.

`gansaku --help` and `gansaku COMMAND --help` import no torch; results go to standard output, all else to standard error.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any

import tyro

from gansaku import __version__
from gansaku.cli_compare import compare
from gansaku.cli_data import prepare, show
from gansaku.cli_latent import directions, project
from gansaku.cli_recipes import recipes, verify
from gansaku.cli_scores import blind, evaluate, probe, scores, weights
from gansaku.cli_values import (
    Flag,
    Json,
    Positional,
    Text,
    Texts,
    Use,
    listed,
    repeated,
    seconds,
    setting,
    share,
    size,
)
from gansaku.cli_view import view
from gansaku.errors import GansakuError, UsageError, nearest, printable
from gansaku.listener import Listener
from gansaku.runs.interrupts import NOTHING, listening
from gansaku.terminal import Terminal, print_json, table


def train(
    recipe: Annotated[str | None, Positional, Flag(metavar="RECIPE", help_behavior_hint="")] = None,
    /,
    *,
    data: Annotated[Text, Flag(metavar="SOURCE")] = None,
    run: Annotated[Text, Flag(metavar="FOLDER")] = None,
    set_: Annotated[Texts, Flag(name="set", metavar="PATH=VALUE", help_behavior_hint="")] = (),
    size_: Annotated[Text, Flag(name="size", metavar="SIDE|WxH")] = None,
    budget: Annotated[Text, Flag(metavar="TIME")] = None,
    non_finite: Annotated[str, Flag(metavar="stop|rollback")] = "stop",
    allow: Annotated[bool, Flag(help_behavior_hint="")] = False,
    max_bad: Annotated[str, Flag(metavar="SHARE")] = "1%",
    device: str = "auto",
    use: Use = (),
    from_: Annotated[Text, Flag(name="from", metavar="RUN")] = None,
    dry_run: Annotated[bool, Flag(help_behavior_hint="")] = False,
    scores: Annotated[Text, Flag(metavar="fid,…")] = None,
    extractor: Annotated[Text, Flag(metavar="NAME|FILE")] = None,
    score_n: Annotated[int, Flag(metavar="N")] = 1000,
    score_every: Annotated[int | None, Flag(metavar="SAMPLES", help_behavior_hint="")] = None,
    eval_budget: Annotated[str, Flag(metavar="SHARE")] = "5%",
    stop_when_flat: Annotated[Text, Flag(metavar="SHARE")] = None,
    growth_gate: Annotated[Text, Flag(metavar="warn|stop|extend")] = None,
    signals_budget: Annotated[str, Flag(metavar="SHARE")] = "1%",
    procs: Annotated[int, Flag(metavar="N")] = 1,
    rank_timeout: Annotated[str, Flag(metavar="TIME")] = "120s",
    as_json: Json = False,
) -> None:
    """Train a GAN, or continue: the same command again goes on where the run was. No arguments: the demo.

    Args:
        recipe: A name of `gansaku recipes`, a .toml recipe, or a .py file of your own; chosen by the data if not given.
        data: A folder or .zip of pictures (class folders are labels), .npz, .npy, .h5, or `avatars`, `chairs`.
        run: The run's folder; by default runs/<recipe>-<data>-<hash of the settings>.
        set_: Change settings of the recipe, as --set generator.lr=1e-3 loss=Hinge.
        size_: Resize pictures to squares of this side, or to WIDTHxHEIGHT, cropped at the centre.
        budget: Be done in time, counted from the command's start: 90s, 30m, 9h. The same command continues.
        non_finite: When a number is not finite: stop, or rollback (to the last checkpoint with half the rates, 3 times).
        allow: Go on with a run although its settings or data have changed.
        max_bad: Stop when a larger share of the pictures cannot be used.
        device: auto, cpu, cuda or mps.
        use: A Python file of your own with parts or recipes.
        from_: Begin with the weights of this run, and with its recipe if none is named: fine-tuning on other data.
        dry_run: Say what would be trained and what time, memory and disk it would take, and stop.
        scores: What to score meanwhile, by name: `gansaku scores --names`; by default fid.
        extractor: What looks at the samples: cheap random convolutions if not given, or inception-2015, or a file.
        score_n: Samples of each side.
        score_every: Score each time so many samples were seen; a twentieth of the run if not given.
        eval_budget: The share of the time that scores may take; 0% for none.
        stop_when_flat: End once the first score surely improves by less than this share (5%) over the newer half of its curve.
        growth_gate: When a phase of a growing recipe ends worse than the one before: warn, stop (exit code 4), or extend it by
            its own length, twice at most; warn if not given.
        signals_budget: The share that health signals may take, as `show RUN --signals` tells; 0% for the step's own alone.
        procs: Processes of this machine that train together, each batch divided among them. torchrun starts more machines.
        rank_timeout: After so long without an answer from one of them all end; 10s at the least.
        as_json: Print one JSON document about the run at the end.
    """
    from gansaku.runs import lock

    started, left = time.monotonic(), None if budget is None else seconds(budget)
    if run is not None and os.environ.get("RANK", "0") == "0":  # of many processes the others open no run
        lock.check(Path(run))  # before torch is imported: who has to wait shall know at once
    from gansaku import api, processes
    from gansaku.runs.live import Scoring

    until_flat = None if stop_when_flat is None else share(stop_when_flat, "--stop-when-flat")
    allowed = share(eval_budget, "--eval-budget")
    wanted = Scoring(listed(scores), extractor, score_n, score_every, allowed, until_flat, growth_gate)
    made = api.train(
        recipe,
        data,
        run,
        dict(map(setting, set_)),
        size=size(size_),
        budget=None if left is None else left - (time.monotonic() - started),  # importing took some
        non_finite=non_finite,
        allow=allow,
        max_bad=share(max_bad),
        device=device,
        use=use,
        begins_with=from_,
        dry_run=dry_run,
        scoring=wanted,
        signals_budget=share(signals_budget, "--signals-budget"),
        procs=procs,
        rank_timeout=seconds(rank_timeout, "--rank-timeout"),
        listener=Listener() if processes.rank() else Terminal(),
    )
    if as_json and not processes.rank():
        print_json({"run": str(made.path)} if dry_run else summary(made.path))


def sample(
    run: Annotated[str, Positional, Flag(metavar="RUN", help_behavior_hint="")],
    /,
    *,
    n: Annotated[int, Flag(aliases=["-n"])] = 64,
    seed: int = 0,
    class_: Annotated[Text, Flag(name="class", metavar="NAME")] = None,
    truncation: Annotated[float | None, Flag(metavar="LIMIT", help_behavior_hint="")] = None,
    at: Annotated[int | None, Flag(metavar="SEEN", help_behavior_hint="")] = None,
    out: str = "samples",
    mosaic: Annotated[Text, Flag(metavar="WxH")] = None,
    forms: Annotated[str, Flag(metavar="png,binvox,obj,glb")] = "png",
    threshold: Annotated[float | None, Flag(metavar="P", help_behavior_hint="")] = None,
    largest_piece: Annotated[bool, Flag(help_behavior_hint="")] = False,
    use: Use = (),
) -> None:
    """Make samples with a run's generator. Sample i depends on the checkpoint, the seed and i alone.

    Args:
        run: The run's folder.
        n: How many, on a sheet of several classes at most; for a .gif how many stops on the walk.
        seed: Another seed, other samples.
        class_: Samples of one class only. Else there are all in turn, in folders and on sheets under their names.
        truncation: The largest latent value in standard deviations: less variety, fewer bad samples.
        at: With the checkpoint after so many samples, as `gansaku show RUN` lists them; the newest if not given.
        out: A folder or .zip of PNGs, a .png sheet, a .gif walk through latent space, or .npy values.
        mosaic: Fill a .png of so many pixels with samples at their own size, as 1920x1080; --n is not needed.
        forms: Of voxels, the files of each sample in a folder or .zip; several lie in folders of their names.
        threshold: Of voxels, the probability above which a voxel is there; 0.5 if not given.
        largest_piece: Of voxels, keep each sample's largest piece alone: without floating islands.
        use: A Python file of your own with the parts that the run was made with.
    """
    from gansaku import api

    pixels = size(mosaic, "--mosaic")
    made = api.sample(
        run, out, n, seed, class_, truncation, use, at, Terminal(), pixels, listed(forms), threshold, largest_piece
    )  # fmt: skip
    print(printable(str(made)))


def pin(
    run: Annotated[str, Positional, Flag(metavar="RUN", help_behavior_hint="")],
    seen: Annotated[int | None, Positional, Flag(metavar="SEEN", help_behavior_hint="")] = None,
    /,
    *,
    off: Annotated[bool, Flag(help_behavior_hint="")] = False,
) -> None:
    """Keep a checkpoint for ever: no training removes it.

    Args:
        run: The run's folder.
        seen: The checkpoint after so many samples, as `gansaku show RUN` lists them; the newest if not given.
        off: Let it go again.
    """
    from gansaku.runs import manifest

    print(printable(str(manifest.pin(Path(run), seen, off))))


def report(
    run: Annotated[str, Positional, Flag(metavar="RUN", help_behavior_hint="")],
    /,
    *,
    out: Annotated[Text, Flag(metavar="FILE.html")] = None,
) -> None:
    """Write a run's report again: one file with its sheets, curves and settings. Training does so by itself.

    Args:
        run: The run's folder.
        out: Another file than report.html in the run's folder.
    """
    from gansaku import files
    from gansaku.runs.folder import opened
    from gansaku.runs.report import render

    path = opened(run).report if out is None else Path(out)
    files.write_text(path, render(opened(run)))
    print(printable(str(path)))


def info(*, as_json: Json = False) -> None:
    """Say what this machine and this installation can do.

    Args:
        as_json: One JSON document on standard output.
    """
    from gansaku import api

    print_json(api.info()) if as_json else print(table(api.info()))


def walk(
    run: Annotated[str, Positional, Flag(metavar="RUN", help_behavior_hint="")],
    /,
    *,
    stops: int = 6,
    steps: int = 12,
    way: Annotated[str, Flag(metavar="linear|spherical")] = "linear",
    seed: int = 0,
    class_: Annotated[Text, Flag(name="class", metavar="NAME")] = None,
    truncation: Annotated[float | None, Flag(metavar="LIMIT", help_behavior_hint="")] = None,
    latents: Annotated[Text, Flag(metavar="FILE")] = None,
    extractor: Annotated[Text, Flag(metavar="NAME|FILE")] = None,
    at: Annotated[int | None, Flag(metavar="SEEN", help_behavior_hint="")] = None,
    out: str = "walk",
    use: Use = (),
    as_json: Json = False,
) -> None:
    """Walk through latent space from one sample to the next, and measure how much each step changes.

    The folder gets an animation (walk.gif), a strip with a row for each leg (strip.png), a chart of the steps' sizes in which
    jumps stand out (continuity.svg), and the numbers (walk.json).

    Args:
        run: The run's folder.
        stops: Samples on the way; after the last it goes back to the first.
        steps: Pictures from one stop to the next.
        way: linear, or spherical: along the great arc, which keeps the length that latents have.
        seed: Another seed, other samples.
        class_: All of this class; of a run with classes the first if not given.
        truncation: The largest latent value in standard deviations.
        latents: Walk between these instead, as `gansaku project` writes them: between your own pictures.
        extractor: In whose features change is measured: cheap random convolutions if not given, or as in `gansaku evaluate`.
        at: With the checkpoint after so many samples; the newest if not given.
        out: The folder.
        use: A Python file of your own with the parts that the run was made with.
        as_json: One JSON document on standard output.
    """
    from gansaku import api_walk

    found = api_walk.walk(
        run, out, stops, steps, way, seed, class_, truncation, latents=latents, extractor=extractor, at=at, use=use
    )
    if as_json:
        print_json(found.plain())
    else:
        pictures = len(found.found.speeds)
        print(printable(f"{found.folder}: {pictures // steps} samples, {pictures} pictures, {way}"))
        print(found.found.sentence())


COMMANDS: dict[str, Callable[..., None]] = {
    "train": train, "compare": compare, "sample": sample, "walk": walk, "project": project, "directions": directions,
    "evaluate": evaluate, "scores": scores, "blind": blind,
    "probe": probe, "show": show, "view": view,
    "report": report, "pin": pin, "prepare": prepare, "recipes": recipes, "verify": verify, "weights": weights,
    "info": info,
}  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    """Run a command; returns its exit code. A user's mistake is one sentence; `--debug` adds the traceback."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == ["--"]:  # torchrun hands on what it needs to tell our --run from its --run-path
        given = given[1:]
    debug = "--debug" in given
    given = [a for a in given if a != "--debug"]
    try:
        return run(given)
    except GansakuError as error:
        if debug:
            raise
        print(error, file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        sys.stderr.close()  # whoever read us has gone: nobody to tell
        return 0
    except KeyboardInterrupt:
        return 130


def run(given: list[str]) -> int:
    if not given or given[0] in ("-h", "--help", "help"):
        print(overview())
        return 0 if given else 2
    if given[0] == "--version":
        print(f"gansaku {__version__}")
        return 0
    name, rest = given[0], given[1:]
    if name not in COMMANDS:
        raise UsageError(name, f"is no command{nearest(name, list(COMMANDS))}", "COMMAND")
    try:
        kept = "interrupted; what was looked at is kept, the same command goes on" if name == "evaluate" else NOTHING
        with (
            nullcontext() if name in ("train", "compare") else listening(f"gansaku {name}", kept)
        ):  # a training listens by itself
            tyro.cli(COMMANDS[name], args=repeated(rest), prog=f"gansaku {name}", config=(tyro.conf.FlagCreatePairsOff,))
    except SystemExit as ended:  # tyro has printed help, or what is wrong with the flags
        return int(ended.code or 0) if isinstance(ended.code, int | None) else 2
    return 0


def overview() -> str:
    """The commands, a line each."""
    lines = [f"  {name:10} {(function.__doc__ or '').splitlines()[0]}" for name, function in COMMANDS.items()]
    head = "Gansaku: train a GAN on your pictures or voxels, and know whether it works.\n\nusage: gansaku COMMAND …\n"
    return "\n".join(
        [
            head,
            *lines,
            "",
            "gansaku COMMAND --help tells more; --debug adds the traceback of an error. Start with: gansaku train",
        ]
    )


def summary(path: Path) -> dict[str, Any]:
    from gansaku.runs.summary import summarize

    return summarize(path)


if __name__ == "__main__":
    sys.exit(main())
