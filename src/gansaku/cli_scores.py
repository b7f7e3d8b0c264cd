"""The commands about scores, each one call into the api."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

from gansaku.cli_values import Flag, Json, Positional, Text, Use, listed, seconds, size
from gansaku.errors import UsageError, printable
from gansaku.metrics.passport import Score
from gansaku.terminal import Terminal, how_made, metrics_listing, number, print_json, scores_table, weights_listing


def evaluate(
    what: Annotated[tuple[str, ...], Positional, Flag(metavar="RUN|SAMPLES", help_behavior_hint="")],
    /,
    *,
    against: Annotated[Text, Flag(metavar="DATA")] = None,
    metrics: Annotated[Text, Flag(metavar="fid,kid,…")] = None,
    n: Annotated[int | None, Flag(aliases=["-n"], metavar="N", help_behavior_hint="")] = None,
    real: Annotated[int | None, Flag(metavar="N", help_behavior_hint="")] = None,
    extractor: Annotated[Text, Flag(metavar="NAME|FILE")] = None,
    resize: Annotated[Text, Flag(metavar="pytorch-fid|tf1|clean")] = None,
    precision: Annotated[str, Flag(metavar="fp32|bf16")] = "fp32",
    split: Annotated[str, Flag(metavar="train|test|all")] = "train",
    seed: int = 0,
    weights: Annotated[Text, Flag(metavar="ema|raw")] = None,
    truncation: Annotated[float | None, Flag(metavar="LIMIT", help_behavior_hint="")] = None,
    class_: Annotated[Text, Flag(name="class", metavar="NAME")] = None,
    at: Annotated[int | None, Flag(metavar="SEEN", help_behavior_hint="")] = None,
    size_: Annotated[Text, Flag(name="size", metavar="SIDE|WxH")] = None,
    samples_split: Annotated[str, Flag(metavar="train|test|all")] = "all",
    per_class: Annotated[bool, Flag(help_behavior_hint="")] = False,
    bias_curve: Annotated[bool, Flag(help_behavior_hint="")] = False,
    budget: Annotated[Text, Flag(metavar="TIME")] = None,
    neighbours: Annotated[Text, Flag(metavar="FILE.png")] = None,
    public: Annotated[Text, Flag(metavar="NAME|FILE")] = None,
    private: Annotated[Text, Flag(metavar="NAME|FILE")] = None,
    force: Annotated[bool, Flag(help_behavior_hint="")] = False,
    device: str = "auto",
    use: Use = (),
    as_json: Json = False,
) -> None:
    """Score runs, or pictures and voxels that any program made, against data. Every score has its passport.

    Features are kept in the cache: a stopped evaluation goes on, and the data are looked at once.

    Args:
        what: A run, or a folder, .zip, .h5, .npz or .npy of samples; several are compared with the first.
        against: The data, as `gansaku train --data` takes them; a run's own if not given.
        metrics: What to compute, by name; `gansaku scores --names` lists them. By default fid and kid.
        n: Samples of each side, at most those there are; 10,000 pictures or 1,000 voxels if not given.
        real: Another number of real samples.
        extractor: What looks at the samples: a name of `gansaku weights`, or an .onnx or TorchScript file.
        resize: How pictures are brought to the extractor's size; pytorch-fid is what FID usually means.
        precision: bf16 is twice as fast; its scores have other names and are never compared with fp32's.
        split: The part of the data to compare with.
        seed: Of the generator's latents.
        weights: The weight average or the raw weights of a run; the average if there is one.
        truncation: The largest latent value in standard deviations.
        class_: Samples of one class only, against real ones of it.
        at: The checkpoint after so many samples; the newest if not given.
        size_: Resize pictures to squares of this side, or to WIDTHxHEIGHT.
        samples_split: The part of samples in a file that is scored.
        per_class: A score for each class alone, as a table.
        bias_curve: Also where the score would be with endless samples, from the curve over their number.
        budget: Pick n so that it is done in this time: 60s, 5m.
        neighbours: Draw generated samples with their nearest training samples into this file.
        public: Rank all checkpoints of a run by this extractor on one half of the data …
        private: … and by this one on the other half, and say how well the rankings agree.
        force: Show the difference of unlike scores all the same.
        device: auto, cpu, cuda or mps.
        use: A Python file of your own with metrics, or with the parts that the run was made with.
        as_json: One JSON document on standard output.
    """
    started, left = time.monotonic(), None if budget is None else seconds(budget)
    from gansaku import api_scores, api_trials

    names = listed(metrics)
    if public or private:
        if not (public and private) or len(what) != 1:
            raise UsageError("--public", "ranks the checkpoints of one run; give --public and --private", "USAGE")
        if weights or class_ or truncation is not None or at is not None or per_class or bias_curve or budget or neighbours:
            raise UsageError("--public", "ranks all checkpoints as they are, without flags that choose or change one", "USAGE")
        ranked = api_trials.rank(
            what[0], public, private, against, names, n, size=size(size_), precision=precision, split=split, seed=seed,
            device=device, use=use, listener=Terminal(),
        )  # fmt: skip
        print_json(ranked.plain()) if as_json else print(ranked)
        return
    found = api_scores.evaluate(
        what, against, names, n, real, extractor=extractor, resize=resize, precision=precision, split=split, seed=seed,
        weights=weights, truncation=truncation, class_name=class_, at=at, size=size(size_), samples_split=samples_split,
        per_class=per_class, bias_curve=bias_curve, budget=None if left is None else left - (time.monotonic() - started),
        device=device, use=use, listener=Terminal(),
    )  # fmt: skip
    if neighbours and (weights or class_ or truncation is not None):
        raise UsageError("--neighbours", "draws samples as they are: without weights, class or truncation", "USAGE")
    if neighbours:
        drawn = api_trials.neighbours(
            what[0], neighbours, against, n or 1000, at=at, size=size(size_), seed=seed, listener=Terminal()
        )
        Terminal().say(f"{neighbours}: {drawn}")
    tell(found, as_json, len(what) > 1, force)


def tell(found: list[Score], as_json: bool, several: bool, force: bool) -> None:
    """Print scores, those of classes as a table, then the differences of several sources; unlike ones are refused after it."""
    from gansaku import api_scores

    if as_json:
        print_json({"scores": [score.plain() for score in found]})
        return
    whole = [score for score in found if not score.passport.label]
    print("\n\n".join(([scores_table(whole)] if whole else []) + class_tables([one for one in found if one not in whole])))
    for difference in api_scores.differences(found, force) if several else []:
        print(printable(str(difference)))


def class_tables(found: Sequence[Score]) -> list[str]:
    """A table for each source: a row a class with its counts, a column a metric; below, how they were made, once each."""
    tables = []
    for source in dict.fromkeys(score.passport.generated for score in found):
        scores = [score for score in found if score.passport.generated == source]
        columns = list(dict.fromkeys(map(titled, scores)))
        cells = {(score.passport.label, titled(score)): valued(score) for score in scores}
        rows = [["class", "generated", "real", *columns]]
        for label in dict.fromkeys(score.passport.label for score in scores):
            counts = [(one.passport.n_generated, one.passport.n_real) for one in scores if one.passport.label == label]
            real = min((n for _, n in counts if n), default=0)  # what learns from all classes has more
            rows.append([label, f"{counts[0][0]:,}", f"{real:,}", *(cells.get((label, column), "–") for column in columns)])
        tables.append("\n".join([printable(source), *aligned(rows), "", *notes_of(scores)]))
    return tables


def titled(score: Score) -> str:
    """`↓ FD-random-2d`: the score's name without its counts and its class."""
    return f"{ {'lower': '↓ ', 'higher': '↑ ', 'neither': ''}[score.better] }{score.name.partition('@')[0]}"


def valued(score: Score) -> str:
    interval = f"  [{number(score.interval[0])}, {number(score.interval[1])}]" if score.interval else ""
    return f"{number(score.value)}{interval}"


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns of text, the second and the third, which are counts, to the right."""
    rows = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    sides = ["<", ">", ">"] + ["<"] * (len(widths) - 3)
    lines = (zip(row, sides, widths, strict=True) for row in rows)
    return [("  " + "  ".join(f"{cell:{side}{width}}" for cell, side, width in line)).rstrip() for line in lines]


def notes_of(scores: Sequence[Score]) -> list[str]:
    """How scores of classes were made, all classes together, and their warnings: those that differ in numbers alone once."""
    made: dict[str, dict[str, int]] = {}
    warned: dict[str, list[tuple[str, str]]] = {}
    for metric in dict.fromkeys(map(titled, scores)):
        like = [score for score in scores if titled(score) == metric]
        first, split = like[0].passport, like[0].passport.split.removesuffix(f", class {like[0].passport.label}")
        n_real = sum(one.passport.n_real for one in like) if split != first.split else first.n_real
        passport = replace(first, n_generated=sum(one.passport.n_generated for one in like), n_real=n_real, split=split)
        made.setdefault(how_made(replace(like[0], passport=passport)), {})[like[0].name.partition("@")[0]] = 1
        for score in like:
            for warning in score.warnings:
                warned.setdefault(re.sub(r"[\d.,]+", "0", warning), []).append((score.passport.label, warning))
    lines = [f"{', '.join(names)}: {how}" if len(made) > 1 else how for how, names in made.items()]
    for told in warned.values():
        label, warning = min(told, key=lambda one: [float(n) for n in re.findall(r"\d+(?:\.\d+)?", one[1].replace(",", ""))])
        others = len({one for one, _ in told}) - 1
        lines.append(f"{label}: {warning}" + (f" ({others} more like it)" if others else ""))
    return [printable(line) for line in lines]


def scores(
    what: Annotated[tuple[str, ...], Positional, Flag(metavar="RUN|FILE.json", help_behavior_hint="")] = (),
    /,
    *,
    names: Annotated[bool, Flag(help_behavior_hint="")] = False,
    force: Annotated[bool, Flag(help_behavior_hint="")] = False,
    as_json: Json = False,
) -> None:
    """Show scores that were made, and their differences; unlike ones are not compared.

    Args:
        what: Runs, or files that `gansaku evaluate --json` wrote; the first one is compared with the others.
        names: List the metrics instead.
        force: Show the difference of unlike scores all the same.
        as_json: One JSON document on standard output.
    """
    from gansaku import api_scores

    if names or not what:
        print_json(api_scores.metric_names()) if as_json else print(metrics_listing(api_scores.metric_names()))
        return
    found = api_scores.scores(what)
    tell(found, as_json, len(what) > 1, force)


def blind(
    run: Annotated[str, Positional, Flag(metavar="RUN", help_behavior_hint="")],
    first: Annotated[int, Positional, Flag(metavar="SEEN", help_behavior_hint="")],
    second: Annotated[int, Positional, Flag(metavar="SEEN", help_behavior_hint="")],
    /,
    *,
    out: Annotated[str, Flag(metavar="PAGE.html")] = "blind.html",
    seed: int = 0,
    use: Use = (),
) -> None:
    """Write a page that shows 24 against 24 samples of two checkpoints, without saying which is which until you choose.

    Args:
        run: The run's folder.
        first: One checkpoint, by its samples seen, as `gansaku show RUN` lists them.
        second: The other one.
        out: The page; one file that needs nothing else.
        seed: Of the latents, and of which one is on the left.
        use: A Python file of your own with the parts that the run was made with.
    """
    from gansaku import api_trials

    print(f"{api_trials.blind(run, first, second, Path(out), seed, use)}: 10 rounds of 24 against 24; open it in a browser")


def probe(
    run: Annotated[str, Positional, Flag(metavar="RUN", help_behavior_hint="")],
    data: Annotated[str | None, Positional, Flag(metavar="DATA", help_behavior_hint="")] = None,
    /,
    *,
    at: Annotated[int | None, Flag(metavar="SEEN", help_behavior_hint="")] = None,
    size_: Annotated[Text, Flag(name="size", metavar="SIDE|WxH")] = None,
    use: Use = (),
    as_json: Json = False,
) -> None:
    """Test what a discriminator has learned to see: a linear classifier on its features, as 3D-GAN's paper does.

    Args:
        run: The run's folder.
        data: Samples with classes, of the run's size; its own data if not given.
        at: The checkpoint after so many samples; the newest if not given.
        size_: Resize pictures to squares of this side, or to WIDTHxHEIGHT.
        use: A Python file of your own with the parts that the run was made with.
        as_json: One JSON document on standard output.
    """
    from gansaku import api_trials

    found = api_trials.probe(run, data, at=at, size=size(size_), use=use, listener=Terminal())
    print_json(found.plain()) if as_json else print(found)


def weights(
    verb: Annotated[str | None, Positional, Flag(metavar="get", help_behavior_hint="")] = None,
    name: Annotated[str | None, Positional, Flag(metavar="NAME", help_behavior_hint="")] = None,
    /,
    *,
    as_json: Json = False,
) -> None:
    """List the extractors and where their weights are, or download one's or a cascade: `gansaku weights get anime`.

    Args:
        verb: `get`, or nothing for the list.
        name: The extractor whose weights to download; or anime, the cascade of drawn faces.
        as_json: One JSON document on standard output.
    """
    from gansaku import api_scores

    if verb is None:
        print_json(api_scores.weights()) if as_json else print(weights_listing(api_scores.weights()))
    elif verb == "get" and name is not None:
        print(api_scores.get_weights(name, Terminal()))
    else:
        raise UsageError(f"weights {verb}", "say `gansaku weights` or `gansaku weights get NAME`", "USAGE")
