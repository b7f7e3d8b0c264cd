"""Holds the scores up to reality: what they say of pictures that are known to be worse. Figures for docs/results/metrics.md.

    python tools/reality.py damage DATA [--size 32] [-n 500]        scores under blur, noise, JPEG, missing classes and modes
    python tools/reality.py checkpoints RUN … [-n 500]              do cheap scores rank checkpoints as FID does?
    python tools/reality.py counts DATA [--size 32]                 how a score's spread and bias fall with the samples

Each prints a table and writes JSON to --out. Features lie in the cache: stopped, it goes on.
"""

from __future__ import annotations

import argparse
import io
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageFilter
from scipy.cluster.vq import kmeans2
from scipy.stats import spearmanr
from torch import Tensor

from gansaku import keys
from gansaku.api import load
from gansaku.cache import cache_folder
from gansaku.data.sources import open_data
from gansaku.evaluation.features import extracted
from gansaku.evaluation.samples import Samples, Stored
from gansaku.evaluation.scorer import Scorer
from gansaku.extractors import registry
from gansaku.metrics import registry as metrics
from gansaku.metrics.contract import Side
from gansaku.runs import manifest
from gansaku.runs.run import Run
from gansaku.runs.scoring import generated

Change = Callable[[np.ndarray, int], np.ndarray]
FEATURES = ("fid", "kid", "precision", "recall", "density", "coverage")
PICTURES = ("swd", "ms_ssim", "checkerboard")


@dataclass(frozen=True)
class Changed(Samples):
    """Samples, each changed by a function of its pixels and its number."""

    source: Samples
    change: Change
    how: str

    @property
    def name(self) -> str:  # type: ignore[override]
        return f"{self.source.name}, {self.how}"

    @property
    def identity(self) -> dict[str, Any]:  # type: ignore[override]
        return {**self.source.identity, "changed": self.how}

    @property
    def shape(self) -> tuple[int, ...]:  # type: ignore[override]
        return self.source.shape

    @property
    def count(self) -> int | None:  # type: ignore[override]
        return self.source.count

    def block(self, start: int, stop: int) -> Tensor:
        pictures = self.source.block(start, stop).permute(0, 2, 3, 1).numpy()
        made = np.stack([self.change(picture, start + i) for i, picture in enumerate(pictures)])
        return torch.from_numpy(made).permute(0, 3, 1, 2)

    def labels(self, start: int, stop: int) -> Tensor | None:
        return self.source.labels(start, stop)


def blurred(radius: float) -> Change:
    return lambda picture, i: np.asarray(Image.fromarray(picture).filter(ImageFilter.GaussianBlur(radius)))


def noisy(sigma: float) -> Change:
    def change(picture: np.ndarray, i: int) -> np.ndarray:
        noise = np.random.default_rng(i).normal(0, sigma, picture.shape)
        return np.clip(np.round(picture + noise), 0, 255).astype(np.uint8)

    return change


def jpeg(quality: int) -> Change:
    def change(picture: np.ndarray, i: int) -> np.ndarray:
        buffer = io.BytesIO()
        Image.fromarray(picture).save(buffer, "JPEG", quality=quality)
        return np.asarray(Image.open(buffer))

    return change


DAMAGE: dict[str, list[tuple[str, Change]]] = {
    "blur": [(f"σ {r}", blurred(r)) for r in (0.5, 1.0, 2.0)],
    "noise": [(f"σ {s}", noisy(s)) for s in (5, 15, 40)],
    "JPEG": [(f"quality {q}", jpeg(q)) for q in (75, 40, 10)],
}


def values(scorer: Scorer, real: Side, side: Side) -> dict[str, float]:
    found: dict[str, float] = {}
    for metric in scorer.metrics:
        found |= metric.values(real, side, scorer.reference(metric))
    return found


def damage(data: str, size: int | None, n: int, precision: str) -> list[dict[str, Any]]:
    """Scores of n pictures, whole and damaged, against n others; of those that miss classes or modes, as many others."""
    dataset = open_data(data, size)
    real, pool = Stored(dataset, "train", 0, n), Stored(dataset, "train", n, 5 * n)
    same = Stored(dataset, "train", n, 2 * n)
    rows = []
    for extractor in (registry.find("inception-2015", precision=precision), registry.find("random-2d")):
        names = FEATURES + (PICTURES if extractor.identity.name == "random-2d" else ())
        scorer = Scorer(metrics.find(names), real, extractor, n, intervals=False, cache=cache_folder())

        def row(what: str, level: str, found: dict[str, float], by: str = extractor.identity.name) -> None:
            rows.append({"data": dataset.name, "by": by, "n": n, "damage": what, "level": level, **found})
            print(by, what, level, {name: round(value, 4) for name, value in found.items()}, flush=True)

        def score(samples: Samples, made: Scorer = scorer) -> dict[str, float]:
            return {score.metric: score.value for score in made.score(samples)}

        row("none", "", score(same))
        for what, levels in DAMAGE.items():
            for level, change in levels:
                row(what, level, score(Changed(same, change, f"{what} {level}")))
        whole = Scorer(metrics.find(FEATURES), real, extractor, n, intervals=False, cache=cache_folder())
        count = min(4 * n, pool.count)
        side = Side(count, extracted(pool, count, extractor, cache_folder()).features)
        groups = pool.labels(0, count)
        kinds = {} if groups is None else {"missing classes": groups}
        generator = np.random.default_rng(0)
        _, modes = kmeans2(side.features.double().numpy() @ generator.normal(size=(side.features.shape[1], 16)), 10, seed=0)
        kinds["dropped modes"] = torch.from_numpy(modes).long()
        for what, group in kinds.items():
            present = [int(k) for k in torch.bincount(group).argsort(descending=True)[: 10 if what == "dropped modes" else 50]]
            for kept in (len(present), int(0.8 * len(present)), int(0.5 * len(present)), max(1, int(0.2 * len(present)))):
                chosen = torch.isin(group, torch.tensor(present[:kept])).nonzero().flatten()[:n]
                if len(chosen) == n:
                    row(what, f"{kept} of {len(present)}", values(whole, whole.real_side(), side.rows(chosen)))
    return rows


def checkpoints(runs: list[str], n: int, most: int) -> list[dict[str, Any]]:
    """FID and the cheap scores of every checkpoint, and the rank correlations between them."""
    rows = []
    for path in runs:
        run = load(path)
        told = run.folder.read_about()["data"]
        real = Stored(open_data(told["source"], told["size"]), "train")
        scorers = {
            name: Scorer(metrics.find(wanted), real, registry.find(name, precision=precision), n, intervals=False,
                         cache=cache_folder())
            for name, precision, wanted in (
                ("inception-2015", "bf16", ("fid", "kid", "precision", "recall")),
                ("random-2d", "fp32", ("fid", "kid", "swd", "ms_ssim", "checkerboard")),
            )
        }  # fmt: skip
        found: list[dict[str, Any]] = []
        kept = [manifest.seen(path) for path in manifest.found(run.folder.checkpoints)]
        for seen in sorted({kept[round(i)] for i in np.linspace(0, len(kept) - 1, most)}):
            samples, told_of = generated(Run(run.folder, run.recipe, seen))
            line: dict[str, Any] = {"run": run.path.name, "seen": seen, "n": n}
            for name, scorer in scorers.items():
                line |= {f"{name} {score.metric}": score.value for score in scorer.score(samples, told_of)}
            found.append(line)
            print({k: round(v, 4) if isinstance(v, float) else v for k, v in line.items()}, flush=True)
        rows += found
        judge = [line["inception-2015 fid"] for line in found]
        for name in found[0]:
            if name not in ("run", "seen", "n"):
                rho = spearmanr(judge, [line[name] for line in found]).statistic
                rows.append({"run": run.path.name, "score": name, "checkpoints": len(found), "spearman with FID": rho})
                print(run.path.name, name, f"ρ {rho:.3f}")
    return rows


def counts(data: str, size: int | None, n: int, precision: str) -> list[dict[str, Any]]:
    """Mean and standard deviation of a score between disjoint halves of the data, by the number of samples."""
    dataset = open_data(data, size)
    rows = []
    for extractor in (registry.find("inception-2015", precision=precision), registry.find("random-2d")):
        source = Stored(dataset, "train")
        total = min(n, source.count)
        features = extracted(source, total, extractor, cache_folder()).features
        for metric in metrics.find(("fid", "kid")):
            for few in (100, 200, 500, 1000, 2000):
                found = []
                for trial in range(12):
                    if 2 * few > total:
                        break
                    order = torch.randperm(total, generator=keys.generator("counts", trial))[: 2 * few]
                    sides = [Side(few, features[part]) for part in order.split(few)]
                    found.append(next(iter(metric.values(*sides).values())))
                if found:
                    name = next(iter(metric.gives))
                    row = {"data": dataset.name, "by": extractor.identity.name, "score": name, "n": few,
                           "mean": float(np.mean(found)), "deviation": float(np.std(found, ddof=1))}  # fmt: skip
                    rows.append(row)
                    print(row, flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["damage", "checkpoints", "counts"])
    parser.add_argument("where", nargs="+")
    parser.add_argument("--size", type=int)
    parser.add_argument("-n", type=int, default=500)
    parser.add_argument("--most", type=int, default=12, help="checkpoints of a run")
    parser.add_argument("--precision", default="fp32", help="of the Inception's features of damaged pictures")
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    started = time.time()
    if asked.what == "checkpoints":
        rows = checkpoints(asked.where, asked.n, asked.most)
    else:
        measure = damage if asked.what == "damage" else counts
        rows = measure(asked.where[0], asked.size, asked.n, asked.precision)
    if asked.out:
        asked.out.write_text(json.dumps(rows, indent=1) + "\n")
    print(f"{time.time() - started:.0f} s, {time.strftime('%Y-%m-%d')}, {torch.get_num_threads()} threads")


if __name__ == "__main__":
    main()
