"""What a cascade found in some pictures and what it missed, drawn."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gansaku import files
from gansaku.data import faces, pictures, sources
from gansaku.data.policy import Policy
from gansaku.data.store import Dataset
from gansaku.data.tally import Bad, Damaged
from gansaku.errors import UsageError
from gansaku.render.finds import finds

SHOWN = 24  # pictures with a face, and as many without


def draw_finds(source: str, dataset: Dataset, policy: Policy, out: Path) -> None:
    """Write a sheet of pictures with the faces that were found framed, and of pictures where none was.

    They are taken evenly from all, and looked at again. Raises UsageError where no faces were asked for.
    """
    if policy.faces is None:
        raise UsageError("--faces-sheet", "shows what --faces found; give a cascade", "FACES")
    found = evenly(list(dict.fromkeys(name.rsplit("_", 3)[0] for name in dataset.names)), SHOWN)
    missed = evenly([name for name, _, code in dataset.skipped if code == "FACE_NONE"], SHOWN)
    plain = Policy(faces=policy.faces, min_face=policy.min_face)
    cutter, shown = faces.cutter(plain), []
    with sources.files_of(source) as tree:
        stems = {name.rpartition(".")[0] or name: name for name in tree.names}
        for name in [*(stems.get(stem, stem) for stem in found), *missed]:
            try:
                with tree.entry(name).open() as stream:
                    pixels = pictures.decode(stream.read(), plain, whole=True)[0].pixels
            except (Bad, KeyError, *Damaged):
                continue  # it has gone since
            cuts = cutter(name, pixels).cuts
            shown.append((pixels, [(cut.left, cut.top, cut.right, cut.bottom) for cut in cuts]))
    files.write_bytes(out, finds(shown, 1 if len(shown) == 1 else 6))


def evenly(names: Sequence[str], most: int) -> list[str]:
    """At most so many of them, at equal distances."""
    step = max(1, -(-len(names) // most))
    return list(names[::step])
