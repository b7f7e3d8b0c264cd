"""The sliced Wasserstein distance, step by step against slow versions of the published ones."""

import numpy as np
import pytest
import torch
from scipy import ndimage, stats

from gansaku import keys
from gansaku.errors import UsageError
from gansaku.metrics.contract import Side
from gansaku.metrics.sliced_wasserstein import LAYOUTS, SlicedWasserstein, layout, normalized, patches, pyramid, sizes

SMALL = SlicedWasserstein(descriptors=16, directions=24, repeats=2)


def pictures(n=12, height=32, width=32, channels=3, seed=0):
    """Smooth random pictures."""
    random = torch.randn(n, channels, height // 4, width // 4, generator=torch.Generator().manual_seed(seed))
    return (random.repeat_interleave(4, 2).repeat_interleave(4, 3) * 40 + 128).clamp(0, 255).to(torch.uint8)


def noisy(samples, amount):
    noise = torch.randn(samples.shape, generator=torch.Generator().manual_seed(9))
    return (samples + amount * noise).round().clamp(0, 255).to(torch.uint8)


def side(samples):
    return Side(len(samples), samples=samples)


def distance(a, b, metric=SMALL):
    return metric.values(side(a), side(b))["swd"]


@pytest.mark.parametrize("size", [(32, 48), (33, 40), (24, 16)], ids=str)
def test_the_pyramid_is_that_of_a_slow_convolution(size):
    """As in Karras' own code: scipy's mirrored convolution with the 5 × 5 kernel, zeros between, four times the kernel."""
    row = np.array([1, 4, 6, 4, 1]) / 16
    kernel = np.outer(row, row)
    x = np.random.default_rng(0).uniform(0, 255, size)
    level, expected = x, []
    for _ in sizes(*size)[1:]:
        smaller = ndimage.convolve(level, kernel, mode="mirror")[::2, ::2]
        spread = np.zeros_like(level)
        spread[::2, ::2] = smaller
        expected.append(level - ndimage.convolve(spread, 4 * kernel, mode="mirror"))
        level = smaller
    found = pyramid(torch.from_numpy(x)[None, None])
    assert len(found) == len(expected) + 1
    for one, other in zip(found, [*expected, level], strict=True):
        np.testing.assert_allclose(one[0, 0].numpy(), other, atol=1e-3)


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((64, 64), [(64, 64), (32, 32), (16, 16)]),
        ((32, 48), [(32, 48), (16, 24)]),
        ((24, 24), [(24, 24)]),
        ((8, 96), [(8, 96)]),
    ],
    ids=str,
)
def test_levels_go_down_to_16_pixels(size, expected):
    assert sizes(*size) == expected


def test_patches_are_cut_where_their_layout_says():
    level, places = torch.randn(3, 2, 9, 12), torch.rand(2, LAYOUTS, 5)
    layouts = torch.tensor([0, 7, LAYOUTS - 1])
    found = patches(level, layouts, places)
    assert found.shape == (15, 2 * 49)
    for i, which in enumerate(layouts.tolist()):
        for j in range(5):
            y, x = int(places[0, which, j] * 3), int(places[1, which, j] * 6)
            assert torch.equal(found[5 * i + j], level[i, :, y : y + 7, x : x + 7].flatten())


def test_descriptors_have_mean_0_and_variance_1_per_channel_and_a_constant_channel_is_0():
    found = torch.randn(50, 3 * 49) * 7 + 5
    found[:, 49:98] = 3.0
    channels = normalized(found).view(50, 3, 49).double()
    assert channels.mean((0, 2)).tolist() == pytest.approx([0, 0, 0], abs=1e-6)
    assert channels.std((0, 2), correction=0).tolist() == pytest.approx([1, 0, 1], abs=1e-6)


def test_the_distance_is_the_mean_of_scipys_over_the_directions():
    real, generated = pictures(seed=1), pictures(seed=2)
    expected = []
    for i, size in enumerate(sizes(32, 32)):
        places = torch.rand(2, LAYOUTS, 16, generator=keys.generator("sliced wasserstein", 0, "places", i))
        a, b = (normalized(patches(pyramid(x)[i], layout(x), places)) for x in (real, generated))
        random = keys.generator("sliced wasserstein", 0, "directions", i)
        directions = torch.nn.functional.normalize(torch.randn(48, 147, generator=random))
        each = [stats.wasserstein_distance((a @ d).numpy(), (b @ d).numpy()) for d in directions]
        expected.append(1e3 * np.mean(each))
        assert SMALL.levels(real, generated)[size] == pytest.approx(expected[-1], rel=1e-5)
    assert distance(real, generated) == pytest.approx(np.mean(expected), rel=1e-5)


def test_a_set_in_another_order_is_at_distance_0_to_itself():
    samples = pictures()
    assert distance(samples, samples.flip(0)) == 0


def test_the_order_of_the_generated_pictures_changes_nothing():
    real, generated = pictures(seed=1), pictures(seed=2)
    assert distance(real, generated) == pytest.approx(distance(real, generated.flip(0)), rel=1e-6)


def test_it_is_symmetric():
    a, b = pictures(seed=1), pictures(seed=2)
    assert distance(a, b) == pytest.approx(distance(b, a), rel=1e-12)


def test_more_noise_is_farther_and_it_is_the_finest_level_that_sees_it():
    samples = pictures(100)
    distances = [distance(samples, noisy(samples, amount)) for amount in (0, 10, 25, 60)]
    assert distances == sorted(distances)
    (fine, coarse), (fine_before, coarse_before) = (
        SMALL.levels(samples, noisy(samples, amount)).values()
        for amount in (25, 0.6)  # 0.6 does little but move the patches
    )
    assert fine - fine_before > 2 * (coarse - coarse_before)


def test_of_the_larger_side_the_first_pictures_are_taken():
    real, generated = pictures(12, seed=1), pictures(7, seed=2)
    assert distance(real, generated) == distance(real[:7], generated)
    assert distance(generated, real) == distance(generated, real[:7])


def test_a_collapsed_set_is_far_and_finite():
    real = pictures()
    flat = torch.full_like(real, 255)
    assert 100 < distance(real, flat) < 2000


def test_its_standard_error_falls_with_more_pictures():
    errors = []
    for n in (40, 640):
        real, generated = pictures(n, 16, 16, seed=1), noisy(pictures(n, 16, 16, seed=2), 20)
        errors.append(SlicedWasserstein(descriptors=4).error(side(real), side(generated))["swd"])
    assert 0 < errors[1] < errors[0] / 2


def test_pictures_smaller_than_a_patch_are_refused_by_name():
    with pytest.raises(UsageError, match="4 × 8 hold no patch of 7 × 7"):
        distance(pictures(4, 4, 8), pictures(4, 4, 8))
