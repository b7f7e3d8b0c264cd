"""The command `view`: voxels in a browser."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from gansaku.cli_values import Flag, Positional, Text, Use, size
from gansaku.errors import printable
from gansaku.terminal import Terminal


def view(
    what: Annotated[str, Positional, Flag(metavar="FILE|DATA|RUN", help_behavior_hint="")],
    /,
    *,
    out: Annotated[Text, Flag(metavar="PAGE.html")] = None,
    n: Annotated[int, Flag(aliases=["-n"])] = 16,
    seed: int = 0,
    class_: Annotated[Text, Flag(name="class", metavar="NAME")] = None,
    truncation: Annotated[float | None, Flag(metavar="LIMIT", help_behavior_hint="")] = None,
    at: Annotated[int | None, Flag(metavar="SEEN", help_behavior_hint="")] = None,
    size_: Annotated[Text, Flag(name="size", metavar="SIDE")] = None,
    up: Annotated[str, Flag(metavar="auto|y|z")] = "auto",
    open_: Annotated[bool, Flag(name="open", help_behavior_hint="")] = False,
    use: Use = (),
) -> None:
    """Write a page that shows voxels: turn, cut, threshold, two side by side. One file for any browser, without a network.

    Args:
        what: A .binvox, .npy or mesh file, data as `train --data` takes them, or a run's folder.
        out: The page; beside what it shows if not given.
        n: Samples at most; of data from the first to the last, evenly taken.
        seed: Of a run: another seed, other samples.
        class_: Of a run: samples of one class only.
        truncation: Of a run: the largest latent value in standard deviations.
        at: Of a run: with the checkpoint after so many samples, as `gansaku show RUN` lists them; the newest if not given.
        size_: Voxels brought to this side; meshes need it.
        up: Which axis of the file points up; auto is z for .off, y for others, and .npy and .mat as they are.
        open_: Show the page in the browser.
        use: A Python file of your own with the parts that the run was made with.
    """
    from gansaku import api_view

    made = api_view.view(
        what, out, n, seed, class_, truncation, size=size(size_), up=up, at=at, use=use, listener=Terminal()
    )  # fmt: skip
    print(printable(str(made)))
    if open_:
        import webbrowser

        webbrowser.open(Path(made).resolve().as_uri())
