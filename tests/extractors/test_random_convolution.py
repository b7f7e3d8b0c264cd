"""Random convolutions: the same weights everywhere, features that follow the samples, and distances that rise with damage."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter
from torch.nn import functional as F

from gansaku.data.bundled import chairs
from gansaku.data.sources import open_data
from gansaku.extractors.random_convolution import (
    STEP,
    Random2d,
    Random3d,
    around,
    filters,
    fitted,
    halved,
    orthonormal,
    whitened,
)

CPU = torch.device("cpu")
PICTURES, VOXELS = Random2d("none", "fp32", CPU), Random3d("none", "fp32", CPU)
SHA256 = {
    "random-2d": "cc4b23a8e852e2ab3c18cc8ee041316cb2d502bb9bee80f65824529a4b94fb3e",
    "random-3d": "4f888b087d63b81f861aa44a18773cd1b43fec87cc4a6d85bbcd84fd7d9af34a",
}


def samples(extractor, n=5, seed=0, space=(11, 14, 9)):
    draw = torch.Generator().manual_seed(seed)
    if extractor is PICTURES:
        return torch.randint(0, 256, (n, 3, *space[:2]), dtype=torch.uint8, generator=draw)
    return torch.randint(0, 2, (n, 1, *space), dtype=torch.uint8, generator=draw)


def frechet(a, b):
    """In fp64: tr (A B)^(1/2) is the sum of the singular values of the product of the centred features."""
    centred = [(each.double() - each.double().mean(0)) / (len(each) - 1) ** 0.5 for each in (a, b)]
    cross = torch.linalg.svdvals(centred[0] @ centred[1].T).sum()
    gap = (a.double().mean(0) - b.double().mean(0)).square().sum()
    return (gap + sum(each.square().sum() for each in centred) - 2 * cross).item()


@pytest.mark.parametrize("extractor", [PICTURES, VOXELS], ids=lambda e: e.name)
class TestBoth:
    def test_the_weights_are_the_same_on_every_machine(self, extractor):
        assert extractor.identity == (extractor.name, SHA256[extractor.name])

    def test_features_are_one_row_for_each_sample(self, extractor):
        made = extractor(samples(extractor))
        assert made.features.shape == (5, extractor.features)
        assert made.features.dtype == torch.float32
        assert made.features.isfinite().all()
        assert made.logits is None

    def test_neither_order_nor_company_changes_a_samples_features(self, extractor):
        drawn = samples(extractor, 40)
        together = extractor(drawn).features
        torch.testing.assert_close(extractor(drawn.flip(0)).features, together.flip(0), rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(extractor(drawn[7:8]).features, together[7:8], rtol=1e-5, atol=1e-5)

    def test_any_size_will_do(self, extractor):
        for space in ((1, 1, 1), (2, 30, 5), (70, 9, 33)):
            assert extractor(samples(extractor, 1, space=space)).features.isfinite().all()

    def test_flat_samples_have_finite_features(self, extractor):
        blank = torch.zeros_like(samples(extractor, 2))
        assert extractor(blank).features.isfinite().all()
        assert extractor(blank + 1).features.isfinite().all()


def test_grey_is_three_times_the_same_and_a_fourth_channel_is_left_out():
    grey = samples(PICTURES)[:, :1]
    expected = PICTURES(grey.expand(-1, 3, -1, -1)).features
    torch.testing.assert_close(PICTURES(grey).features, expected, rtol=1e-4, atol=1e-4)
    drawn = samples(PICTURES)
    four = torch.cat([drawn, drawn[:, :1]], 1)
    assert torch.equal(PICTURES(four).features, PICTURES(drawn).features)


def test_filters_are_orthonormal_and_blind_to_a_flat_sample():
    for name, outside, fan in (("a", 7, 18), ("b", 40, 75)):
        rows = orthonormal(name, outside, fan)
        torch.testing.assert_close(rows @ rows.T, torch.eye(outside, dtype=torch.float64), rtol=0, atol=1e-12)
        assert rows.sum(1).abs().max() < 1e-12
    for first in (filters("x", 2, 3, (8,), (5,))[0], filters("x", 3, 1, (8,), (3,))[0]):
        assert first.flatten(2).sum(2).abs().max() < 125 * STEP
        assert torch.equal(first / STEP, (first / STEP).round())


def test_whitened_filters_answer_correlated_noise_with_unit_power():
    places = torch.cartesian_prod(torch.arange(3.0), torch.arange(3.0)).double()
    colours = torch.full((3, 3), 0.9, dtype=torch.float64).fill_diagonal_(1)
    correlation = torch.kron(colours, 0.95 ** torch.cdist(places, places))
    noise = torch.linalg.cholesky(correlation) @ torch.randn(
        27, 20_000, dtype=torch.float64, generator=torch.Generator().manual_seed(0)
    )
    power = (whitened(orthonormal("w", 9, 27), 2, 3, 3) @ noise).square().mean(1)
    torch.testing.assert_close(power, torch.ones(9, dtype=torch.float64), rtol=0.05, atol=0)


@pytest.mark.parametrize("space", [(6, 9), (5, 7, 8)], ids=str)
def test_the_window_and_the_halving_are_plain_means(space):
    x = torch.randn(1, 1, *space, generator=torch.Generator().manual_seed(0))
    place = tuple(range(1, 1 + len(space)))
    window = x[(0, 0, *(slice(max(0, p - 2), p + 3) for p in place))]
    torch.testing.assert_close(around(x)[(0, 0, *place)], window.mean(), rtol=1e-5, atol=1e-6)
    pair = x[(0, 0, *(slice(2 * (p - 1), 2 * p) for p in place))]
    made = halved(x)
    assert made.shape[2:] == tuple(side // 2 for side in space)
    torch.testing.assert_close(made[(0, 0, *(p - 1 for p in place))], pair.mean(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("extractor", [PICTURES, VOXELS], ids=lambda e: e.name)
def test_features_are_those_of_the_formulas_in_fp64(extractor):
    dims = 2 if extractor is PICTURES else 3
    convolve, average = (F.conv2d, F.avg_pool2d) if dims == 2 else (F.conv3d, F.avg_pool3d)
    drawn = samples(extractor, 2, space=(20, 24, 21))
    x = drawn.double() / 127.5 - 1 if dims == 2 else drawn.double() * 2
    grid = F.adaptive_avg_pool2d(x, 4) if dims == 2 else F.adaptive_avg_pool3d(x, 4)
    expected = [grid.flatten(1) * 0.3]
    weights = filters(extractor.name, dims, extractor.channels, extractor.widths, extractor.kernels)
    for i, weight in enumerate(weights):
        around_it = weight.shape[-1] // 2
        if dims == 2 and i == 0:  # pictures go on at their border, voxels end there
            x = F.pad(x, (around_it,) * 4, mode="replicate")
        x = convolve(x, weight.double(), padding=0 if dims == 2 and i == 0 else around_it)
        power = average(x.square().mean(1, keepdim=True), 5, 1, 2, count_include_pad=False)
        x = (x / (power + 0.05**2).sqrt()).relu()
        expected += [x.flatten(2).mean(2), x.flatten(2).var(2, correction=0).sqrt()]
        x = average(x, 2)
    torch.testing.assert_close(extractor(drawn).features.double(), torch.cat(expected, 1), rtol=1e-4, atol=1e-4)


def test_large_samples_are_reduced_by_averaging_areas():
    x = torch.randn(1, 3, 128, 64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(fitted(x, 64)[..., :32], torch.nn.functional.avg_pool2d(x, 2))
    assert fitted(x, 128) is x
    assert fitted(x, 200) is x


@pytest.fixture(scope="module")
def avatars(tmp_path_factory):
    dataset = open_data("avatars", cache=tmp_path_factory.mktemp("cache"))
    order = np.random.default_rng(0).permutation(9000)[:400]
    return dataset.rows(order), dataset.labels[order]


def seen(pictures):
    return PICTURES(torch.from_numpy(np.moveaxis(pictures, -1, 1).copy())).features


def blurred(picture, radius):
    return np.asarray(Image.fromarray(picture).filter(ImageFilter.GaussianBlur(radius)))


def test_the_distance_of_pictures_rises_with_the_damage_and_two_halves_are_nearest(avatars):
    pictures, labels = avatars
    real, half = seen(pictures[:200]), pictures[200:]
    nearest = frechet(real, seen(half))
    draw = np.random.default_rng(1)
    blur = [np.stack([blurred(p, radius) for p in half]) for radius in (0.5, 1, 2)]
    noise = [np.clip(half + draw.normal(0, s, half.shape), 0, 255).astype(np.uint8) for s in (5, 15, 50)]
    common = np.argsort(-np.bincount(labels))
    kept = [half[np.isin(labels[200:], common[:k])] for k in (6, 3, 1)]
    modes = [each[draw.integers(0, len(each), 200)] for each in kept]
    copies = [half[draw.integers(0, k, 200)] for k in (100, 30, 5)]
    for damaged in (blur, noise, modes, copies):
        distances = [nearest, *(frechet(real, seen(each)) for each in damaged)]
        assert distances == sorted(distances), distances


def test_the_distance_of_voxels_rises_with_the_damage_and_two_halves_are_nearest():
    grids = torch.from_numpy(chairs(96, 32, 0)).to(torch.uint8)[:, None]
    real, half = VOXELS(grids[:48]).features, grids[48:]
    draw = torch.Generator().manual_seed(0)
    flipped = [half ^ (torch.rand(half.shape, generator=draw) < p).to(torch.uint8) for p in (0.001, 0.02)]
    moved = [half.roll(shift, 2) for shift in (1, 4)]
    copies = [half[torch.randint(0, k, (48,), generator=draw)] for k in (12, 2)]
    nearest = frechet(real, VOXELS(half).features)
    for damaged in (flipped, moved, copies):
        distances = [nearest, *(frechet(real, VOXELS(each).features) for each in damaged)]
        assert distances == sorted(distances), distances
