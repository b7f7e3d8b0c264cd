"""Small sources, extractors and metrics that the tests of the evaluation share."""

from dataclasses import dataclass

import numpy as np
import torch

from gansaku.data.content import Block
from gansaku.data.preparation import write
from gansaku.data.store import open_store
from gansaku.evaluation.samples import Samples
from gansaku.extractors.contract import Extracted, Extractor, Identity
from gansaku.metrics.contract import Metric, Output
from gansaku.parts import part


@part
class MeanDistance(Metric):
    """|mean of the generated features - mean of the real ones|."""

    scale: float = 1.0
    gives = {"mean_distance": Output("MD", "lower", "MDx")}  # noqa: RUF012

    def values(self, real, generated, reference=None):
        centre = real.features.double().mean(0) if reference is None else reference
        return {"mean_distance": self.scale * float((generated.features.double().mean(0) - centre).norm())}

    def reference(self, real):
        return real.features.double().mean(0)


@part
class Brightness(Metric):
    """The mean value of generated samples."""

    needs = ("samples",)
    reads_real = False
    gives = {"brightness": Output("Brightness", "neither")}  # noqa: RUF012

    def values(self, real, generated, reference=None):
        return {"brightness": float(generated.samples.double().mean())}


class Pooled(Extractor):
    """Mean and standard deviation of each channel; counts how many samples it has seen."""

    name = "pooled"
    dimensions = (2, 3)

    def __init__(self, name="pooled", sha256="0" * 64, resize="none", precision="fp32"):
        self.identity, self.resize, self.precision = Identity(name, sha256), resize, precision
        self.features, self.looked = 6, 0

    def __call__(self, samples):
        self.looked += len(samples)
        flat = samples.expand(-1, 3, *samples.shape[2:]).flatten(2).float()
        return Extracted(torch.cat([flat.mean(2), flat.std(2)], 1))


@dataclass(frozen=True)
class Noise(Samples):
    """Seeded noise; sample i depends on the seed and i alone."""

    seed: int = 0
    shape: tuple = (3, 8, 8)
    count: int | None = None
    name: str = "noise"
    low: int = 0
    classes: tuple = ()

    @property
    def identity(self):
        return {"noise": self.seed, "low": self.low}

    def block(self, start, stop):
        made = [np.random.default_rng([self.seed, i]).integers(self.low, 256, self.shape) for i in range(start, stop)]
        return torch.from_numpy(np.stack(made).astype(np.uint8))

    def labels(self, start, stop):
        return torch.arange(start, stop) % len(self.classes) if self.classes else None


def dataset(folder, train=40, test=12, shape=(3, 8, 8), classes=("a", "b"), seed=0):
    """A store of noise: sample i of the file has the value i in its first pixel."""
    rng = np.random.default_rng(seed)
    voxels = len(shape) == 4
    total = train + test
    samples = rng.integers(0, 2 if voxels else 256, (total, *shape[1:], shape[0])).astype(np.uint8)
    if not voxels:
        samples[:, 0, 0, 0] = np.arange(total) % 256
    labels = np.arange(total) % max(1, len(classes))
    blocks = [Block(samples[:train], labels[:train], "train", {})]
    if test:
        blocks.append(Block(samples[train:], labels[train:], "test", {}))
    path = folder / f"data-{seed}-{train}-{test}-{len(shape)}.h5"
    write(path, blocks, name="noise", shape=shape, classes=classes)
    return open_store(path)
