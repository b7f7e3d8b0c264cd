"""The checkerboard number sees what upsampling leaves, and neither noise, blur nor what real pictures have themselves."""

import functools

import numpy as np
import pytest
import torch
from torch.nn.functional import conv2d, interpolate, pad

from gansaku.data.bundled import avatars_file
from gansaku.errors import UsageError
from gansaku.metrics.contract import Side
from gansaku.metrics.spectrum import Checkerboard, excess, peaks, periods, power
from gansaku.networks.dcgan import DCGANGenerator


@functools.cache
def avatars():
    with np.load(avatars_file()) as file:
        return torch.from_numpy(file["x"][:800]).permute(0, 3, 1, 2).contiguous()


def textures(n=200, height=64, width=48, seed=0):
    """Random pictures whose power falls with the square of the frequency, as photographs' does."""
    noise = torch.randn(n, 3, height, width, generator=torch.Generator().manual_seed(seed))
    y, x = torch.fft.fftfreq(height).view(-1, 1), torch.fft.fftfreq(width)
    falling = 1 / (y.square() + x.square()).sqrt().clamp_min(1 / height)
    made = torch.fft.ifft2(torch.fft.fft2(noise) * falling).real
    return (128 + 40 * made / made.std()).round().clamp(0, 255).to(torch.uint8)


def grid(samples, period, amplitude):
    """With a checkerboard of this period added."""
    y, x = (torch.arange(side) // (period // 2) % 2 for side in samples.shape[2:])
    return (samples + amplitude * (1 - 2 * (y.view(-1, 1) ^ x).float())).round().clamp(0, 255).to(torch.uint8)


def noisy(samples, amount):
    noise = torch.randn(samples.shape, generator=torch.Generator().manual_seed(9))
    return (samples + amount * noise).round().clamp(0, 255).to(torch.uint8)


def blurred(samples):
    kernel = torch.tensor([[1.0, 2.0, 1.0], [2.0, 4.0, 2.0], [1.0, 2.0, 1.0]]).view(1, 1, 3, 3) / 16
    flat = pad(samples.flatten(0, 1).unsqueeze(1).float(), (1, 1, 1, 1), "replicate")
    return conv2d(flat, kernel).view(samples.shape).round().to(torch.uint8)


def strength(real, generated):
    return Checkerboard().values(Side(len(real), samples=real), Side(len(generated), samples=generated))["checkerboard"]


SETS = {"avatars": lambda: (avatars()[:400], avatars()[400:]), "textures": lambda: (textures(), textures(seed=1))}


@pytest.mark.parametrize("halves", SETS.values(), ids=SETS)
class TestOnEverySet:
    def test_two_halves_are_alike(self, halves):
        one, other = halves()
        assert 0 <= strength(one, other) < 0.2
        assert strength(one, one) == 0

    @pytest.mark.parametrize("period", [2, 4, 8])
    def test_a_grid_is_seen_and_a_stronger_one_more(self, halves, period):
        one, other = halves()
        found = [strength(one, grid(other, period, amplitude)) for amplitude in (0, 4, 8, 16, 32)]
        assert found == sorted(found)
        assert found[-1] > 4 + found[0]

    def test_noise_does_not_count(self, halves):
        one, other = halves()
        for generated in (noisy(other, 10), noisy(other, 60), torch.randint(0, 256, other.shape, dtype=torch.uint8)):
            assert strength(one, generated) < 0.4

    def test_blur_does_not_count(self, halves):
        one, other = halves()
        assert strength(one, blurred(other)) < 0.2
        assert strength(one, blurred(blurred(other))) < 0.2

    def test_what_the_real_set_has_itself_does_not_count(self, halves):
        one, other = halves()
        assert strength(grid(one, 8, 16), grid(other, 8, 16)) < 0.3
        assert strength(grid(one, 8, 16), other) < 0.2

    def test_flat_pictures_have_none(self, halves):
        real, _ = halves()
        assert strength(real, torch.full_like(real, 255)) == 0
        assert strength(torch.full_like(real, 255), real) < 3


def test_the_period_is_told_apart():
    one, other = textures(), textures(seed=1)
    for period in (2, 4, 8):
        found = excess(peaks(power(one)), peaks(power(grid(other, period, 16))))
        assert found.pop(period) > 3
        assert max(found.values()) < 0.3


@pytest.mark.parametrize("axis", [2, 3])
def test_upright_and_level_edges_are_no_grid(axis):
    """Bars at random places are a ridge in the spectrum that crosses many of the frequencies."""
    one, other = textures(height=64, width=64), textures(height=64, width=64, seed=1)
    shape = [len(one), 1, 64, 64]
    shape[axis] = 1
    bars = 60 * torch.randn(shape, generator=torch.Generator().manual_seed(0))
    assert strength(one, (other + bars).round().clamp(0, 255).to(torch.uint8)) < 0.4


def test_transposed_convolutions_show_before_training_and_resizing_ones_do_not():
    """Article 4's crosses: the untrained DCGAN has them where it grows by transposed convolution."""
    found = {}
    for how in ("transpose", "resize"):
        torch.manual_seed(0)
        network = DCGANGenerator((3, 32, 32), latent=16, width=8, grow=how).build()
        with torch.no_grad():
            made = network(torch.randn(60, 16), None, None)
        found[how] = strength(avatars()[:400], (128 + 40 * made / made.std()).round().clamp(0, 255).to(torch.uint8))
    assert found["transpose"] > 10
    assert found["resize"] < 0.4


def test_nearest_neighbour_enlargement_has_no_power_at_the_highest_frequency():
    small = interpolate(textures().float(), scale_factor=0.5, mode="area")
    assert strength(textures(seed=1), interpolate(small, scale_factor=2).round().to(torch.uint8)) < 0.4


def test_the_power_of_a_wave_is_where_it_should_be():
    """A cosine of amplitude a under a Hann window: (a/2 · sum of the window)² in its bin."""
    wave = (128 + 100 * torch.cos(2 * torch.pi * torch.arange(32) / 4)).round().expand(24, 32).to(torch.uint8)
    found = power(wave.expand(2, 1, 24, 32))
    assert float(found[0, 8]) == pytest.approx((50 * (24 / 2) * (32 / 2)) ** 2, rel=1e-6)
    assert int(found[0, :17].argmax()) == 8


@pytest.mark.parametrize(
    ("size", "expected"), [((8, 8), (2,)), ((16, 32), (2, 4)), ((32, 64), (2, 4, 8)), ((28, 28), (2, 4)), ((50, 50), (2,))]
)
def test_periods_have_room_between_their_harmonics(size, expected):
    assert periods(*size) == expected


def test_odd_sides_are_refused():
    with pytest.raises(UsageError, match="not for 33 × 32"):
        periods(33, 32)


def test_a_reference_made_before_gives_the_same_number():
    real, generated = textures(), grid(textures(seed=1), 4, 8)
    metric, sides = Checkerboard(), [Side(len(x), samples=x) for x in (real, generated)]
    assert metric.values(*sides, metric.reference(sides[0])) == metric.values(*sides)
