"""3D-GAN's own test: how well a linear classifier tells classes apart by what a discriminator has learned to see.

Wu et al. 2016, arXiv:1610.07584, sec. 4.2: the activations of the last three strided convolutions, max-pooled to two places
a side and joined, in a linear SVM. Their discriminator of 64³ gives 7168 features: (128 + 256 + 512) · 2³.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import adaptive_max_pool2d, adaptive_max_pool3d
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from gansaku import keys
from gansaku.errors import DataError, UsageError

Floats = NDArray[np.float64]

GRID = (0.01, 0.1, 1.0, 10.0, 100.0)  # for `best_c`
LAYERS, PLACES = 3, 2  # how many of the last strided convolutions, and places a side of each
TOLERANCE = 1e-8  # of the gradient's length at the end, per length of w
ROUNDING = 1e-13  # of the gradient's length at the start
STEPS = 1000  # of Newton's method at most; about ten are usual


@dataclass(frozen=True)
class LinearSVM:
    """K one-vs-rest linear classifiers: w · x + b, the largest wins.

    Each minimizes ½ (|w|² + b²) + C Σ max(0, 1 - y (w · x + b))², y = ±1, liblinear's L2-regularized squared hinge with a
    bias of 1 (Fan et al. 2008). x are the features less their mean, divided by their standard deviation and by √F, both
    of the training set: squared lengths are then about 1, so that the same C means the same at each F.
    """

    weights: Floats  # (K, F + 1), of x, the bias last
    mean: Floats  # (F,)
    scale: Floats  # (F,), what features are multiplied by; 0 for one that is constant
    labels: NDArray[np.int64]  # (K,)

    def decision(self, features: Tensor) -> Floats:
        """(n, F) -> (n, K)."""
        x = (features.numpy().astype(np.float64) - self.mean) * self.scale
        made: Floats = x @ self.weights[:, :-1].T + self.weights[:, -1]
        return made

    def predict(self, features: Tensor) -> Tensor:
        """(n, F) -> (n,) labels."""
        return torch.from_numpy(self.labels[self.decision(features).argmax(1)])


def fit(features: Tensor, labels: Tensor, c: float = 1.0) -> LinearSVM:
    """The LinearSVM of (n, F) features and (n,) labels, the minimum to about 8 digits.

    Raises DataError for features that are not finite or of one class only, UsageError for C of 0 or less.
    """
    if c <= 0:
        raise UsageError("C", f"{c} is not positive; the larger it is, the closer the fit", "SETTING")
    if not features.isfinite().all():
        wrong = (~features.isfinite().flatten(1).all(1)).nonzero().flatten().tolist()
        sentence = f"{len(wrong)} of {len(features)} samples have features that are not finite; the first is row {wrong[0]}"
        raise DataError("probe", sentence, "NOT_FINITE")
    x, y = features.numpy().astype(np.float64), labels.numpy()
    classes = np.unique(y)
    if len(classes) < 2:
        raise DataError("probe", f"the training labels are all {classes.tolist()}; it takes two classes", "LABELS")
    mean, deviation = x.mean(0), x.std(0)
    varies = deviation > 1e-12 * np.abs(x).max(0)
    scale = np.divide(1 / x.shape[1] ** 0.5, deviation, out=np.zeros_like(deviation), where=varies)
    padded = np.concatenate([(x - mean) * scale, np.ones((len(x), 1))], 1)
    basis, coordinates = np.linalg.qr(padded.T) if padded.shape[1] > len(x) else (np.eye(padded.shape[1]), padded.T)
    weights = [separator(coordinates.T, np.where(y == one, 1.0, -1.0), c) for one in classes]  # in the span of the samples
    return LinearSVM(np.stack(weights) @ basis.T, mean, scale, classes)


def separator(x: Floats, y: Floats, c: float) -> Floats:
    """(n, F) and y = ±1 (n,) -> the w (F,) that minimizes ½ |w|² + C Σ max(0, 1 - y w · x)².

    Newton's method with conjugate gradients: between margins the objective is quadratic, so the last step is exact (Keerthi &
    DeCoste 2005, "A modified finite Newton method for fast solution of large scale linear SVMs"). As |w|²/2 alone has a
    curvature of 1, w is no further from the minimum than the gradient is long.
    """

    def value(w: Floats) -> float:
        short = np.maximum(0, 1 - y * (x @ w))
        return float(0.5 * w @ w + c * short @ short)

    def gradient(w: Floats, short: Floats) -> Floats:
        made: Floats = w - 2 * c * (x.T @ (y * short))
        return made

    w = np.zeros(x.shape[1])
    start = float(np.linalg.norm(gradient(w, np.ones(len(y)))))
    for _ in range(STEPS):
        short = np.maximum(0, 1 - y * (x @ w))
        slope = gradient(w, short)
        steep = float(np.linalg.norm(slope))
        if steep <= TOLERANCE * max(1.0, float(np.linalg.norm(w))) + ROUNDING * start:
            break
        inside, enough = x[short > 0], max(min(0.1, steep / start) * steep, TOLERANCE / 10 + ROUNDING * start / 10)
        step = solved(inside, 2 * c, -slope, enough)
        before, share = value(w), 1.0
        while value(w + share * step) > before * (1 + ROUNDING) + 1e-4 * share * float(slope @ step) and share > ROUNDING:
            share /= 2
        w = w + share * step
    return w


def solved(x: Floats, weight: float, target: Floats, tolerance: float) -> Floats:
    """The v (F,) with |v + weight · xᵀ x v - target| <= tolerance, by conjugate gradients; x (n, F)."""
    v, rest, along = np.zeros_like(target), target, target
    for _ in range(2 * len(target)):
        square = float(rest @ rest)
        if square <= tolerance**2:
            break
        moved = along + weight * (x.T @ (x @ along))
        length = square / float(along @ moved)
        v, rest = v + length * along, rest - length * moved
        along = rest + float(rest @ rest) / square * along
    return v


def accuracy(train: Tensor, train_labels: Tensor, test: Tensor, test_labels: Tensor, c: float = 1.0) -> float:
    """The share of test samples whose class is told by the LinearSVM of the training samples: (n, F), (n,), (m, F), (m,)."""
    return float((fit(train, train_labels, c).predict(test) == test_labels).double().mean())


def best_c(features: Tensor, labels: Tensor, grid: Sequence[float] = GRID, folds: int = 3, seed: int = 0) -> float:
    """The C of the grid with the best mean accuracy over folds of the training set; the smallest of equals."""
    if not 2 <= folds <= len(labels):
        raise UsageError("folds", f"{folds} of {len(labels)} samples cannot be made; use 2 to {len(labels)}", "SETTING")
    shuffled = torch.randperm(len(labels), generator=keys.generator("probe", seed))
    fold = torch.empty_like(shuffled)
    fold[shuffled[labels[shuffled].argsort(stable=True)]] = torch.arange(len(labels)) % folds  # classes alike in each

    def mean_accuracy(c: float) -> float:
        masks = [fold == i for i in range(folds)]
        return sum(accuracy(features[~out], labels[~out], features[out], labels[out], c) for out in masks) / folds

    return max(sorted(grid), key=mean_accuracy)


@torch.no_grad()
def pooled(discriminator: nn.Module, samples: Tensor, layers: Sequence[nn.Module] | None = None, block: int = 64) -> Tensor:
    """(n, C, *S) in [-1, 1] -> (n, ΣC · 2^dims) fp32 on the CPU: what the layers give, max-pooled to two places a side, joined.

    Called as net(x, labels, phase) with neither, in evaluation mode, and left as it was. Without `layers` they are the last
    three of `strided`. Raises UsageError when there are none.
    """
    chosen = strided(discriminator)[-LAYERS:] if layers is None else list(layers)
    if not chosen:
        raise UsageError("probe", f"{type(discriminator).__name__} has no strided convolution; name its layers", "LAYERS")
    seen: dict[int, Tensor] = {}

    def keep(i: int, output: Tensor) -> None:
        pool = adaptive_max_pool3d if output.ndim == 5 else adaptive_max_pool2d
        seen[i] = pool(output, PLACES).flatten(1).float().cpu()

    hooks = [layer.register_forward_hook(lambda _, __, output, i=i: keep(i, output)) for i, layer in enumerate(chosen)]
    training, like = discriminator.training, next(discriminator.parameters())
    discriminator.eval()
    made = []
    try:
        for part in torch.split(samples, block):
            discriminator(part.to(like), None, None)
            made.append(torch.cat([seen[i] for i in range(len(chosen))], 1))
    finally:
        discriminator.train(training)
        for hook in hooks:
            hook.remove()
    return torch.cat(made)


def strided(network: nn.Module) -> list[nn.Module]:
    """The activation after each strided convolution, in the order in which the modules were made.

    An activation is the next module that holds nothing else: no modules, no weights and no buffers.
    """
    found: list[nn.Module] = []
    waiting = False
    for module in network.modules():
        if isinstance(module, _ConvNd) and not isinstance(module, _ConvTransposeNd):
            waiting = max(module.stride) > 1
        elif waiting and not any(True for _ in (*module.children(), *module.parameters(), *module.buffers())):
            found.append(module)
            waiting = False
    return found
