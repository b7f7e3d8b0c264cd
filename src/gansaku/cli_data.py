"""The commands that make and look at data: `prepare` and `show`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

from gansaku.cli_values import Flag, Json, Positional, Text, capacity, colour, listed, numbers, share, size
from gansaku.errors import UsageError, printable
from gansaku.terminal import Terminal, class_bars, dataset_text, print_json, signals_table, table

On = Annotated[bool, Flag(help_behavior_hint="")]
Count = Annotated[int | None, Flag(metavar="N", help_behavior_hint="")]


def prepare(
    source: Annotated[str, Positional, Flag(metavar="SOURCE", help_behavior_hint="")],
    destination: Annotated[str, Positional, Flag(metavar="DEST.h5", help_behavior_hint="")],
    /,
    *,
    size_: Annotated[Text, Flag(name="size", metavar="SIDE|WxH")] = None,
    held_out: Annotated[str, Flag(metavar="SHARE")] = "0%",
    max_bad: Annotated[str, Flag(metavar="SHARE")] = "1%",
    dedupe: On = False,
    layout: Annotated[str, Flag(metavar="auto|classes|flat")] = "auto",
    keep_empty: On = False,
    conditional: On = False,
    fit: Annotated[str, Flag(metavar="crop|fit|pad|stretch")] = "crop",
    filter_: Annotated[str, Flag(name="filter", metavar="lanczos|…")] = "lanczos",
    channels: Annotated[str, Flag(metavar="auto|1|3")] = "auto",
    background: Annotated[str, Flag(metavar="COLOUR")] = "white",
    min_side: Count = None,
    max_aspect: float = 8.0,
    frames: Annotated[str, Flag(metavar="first|all")] = "first",
    full_decode: On = False,
    boxes: Annotated[Text, Flag(metavar="FOLDER")] = None,
    objects: Annotated[Text, Flag(metavar="NAME,…")] = None,
    margin: Annotated[str, Flag(metavar="SHARE")] = "0%",
    square: On = False,
    min_box: int = 1,
    box_aspect: Annotated[str, Flag(metavar="LEAST,MOST")] = "0,1000",
    difficult: Annotated[str, Flag(metavar="keep|drop")] = "keep",
    truncated: Annotated[str, Flag(metavar="keep|drop")] = "keep",
    intruders: Annotated[str, Flag(metavar="keep|drop")] = "keep",
    without_box: Annotated[str, Flag(metavar="skip|whole")] = "skip",
    fix_boxes: On = False,
    rescale_boxes: On = False,
    faces: Annotated[Text, Flag(metavar="CASCADE")] = None,
    face_scales: Annotated[str, Flag(metavar="1,2,3")] = "1",
    mirrored: On = False,
    min_face: int = 24,
    faces_sheet: Annotated[Text, Flag(metavar="FILE.png")] = None,
    up: Annotated[str, Flag(metavar="auto|y|z")] = "auto",
    double: On = False,
    pad: Annotated[str, Flag(metavar="N|LOW,HIGH")] = "0",
    resample: Annotated[str, Flag(metavar="majority|any|trilinear")] = "majority",
    mesh: Annotated[str, Flag(metavar="solid|surface")] = "solid",
    rotations: Annotated[int, Flag(metavar="1|2|4")] = 1,
    shard_size: Annotated[Text, Flag(metavar="2GB")] = None,
    form: Annotated[Text, Flag(metavar="h5")] = None,
    stream: On = False,
    lanes: Annotated[int | None, Flag(metavar="N", help_behavior_hint="")] = None,
    look: Annotated[int, Flag(metavar="N")] = 10_000,
    as_json: Json = False,
) -> None:
    """Turn pictures or voxels into one .h5 file, and say what was skipped. `train --data` does it by itself.

    Killed at any moment, the file is there whole or not at all, and the same command goes on where it was.

    Args:
        source: A folder, .zip or .tar of pictures or voxel files, .parquet, .npz, .npy, .h5, CIFAR's or MNIST's own files.
        destination: DEST.h5; or a .zip as StyleGAN reads it, an .npz, or a folder of PNG or .binvox files.
        size_: Resize to squares of this side, or to WIDTHxHEIGHT; voxels to cubes.
        held_out: Make this share the test split, which scores need, where the source has none.
        max_bad: Stop when a larger share of the files cannot be used.
        dedupe: Leave out exact repetitions.
        layout: What folders mean: classes, nothing (flat), or by the rules in the guide.
        keep_empty: Keep a class whose folder holds no picture.
        conditional: Refuse data without at least two classes.
        fit: Crop the middle, fit whole (one common shape needed), pad with the background, or stretch.
        filter_: lanczos, bicubic, bilinear, box or nearest; antialiased but for nearest.
        channels: Make all grey (1) or colour (3); auto keeps grey if all are.
        background: Put under transparency and around padded pictures.
        min_side: Leave out smaller pictures; a quarter of the size if not given.
        max_aspect: Leave out pictures whose longer side is more than so many times the shorter.
        frames: Of animations and multi-page files.
        full_decode: Decode every JPEG at full size: about half of 1/255 nearer to exact, at half the speed.
        boxes: Cut out the objects of Pascal-VOC XML files in this folder, in the source or elsewhere.
        objects: Only objects of these names.
        margin: Widen each box by this share on every side.
        square: Widen the shorter side of each box.
        min_box: Leave out boxes of fewer pixels on a side.
        box_aspect: Leave out boxes of other width : height; article 3's winners kept 0.2,4.
        difficult: Objects flagged so.
        truncated: Objects flagged so.
        intruders: Boxes that another object reaches into.
        without_box: Pictures without a box: left out, or taken whole.
        fix_boxes: Swap edges that are in the wrong order.
        rescale_boxes: Boxes are in pixels of the size that the XML states.
        faces: Cut out faces that a cascade finds: frontalface, anime, or an .xml file.
        face_scales: Crops of so many times the found box; the scale becomes the class if there are several.
        mirrored: Each crop a second time, mirrored.
        min_face: The smallest face, in pixels.
        faces_sheet: Draw what was found and missed.
        up: Which axis of voxel and mesh files points up; auto is z for .off, y for others, and .npy and .mat as they are.
        double: Each voxel becomes eight; with --pad 2 that makes 64 of 30, as 3D-GAN did.
        pad: Empty voxels around.
        resample: How voxels come to another size: occupied where most, any, or the interpolated half is.
        mesh: What of a mesh is occupied; of two .binvox of a model, which one is taken.
        rotations: Turn each voxel grid about the vertical axis, every turn a sample.
        shard_size: Files of at most so many bytes of samples beside DEST.h5.
        stream: Leave the samples in their shards (a-{000..999}.tar, https://…, s3://…), which training fetches one by one.
        lanes: Of a stream: how many shards are read side by side; 16 if there are as many.
        look: Of a stream: how many samples DEST.h5 itself holds, to look at and score by.
        form: h5 for a folder of one .h5 a sample with key `data`, as article 0 has it.
        as_json: One JSON document on standard output.
    """
    from gansaku.data import sources
    from gansaku.data.exports import remarks
    from gansaku.data.policy import policy
    from gansaku.data.summary import described_data, warnings_of

    chosen = policy(
        size(size_),
        share(max_bad),
        held_out=share(held_out, "--held-out"),
        dedupe=dedupe,
        layout=layout,
        keep_empty=keep_empty,
        conditional=conditional,
        fit=fit,
        filter=filter_,
        channels=int(channels) if channels.isdecimal() else channels,
        background=colour(background),
        min_side=min_side,
        max_aspect=max_aspect,
        frames=frames,
        full_decode=full_decode,
        boxes=boxes,
        objects=listed(objects),
        margin=share(margin, "--margin", most=10),
        square=square,
        min_box=min_box,
        box_aspect=pair(box_aspect, "--box-aspect"),
        difficult=difficult,
        truncated=truncated,
        intruders=intruders,
        without_box=without_box,
        fix_boxes=fix_boxes,
        rescale_boxes=rescale_boxes,
        faces=faces,
        face_scales=numbers(face_scales, "--face-scales"),
        mirrored=mirrored,
        min_face=min_face,
        up=up,
        double=double,
        pad=padding(pad),
        resample=resample,
        mesh=mesh,
        rotations=rotations,
    )
    if faces_sheet is not None and faces is None:
        raise UsageError("--faces-sheet", "shows what --faces found; give a cascade", "FACES")
    terminal = Terminal()
    if stream:
        from gansaku.data.streaming import prepare_stream

        made = prepare_stream(source, Path(destination), chosen, terminal.preparing, lanes, look)
    else:
        made = sources.prepare(
            source, Path(destination), chosen, terminal.preparing, shard=capacity(shard_size, "--shard-size"), form=form
        )
    for sentence in (*warnings_of(made.report), *remarks(made, Path(destination))):
        terminal.say(sentence)
    if faces_sheet is not None:
        from gansaku.data.finds import draw_finds

        draw_finds(source, made, chosen, Path(faces_sheet))
    found = described_data(made, written=Path(destination))
    print_json(found) if as_json else print(dataset_text(found))


def pair(text: str, flag: str) -> tuple[float, float]:
    """0.2,4 -> (0.2, 4.0)."""
    found = numbers(text, flag)
    if len(found) != 2:
        raise UsageError(flag, f"{text!r} is no pair; write 0.2,4", "NUMBERS")
    return found[0], found[1]


def padding(text: str) -> int | tuple[int, int]:
    """2 -> 2; 1,2 -> (1, 2)."""
    found = numbers(text, "--pad")
    if len(found) > 2 or not all(width.is_integer() for width in found):
        raise UsageError("--pad", f"{text!r} is no padding; write 2, or 1,2 for below and above", "NUMBERS")
    return int(found[0]) if len(found) == 1 else (int(found[0]), int(found[1]))


def show(
    what: Annotated[str, Positional, Flag(metavar="RUN|DATA", help_behavior_hint="")],
    /,
    *,
    size_: Annotated[Text, Flag(name="size", metavar="SIDE|WxH")] = None,
    max_bad: Annotated[str, Flag(metavar="SHARE")] = "100%",
    out: Annotated[Text, Flag(metavar="FILE.html|.png")] = None,
    signals: On = False,
    as_json: Json = False,
) -> None:
    """Say what a run or some data are, in a screenful.

    Args:
        what: A run's folder, or data as `train --data` takes them.
        size_: For data: resize pictures to squares of this side, or to WIDTHxHEIGHT.
        max_bad: For data: refuse them when a larger share of the files cannot be used.
        out: For data: write a page with samples, classes, duplicates and what was skipped; or a .png of samples.
        signals: For a run: how its training is, by signals of both players and of the samples.
        as_json: One JSON document on standard output.
    """
    from gansaku.runs.folder import Folder

    if signals:
        from gansaku.runs.signals import signals_of

        told = signals_of(what)
        print_json(told) if as_json else print(signals_table(told))
        return
    if Folder(Path(what)).exists:
        from gansaku.runs.summary import summarize

        found = summarize(Path(what))
        print_json(found) if as_json else print(run_text(found))
        return
    described = data_shown(what, size(size_), share(max_bad), out)
    print_json(described) if as_json else print(dataset_text(described))


def run_text(found: dict[str, Any]) -> str:
    """A run in a screenful, its classes with bars as those of a dataset."""
    classes = found["data"].get("classes", {})
    if not isinstance(classes, dict):  # of a run that was not told how many there are
        return table(found)
    data = {name: value for name, value in found["data"].items() if name != "classes"}
    return "\n".join([table({**found, "data": data}), *class_bars(classes)])


def data_shown(what: str, side: int | tuple[int, int] | None, most_bad: float, out: str | None) -> dict[str, Any]:
    """The summary of some data; the page or the sheet is written where one is asked for."""
    from gansaku.data.overview import overview
    from gansaku.data.sources import open_data
    from gansaku.data.summary import described_data

    dataset = open_data(what, side, progress=Terminal().preparing, max_bad=most_bad)
    seen = overview(dataset)
    if out is not None:
        from gansaku.data.page import write_page

        write_page(dataset, seen, Path(out))
        print(printable(out), file=sys.stderr)
    return described_data(dataset, seen)
