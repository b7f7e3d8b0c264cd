"""The commands about latent space, each one call into the api."""

from __future__ import annotations

from typing import Annotated

from gansaku.cli_values import Flag, Json, Positional, Text, Use, listed
from gansaku.errors import UsageError, printable
from gansaku.terminal import Terminal, print_json


def project(
    run: Annotated[str, Positional, Flag(metavar="RUN", help_behavior_hint="")],
    pictures: Annotated[tuple[str, ...], Positional, Flag(metavar="PICTURE…", help_behavior_hint="")] = (),
    /,
    *,
    data: Annotated[Text, Flag(metavar="SOURCE")] = None,
    index: Annotated[Text, Flag(metavar="I,J,…")] = None,
    steps: int = 200,
    class_: Annotated[Text, Flag(name="class", metavar="NAME")] = None,
    reference: Annotated[int, Flag(metavar="N")] = 0,
    seed: int = 0,
    at: Annotated[int | None, Flag(metavar="SEEN", help_behavior_hint="")] = None,
    out: str = "projected",
    device: str = "auto",
    use: Use = (),
    as_json: Json = False,
) -> None:
    """Find the latents whose samples are nearest to given pictures or voxels: what the generator can make of them.

    The folder gets each beside what was found (projected.png), the distances (projected.json), and the latents
    (latents.safetensors), which `gansaku walk` and `gansaku directions` take.

    Args:
        run: The run's folder.
        pictures: Files of pictures or voxels, brought to the run's size as `gansaku prepare` does by default.
        data: Where --index and --reference take samples from, as `train --data` has it; the run's own data if not given.
        index: Samples of the data as well, by their numbers, those of training first: 0,1,9000.
        steps: Of the search for each; more comes a little nearer.
        class_: Of this class; of a run with classes the one that comes nearest if not given.
        reference: Project so many of the generator's own samples, of training and of held-out samples too, to compare with.
        seed: Of the random samples that the search begins with.
        at: With the checkpoint after so many samples; the newest if not given.
        out: The folder.
        device: auto, cpu, cuda or mps.
        use: A Python file of your own with the parts that the run was made with.
        as_json: One JSON document on standard output.
    """
    from gansaku import api_latent

    rows = whole_numbers(index, "--index")
    made = api_latent.project(
        run, pictures, out, steps, class_, seed, data=data, index=rows, reference=reference, at=at, device=device, use=use,
        listener=Terminal(),
    )  # fmt: skip
    if as_json:
        print_json(made.plain())
    else:
        found = zip(made.names, made.distances, made.classes or [""] * len(made.names), strict=True)
        lines = [f"{distance:.3f}  {name}  {of}".rstrip() for name, distance, of in found]
        print("\n".join(printable(line) for line in (*lines, *made.sentences(), str(made.folder))))


def directions(
    run: Annotated[str, Positional, Flag(metavar="RUN", help_behavior_hint="")],
    /,
    *,
    count: int = 8,
    steps: int = 7,
    scale: float = 3.0,
    n: Annotated[int, Flag(aliases=["-n"])] = 3,
    latents: Annotated[Text, Flag(metavar="FILE")] = None,
    class_: Annotated[Text, Flag(name="class", metavar="NAME")] = None,
    extractor: Annotated[Text, Flag(metavar="NAME|FILE")] = None,
    seed: int = 0,
    at: Annotated[int | None, Flag(metavar="SEEN", help_behavior_hint="")] = None,
    out: str = "directions",
    use: Use = (),
    as_json: Json = False,
) -> None:
    """Find directions in latent space that a generator answers most to, by closed-form factorization (Shen & Zhou 2021).

    The folder gets samples moved along each (directions.png), how much they change beside random directions
    (directions.json), and the vectors (directions.safetensors).

    Args:
        run: The run's folder.
        count: How many directions, from the largest eigenvalue down.
        steps: Pictures along each.
        scale: How far to both sides, in standard deviations of a latent value.
        n: How many samples are shown.
        latents: Show these instead, as `gansaku project` writes them.
        class_: All of this class; of a run with classes the first if not given.
        extractor: In whose features change is measured: cheap random convolutions if not given, or as in `gansaku evaluate`.
        seed: Another seed, other samples.
        at: With the checkpoint after so many samples; the newest if not given.
        out: The folder.
        use: A Python file of your own with the parts that the run was made with.
        as_json: One JSON document on standard output.
    """
    from gansaku import api_latent

    found = api_latent.directions(
        run, out, count, steps, scale, seed, class_, n=n, latents=latents, extractor=extractor, at=at, use=use
    )
    if as_json:
        print_json(found.plain())
    else:
        lines = [
            f"{i + 1:3}  eigenvalue {found.eigenvalues[i]:.4g}  changes {times:.2f} × a random direction"
            for i, times in enumerate(found.times)
        ]
        print("\n".join(printable(line) for line in (*lines, found.sentence(), str(found.folder))))


def whole_numbers(text: str | None, flag: str) -> tuple[int, ...]:
    """1,2,3 -> (1, 2, 3); nothing is none."""
    try:
        return tuple(int(part) for part in listed(text))
    except ValueError:
        raise UsageError(flag, f"{text!r} is no list of whole numbers; write 0,1,2", "NUMBERS") from None
