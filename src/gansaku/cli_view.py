"""The command `view`: voxels in a browser, or as pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from gansaku.cli_values import Flag, Positional, Text, Use, colour, size
from gansaku.errors import printable
from gansaku.terminal import Terminal


def view(
    what: Annotated[str, Positional, Flag(metavar="FILE|DATA|RUN", help_behavior_hint="")],
    /,
    *,
    out: Annotated[Text, Flag(metavar="FILE.html|.png|.gif|.webp")] = None,
    n: Annotated[int, Flag(aliases=["-n"])] = 16,
    seed: int = 0,
    class_: Annotated[Text, Flag(name="class", metavar="NAME")] = None,
    truncation: Annotated[float | None, Flag(metavar="LIMIT", help_behavior_hint="")] = None,
    at: Annotated[int | None, Flag(metavar="SEEN", help_behavior_hint="")] = None,
    size_: Annotated[Text, Flag(name="size", metavar="SIDE")] = None,
    up: Annotated[str, Flag(metavar="auto|y|z")] = "auto",
    pixels: Annotated[int | None, Flag(metavar="SIDE", help_behavior_hint="")] = None,
    turn: Annotated[float | None, Flag(metavar="DEGREES", help_behavior_hint="")] = None,
    height: Annotated[float | None, Flag(metavar="DEGREES", help_behavior_hint="")] = None,
    threshold: Annotated[float | None, Flag(metavar="P", help_behavior_hint="")] = None,
    color: Annotated[Text, Flag(metavar="wood|height|probability")] = None,
    background: Annotated[Text, Flag(metavar="COLOR|none")] = None,
    opacity: Annotated[float | None, Flag(metavar="SHARE", help_behavior_hint="")] = None,
    frames: Annotated[int | None, Flag(metavar="N", help_behavior_hint="")] = None,
    open_: Annotated[bool, Flag(name="open", help_behavior_hint="")] = False,
    use: Use = (),
) -> None:
    """Show voxels: write a page that turns, cuts and thresholds them in any browser, or a picture, or a turn as animation.

    Args:
        what: A .binvox, .npy or mesh file, data as `train --data` takes them, or a run's folder.
        out: A page (.html; beside what it shows if not given), a picture (.png), or a whole turn (.gif, .webp).
        n: Samples at most; of data from the first to the last, evenly taken.
        seed: Of a run: another seed, other samples.
        class_: Of a run: samples of one class only.
        truncation: Of a run: the largest latent value in standard deviations.
        at: Of a run: with the checkpoint after so many samples, as `gansaku show RUN` lists them; the newest if not given.
        size_: Voxels brought to this side; meshes need it.
        up: Which axis of the file points up; auto is z for .off, y for others, and .npy and .mat as they are.
        pixels: Of a picture: the side of each sample, 512 of one and 160 of each of several if not given.
        turn: Of a picture: by how much the grid is turned, 30 if not given; at 0 one looks at its front.
        height: Of a picture: from how far above one looks, 25 if not given, from -90 to 90.
        threshold: Of a picture: the probability above which a voxel is drawn, 0.5 if not given.
        color: Of a picture: wood if not given, or by height or probability, with a scale.
        background: Of a picture: white if not given, another as #202028, or none, which is transparent.
        opacity: Of a picture: 0.3 shows what is inside; 1 if not given.
        frames: Pictures in a whole turn, 48 if not given.
        open_: Show it in the browser.
        use: A Python file of your own with the parts that the run was made with.
    """
    from gansaku import api_view

    chosen = {"pixels": pixels, "turn": turn, "height": height, "threshold": threshold, "color": color, "opacity": opacity,
              "frames": frames}  # fmt: skip
    drawing: dict[str, Any] = {name: value for name, value in chosen.items() if value is not None}
    if background is not None:
        drawing["background"] = None if background == "none" else colour(background)
    made = api_view.view(
        what, out, n, seed, class_, truncation, size=size(size_), up=up, at=at, use=use, listener=Terminal(), **drawing
    )  # fmt: skip
    print(printable(str(made)))
    if open_:
        import webbrowser

        webbrowser.open(Path(made).resolve().as_uri())
