"""MS-SSIM against torchmetrics', and in closed form; pairs are drawn fairly."""

import numpy as np
import pytest
import torch
from torchmetrics.functional.image import (
    multiscale_structural_similarity_index_measure,
    structural_similarity_index_measure,
)

from gansaku.metrics.contract import Side
from gansaku.metrics.structure import MSSSIM, WEIGHTS, drawn, ms_ssim, pair_mean, scales


def pictures(n=4, side=64, channels=3, seed=0, coarse=8):
    random = torch.rand(n, channels, coarse, coarse, generator=torch.Generator().manual_seed(seed)) * 255
    return torch.nn.functional.interpolate(random, size=(side, side), mode="bilinear").round().to(torch.uint8)


def noisy(samples, amount):
    noise = torch.randn(samples.shape, generator=torch.Generator().manual_seed(9))
    return (samples + amount * noise).round().clamp(0, 255).to(torch.uint8)


def changed(a):
    """Each picture of three in its own way: little noise, much noise, another picture mixed in."""
    return torch.cat([noisy(a[:1], 20), noisy(a[1:2], 60), (0.6 * a[2:] + 0.4 * a[1:2]).to(torch.uint8)])


def test_is_near_torchmetrics_at_256_pixels():
    """Which takes the last scale over mirrored borders too, as in none of the papers; the next test is exact."""
    a = pictures(3, 256, coarse=20)
    found = ms_ssim(a, changed(a))
    assert found.max() < 0.95
    assert found.min() > 0.5
    for one, x, y in zip(found, a.float(), changed(a).float(), strict=True):
        expected = multiscale_structural_similarity_index_measure(x[None], y[None], data_range=255.0)
        assert float(one) == pytest.approx(float(expected), rel=0.01)


@pytest.mark.parametrize(("side", "count"), [(180, 5), (64, 3)])
def test_every_scale_is_torchmetrics_inside_the_borders_and_weights_are_divided_by_their_sum(side, count):
    a = pictures(3, side, coarse=side // 12)
    for found, x, y in zip(ms_ssim(a, changed(a)), a.double(), changed(a).double(), strict=True):
        expected = 1.0
        x, y = x[None], y[None]
        for i in range(count):
            last = {"return_full_image": True} if i == count - 1 else {"return_contrast_sensitivity": True}
            _, more = structural_similarity_index_measure(x, y, data_range=255.0, **last)
            inside = more[..., 5:-5, 5:-5] if i == count - 1 else more
            expected *= float(inside.mean()) ** (WEIGHTS[i] / sum(WEIGHTS[:count]))
            x, y = (torch.nn.functional.avg_pool2d(z, 2) for z in (x, y))
        assert float(found) == pytest.approx(expected, rel=1e-5)


def test_one_window_is_the_closed_form():
    """At 11 × 11 there is one scale and one window: SSIM of the weighted moments."""
    a, b = (torch.randint(0, 256, (1, 1, 11, 11), generator=torch.Generator().manual_seed(i)) for i in (1, 2))
    b = (a + b // 4).clamp(0, 255)
    row = np.exp(-((np.arange(11) - 5) ** 2) / (2 * 1.5**2))
    window = np.outer(row, row) / row.sum() ** 2
    x, y = a[0, 0].numpy().astype(float), b[0, 0].numpy().astype(float)
    mean_x, mean_y = (window * x).sum(), (window * y).sum()
    variance_x, variance_y = (window * (x - mean_x) ** 2).sum(), (window * (y - mean_y) ** 2).sum()
    covariance = (window * (x - mean_x) * (y - mean_y)).sum()
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    expected = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    expected /= (mean_x**2 + mean_y**2 + c1) * (variance_x + variance_y + c2)
    assert float(ms_ssim(a.to(torch.uint8), b.to(torch.uint8))) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("side", [8, 11, 32, 64, 180])
def test_a_picture_is_like_itself_and_no_pair_is_liker(side):
    a, b = pictures(2, side), pictures(2, side, seed=1)
    assert ms_ssim(a, a).tolist() == [1.0, 1.0]
    assert (ms_ssim(a, b) < 1).all()
    torch.testing.assert_close(ms_ssim(a, b), ms_ssim(b, a), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    ("side", "expected"), [(8, 1), (21, 1), (22, 2), (43, 2), (44, 3), (88, 4), (175, 4), (176, 5), (512, 5)]
)
def test_scales_are_as_many_as_the_window_fits(side, expected):
    assert scales(side, side) == scales(side, 2 * side) == expected


@pytest.mark.parametrize("n", [2, 3, 4, 7, 10])
def test_all_pairs_are_drawn_once_when_so_many_are_asked_for(n):
    found = {tuple(sorted(pair)) for pair in drawn(n, 1000, 0).T.tolist()}
    assert len(found) == drawn(n, 1000, 0).shape[1] == n * (n - 1) // 2
    assert all(a != b for a, b in found)


def test_every_picture_is_in_as_many_pairs():
    assert drawn(10, 30, 0).flatten().bincount().tolist() == [6] * 10


def value(samples, **settings):
    return MSSSIM(**settings).values(Side(0), Side(len(samples), samples=samples))["ms_ssim"]


def test_less_variety_is_higher_up_to_1():
    samples = pictures(30, 16)
    values = [value(torch.cat([samples[:kinds]] * (30 // kinds))) for kinds in (30, 10, 3, 1)]
    assert values == sorted(values)
    assert values[-1] == 1.0
    assert value(torch.randint(0, 256, (30, 3, 16, 16), dtype=torch.uint8)) < values[0]


def test_the_real_sets_own_variety_is_the_same_function():
    samples = pictures(9, 16)
    assert value(samples, pairs=20, seed=3) == pair_mean(samples, 20, 3)


def test_the_standard_error_is_that_over_many_sets_or_a_little_more():
    sets = [pictures(30, 12, seed=seed, coarse=3) for seed in range(60)]
    spread = np.std([value(samples, pairs=90) for samples in sets])
    said = np.mean([MSSSIM(pairs=90).error(Side(0), Side(30, samples=samples))["ms_ssim"] for samples in sets])
    assert 0.8 < said / spread < 1.6
