"""Features of generated samples while many ranks train: each rank makes its share, rank 0 gets them all in their order."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from gansaku import ranks
from gansaku.errors import DataError
from gansaku.evaluation.features import STEP, Progress, extracted, joined
from gansaku.evaluation.samples import Generated, Samples
from gansaku.extractors.contract import Extracted, Extractor
from gansaku.ranks import Order


def extracted_by_all(
    samples: Samples,
    n: int,
    extractor: Extractor,
    cache: Path | None = None,
    progress: Progress = lambda done, total: None,
    device: str = "cpu",
) -> Extracted:
    """As `features.extracted`: rank 0 asks the others for their share of what no file holds. They call `help_extract`."""
    if ranks.everyone() == 1 or type(samples) is not Generated or samples.kept:  # others know these alone
        return extracted(samples, n, extractor, cache, progress, device)
    with ranks.alone(False):
        ranks.tell(Order.SCORE)
        parts: list[Extracted] = []
        try:
            for start in range(0, n, STEP * ranks.count()):
                ranks.tell(Order.MORE)
                more, failed = together(samples, n, extractor, start)
                if failed is not None:
                    raise failed
                parts += more
                progress(min(n, start + STEP * ranks.count()), n)  # which may raise, when somebody wants the training to stop
        finally:
            ranks.tell(Order.END)
    found = joined(parts)
    if not found.features.isfinite().all():
        raise DataError(samples.name, f"has features that are not finite, by {extractor.identity.name}", "FEATURES")
    return found


def help_extract(samples: Samples, n: int, extractor: Extractor) -> list[str]:
    """What the other ranks do meanwhile. Returns what went wrong here; rank 0 sees that its features are not finite."""
    start, wrong = 0, []
    while ranks.told() == Order.MORE:
        _, failed = together(samples, n, extractor, start)
        if failed is not None:
            wrong.append(f"{type(failed).__name__}: {failed}")
        start += STEP * ranks.count()
    return wrong


def together(samples: Samples, n: int, extractor: Extractor, start: int) -> tuple[list[Extracted], Exception | None]:
    """STEP samples from each rank, from `start` on, and what failed on this one.

    At the end of the n samples some ranks have fewer, or none.
    """
    places = [(min(n, start + STEP * rank), min(n, start + STEP * (rank + 1))) for rank in range(ranks.count())]
    first, last = places[ranks.mine()]
    mine = [torch.zeros(STEP, width) for width in (extractor.features, extractor.classes)]
    failed: Exception | None = None
    try:
        made = extractor(samples.block(first, last)) if last > first else ()
        for rows, values in zip(mine, made, strict=False):
            if values is not None:
                rows[: last - first] = values.cpu()
    except Exception as error:  # the others wait for what this rank sends, whatever it is
        failed = error
        mine[0].fill_(torch.nan)
    features, logits = (shared(rows) for rows in mine)
    found = [
        Extracted(features[rank, : stop - begin], logits[rank, : stop - begin] if extractor.classes else None)
        for rank, (begin, stop) in enumerate(places)
        if stop > begin
    ]
    return found, failed


def shared(rows: Tensor) -> Tensor:
    """(STEP, F) -> (ranks, STEP, F)."""
    return ranks.side_by_side(rows) if rows.shape[1] else rows[None]
