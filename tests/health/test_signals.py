"""Every signal on samples for which its value is known, and on broken generators for which it must move."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from gansaku.errors import RecipeError
from gansaku.health import judgement, registry, values, variety
from gansaku.health.contract import Look, Nudge, Outputs, Signal
from gansaku.health.meaning import TITLES, Meaning, from_plain, step_meaning
from gansaku.metrics.contract import Side
from gansaku.parts import _registry, part
from gansaku.sampling import quantized

PICTURES, VOXELS = (3, 16, 24), (1, 8, 16, 8)
both = pytest.mark.parametrize("shape", [PICTURES, VOXELS], ids=["2d", "3d"])


def noise(n: int, shape: tuple[int, ...], seed: int = 0) -> Tensor:
    """(n, *shape) in [-1, 1], each sample with a level of its own."""
    draw = torch.Generator().manual_seed(seed)
    x = torch.rand(n, *shape, generator=draw) + torch.rand(n, *[1] * len(shape), generator=draw)
    return x - 1 if len(shape) == 3 else (x - 1).sign()


def side(x: Tensor, features: Tensor | None = None, labels: Tensor | None = None) -> Side:
    stored = x.gt(0).to(torch.uint8) if x.ndim == 5 else quantized(x)
    return Side(len(x), x.flatten(1).float() if features is None else features, None, stored, labels)


def look(fake: Tensor, real: Tensor | None = None, **rest) -> Look:
    still = Nudge(fake[:2], fake[:2], torch.ones(2), torch.ones(()))
    return Look(fake, side(fake), side(noise(16, tuple(fake.shape[1:]), 9) if real is None else real), still, **rest)


def told(signal: Signal, real: Tensor | Side, seen: Look) -> dict[str, float]:
    real = real if isinstance(real, Side) else side(real)
    found = signal(seen, signal.reference(real))
    assert all(isinstance(value, Tensor) and value.shape == () for value in found.values()), found
    companions = {meaning.data for meaning in signal.gives.values()}
    assert found.keys() <= signal.gives.keys() | companions
    return {name: float(value) for name, value in found.items()}


# Variety


@both
def test_samples_that_are_the_data_have_their_diversity_and_one_sample_alone_has_none(shape):
    real = noise(40, shape)
    same = told(variety.Variety(), real, look(real))
    assert same == pytest.approx({"diversity": 1.0, "diversity_pixels": 1.0}, abs=1e-12)
    assert set(told(variety.Variety(), real, look(real[:1].expand(40, *shape))).values()) == {0.0}


def test_diversity_is_two_sided():
    """Twice the spread, twice the diversity: what is above 1 is seen as well as what is below."""
    real = noise(40, PICTURES)
    wide = replace(look(real), generated=side(real, features=2 * real.flatten(1)))
    assert told(variety.Variety(), real, wide)["diversity"] == pytest.approx(2.0)
    assert told(variety.Variety(), real, look(real / 2))["diversity_pixels"] == pytest.approx(
        0.5, abs=0.01
    )  # rounding to 0..255


def test_distances_are_those_of_every_pair():
    x = torch.randn(7, 5, dtype=torch.float64)
    slow = [float((x[i] - x[j]).norm()) for i in range(7) for j in range(i + 1, 7)]
    assert variety.distances(x).tolist() == pytest.approx(slow)


@both
def test_one_mode_is_all_duplicates_and_the_data_have_a_thousandth(shape):
    real = noise(60, shape)
    own = pytest.approx(0.001, abs=1 / (60 * 59 / 2))
    assert told(variety.Duplicates(), real, look(real[:1].expand(60, *shape))) == {"duplicates": 1.0, "duplicates_real": own}
    assert told(variety.Duplicates(), real, look(real))["duplicates"] == own
    halves = torch.cat([real[:30], real[:30] + 1e-4]) if len(shape) == 3 else real[:30].repeat(2, 1, 1, 1, 1)
    assert told(variety.Duplicates(), real, look(halves))["duplicates"] == pytest.approx(30 / 1770, abs=2 / 1770)


def test_one_mode_is_seen_beside_data_that_repeat_themselves():
    """The closest thousandth of real pairs is then at no distance at all: 10 · 6 of 780 pairs are."""
    real = noise(10, PICTURES).repeat(4, 1, 1, 1)
    assert told(variety.Duplicates(), real, look(real[:1].expand(40, *PICTURES))) == {
        "duplicates": 1.0,
        "duplicates_real": 60 / 780,
    }


@pytest.mark.parametrize("scale", [0.3, 1.0, 4.0])
def test_a_linear_generator_whose_samples_spread_as_the_data_has_sensitivity_1(scale):
    """G = A z, z ~ N(0, scale²): over all directions mean |A ε|² / |ε|² = tr AᵀA / Z, and var(x) = scale² tr AᵀA."""
    a = torch.randn(48, 6, dtype=torch.float64)
    nudge = Nudge(torch.zeros(6, 48), 0.01 * a.T, torch.full((6,), 0.01), torch.tensor(scale * math.sqrt(6)))
    spread = scale * a.square().sum().sqrt()
    seen = replace(look(noise(4, PICTURES)), nudge=nudge)
    assert float(variety.Sensitivity()(seen, spread)["sensitivity"]) == pytest.approx(1.0, abs=1e-6)
    deaf = replace(seen, nudge=nudge._replace(after=nudge.before))
    assert float(variety.Sensitivity()(deaf, spread)["sensitivity"]) == 0.0


@both
def test_the_spread_of_the_data_is_the_root_of_their_summed_variances(shape):
    real = noise(20, shape)
    expected = variety.signed(side(real)).flatten(1)
    slow = sum(float(((column - column.mean()) ** 2).sum()) / 19 for column in expected.T)
    assert float(variety.Sensitivity().reference(side(real))) == pytest.approx(math.sqrt(slow))


def test_a_class_that_collapses_is_seen_though_the_others_do_not():
    labels = torch.arange(48) % 3
    real = noise(48, PICTURES)
    fake = real.clone()
    assert told(
        variety.ClassDiversity(), side(real, labels=labels), replace(look(fake), generated=side(fake, labels=labels))
    ) == (pytest.approx({"class_diversity": 1.0}))
    fake[labels == 1] = fake[1].clone()
    broken = replace(look(fake), generated=side(fake, labels=labels))
    assert told(variety.ClassDiversity(), side(real, labels=labels), broken) == {"class_diversity": 0.0}
    assert told(variety.Variety(), real, broken)["diversity"] > 0.8


def test_classes_that_the_reference_has_few_of_are_held_to_what_classes_have_on_average():
    labels, real = torch.tensor([0] * 10 + [1] * 2), noise(12, PICTURES)
    fake = noise(8, PICTURES, 1)
    seen = replace(look(fake), by_class=side(fake, labels=torch.ones(8, dtype=torch.int64)))
    x = real.flatten(1).double()
    pooled = torch.cat([variety.distances(x[:10]), variety.distances(x[10:])]).mean()
    assert told(variety.ClassDiversity(), side(real, labels=labels), seen)["class_diversity"] == pytest.approx(
        float(variety.distances(fake.flatten(1)).mean() / pooled)
    )


@both
def test_the_kernel_distance_is_the_unbiased_estimate_and_grows_with_the_fault(shape):
    real, fresh, fake = (torch.randn(n, 10, dtype=torch.float64) for n in (12, 9, 7))

    def slow(x, y):
        def k(a, b):
            return float(a @ b / 10 + 1) ** 3

        within = [
            sum(k(a, b) for i, a in enumerate(s) for j, b in enumerate(s) if i != j) / len(s) / (len(s) - 1) for s in (x, y)
        ]
        return sum(within) - 2 * sum(k(a, b) for a in x for b in y) / len(x) / len(y)

    seen = look(noise(7, shape))
    seen = replace(seen, generated=side(seen.fake, fake), real=side(noise(9, shape), fresh))
    found = told(variety.RandomKernelDistance(), side(noise(12, shape), real), seen)
    assert found == pytest.approx({"kernel_distance": slow(fresh, fake), "kernel_distance_real": slow(fresh, real)})
    far = replace(seen, generated=side(seen.fake, fake + 3))
    assert told(variety.RandomKernelDistance(), side(noise(12, shape), real), far)["kernel_distance"] > 5


# The discriminator


def outputs(train, fake, held_out=None, reading="logit", boundary=0.0) -> Look:
    numbers = [None if x is None else torch.tensor(x) for x in (train, fake, held_out)]
    return look(noise(2, PICTURES), outputs=Outputs(*numbers, reading, boundary))


def test_accuracies_are_shares_over_the_boundary():
    found = told(judgement.Judgement(), noise(2, PICTURES), outputs([1.0, 2, -1, 3], [-1.0, 0, 0.5, 2], [1.0, -1, -1, -1]))
    assert found == pytest.approx({"real_accuracy": 0.75, "held_out_accuracy": 0.25, "accuracy_gap": 0.5, "fake_accuracy": 0.5,
                                   "logit_gap": 0.875})  # fmt: skip
    at_half = outputs([0.6, 0.7], [0.4, 0.6], reading="value", boundary=0.5)
    found = told(judgement.Judgement(), noise(2, PICTURES), at_half)
    assert (found["real_accuracy"], found["fake_accuracy"]) == (1.0, 0.5)
    assert "held_out_accuracy" not in found


def test_relativistic_outputs_are_judged_by_pairs():
    """All that counts is which of the two is higher: of four pairs, three have the real one above."""
    found = told(judgement.Judgement(), noise(2, PICTURES), outputs([105.0, 102], [101.0, 103], reading="relative"))
    assert found == {"real_accuracy": 0.75, "logit_gap": 1.5}


def test_swapped_labels_show_as_a_gap_below_0_and_as_accuracies_of_0():
    found = told(judgement.Judgement(), noise(2, PICTURES), outputs([-5.0, -4], [5.0, 6], [-4.0, -5]))
    assert found["logit_gap"] == -10
    assert (found["real_accuracy"], found["fake_accuracy"], found["held_out_accuracy"]) == (0, 0, 0)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(("held_out", "value"), [([4.0, 4], 0), ([0.0, 0], 1), ([2.0, 4], 0.25), ([6.0, 6], -0.5)])
def test_overfitting_is_where_held_out_samples_lie_between_training_samples_and_fakes(held_out, value, sign):
    """Whichever way D counts: BEGAN's errors are low for real samples."""
    numbers = [[sign * x for x in some] for some in ([3.0, 5], [-1.0, 1], held_out)]
    assert told(judgement.Overfitting(), noise(2, PICTURES), outputs(*numbers, reading="own")) == {"overfitting": value}
    assert told(judgement.Judgement(), noise(2, PICTURES), outputs(*numbers, reading="own")) == {}


def test_a_discriminator_that_tells_nothing_apart_has_no_overfitting():
    assert told(judgement.Overfitting(), noise(2, PICTURES), outputs([1.0], [1.0], [1.0])) == {}


# The samples' own values


@both
def test_saturated_samples_are_all_beyond_the_edge(shape):
    real = noise(8, shape)
    found = told(values.Saturation(), real, look(torch.ones(4, *shape)))
    assert found["saturation"] == 1.0
    assert found["saturation_real"] == (1.0 if len(shape) == 4 else pytest.approx(0.0, abs=0.01))
    grey = torch.full((4, *shape), 0.98)
    grey[0] = -0.995
    assert told(values.Saturation(), real, look(grey))["saturation"] == 0.25


def test_colours_are_compared_channel_by_channel():
    real = noise(30, PICTURES) * 0.4
    fake = real.clone()
    assert told(values.Colours(), real, look(fake)) == pytest.approx({"colour_shift": 0.0, "colour_spread": 1.0}, abs=0.01)
    fake[:, 1] += 0.2
    shifted = told(values.Colours(), real, look(fake))
    assert shifted["colour_shift"] == pytest.approx(0.2 / float(real[:, 1].std()), rel=0.01)
    fake = real.clone()
    fake[:, 2] *= 0.25
    fake[:, 0] *= 2
    assert told(values.Colours(), real, look(fake))["colour_spread"] == pytest.approx(0.25, rel=0.02)
    fake[:, 0] *= 3
    assert told(values.Colours(), real, look(fake))["colour_spread"] == pytest.approx(6.0, rel=0.02)


@pytest.mark.parametrize("period", [2, 4])
def test_a_checkerboard_is_seen_at_every_period(period):
    real, fake = noise(24, PICTURES) * 0.5, noise(24, PICTURES, 1) * 0.5
    rows, columns = torch.arange(16)[:, None], torch.arange(24)
    cross = ((rows * 2 // period + columns * 2 // period) % 2).float() - 0.5
    clean, broken = (told(values.Crosses(), real, look(x)) for x in (fake, fake + 0.6 * cross))
    assert clean["checkerboard"] < 1.5
    assert broken["checkerboard"] > clean["checkerboard"] + 6
    assert broken["checkerboard_real"] < 1.5


@pytest.mark.parametrize("axis", [2, 3, 4])
def test_voxels_that_are_a_pattern_along_any_axis_are_periodic(axis):
    shape = (1, 16, 16, 16)
    real, fake = noise(8, shape), noise(8, shape, 1)
    where = torch.arange(16).view([16 if i == axis else 1 for i in range(5)])
    clean, broken = (told(values.Periodicity(), real, look(x)) for x in (fake, torch.where(where % 2 == 0, fake, -1.0)))
    assert clean["periodicity"] < 2
    assert broken["periodicity"] > clean["periodicity"] + 6


def test_sizes_without_room_for_a_pattern_are_left_out():
    assert not values.Crosses().fits((3, 4, 4))
    assert not values.Crosses().fits((3, 15, 16))
    assert values.Crosses().fits((3, 8, 8))
    assert not values.Periodicity().fits((1, 4, 4, 4))
    assert values.Periodicity().fits((1, 4, 8, 8))
    assert not values.Debris().fits((2, 8, 8, 8))


def cubes(*sides: int) -> Tensor:
    """A sample each, (n, 1, 8, 16, 8), with a corner cube of this side."""
    x = torch.full((len(sides), 1, 8, 16, 8), -1.0)
    for i, s in enumerate(sides):
        x[i, :, :s, :s, :s] = 1
    return x


def test_empty_and_full_voxels_are_counted_and_lie_outside_the_data():
    real = cubes(*[2, 3, 4] * 10)
    fake = torch.cat([cubes(0, 0), torch.ones(1, 1, 8, 16, 8), cubes(3)])
    found = told(values.Occupancy(), real, look(fake))
    assert (found["empty"], found["full"], found["occupancy_outside"]) == (0.5, 0.25, 0.75)
    assert found["occupancy"] == pytest.approx((1 + 27 / 1024) / 4)
    assert found["occupancy_real"] == pytest.approx((8 + 27 + 64) / 3 / 1024)


def test_all_empty_voxels_are_seen_by_every_signal_that_can():
    real, nothing = cubes(*[2, 3, 4] * 10), cubes(*[0] * 30)
    assert told(values.Occupancy(), real, look(nothing))["empty"] == 1
    assert told(values.Debris(), real, look(nothing)) == {"pieces": 0, "pieces_real": 1}
    assert told(variety.Variety(), real, look(nothing))["diversity_pixels"] == 0
    assert told(variety.Duplicates(), real, look(nothing))["duplicates"] == 1


def test_pieces_that_do_not_touch_are_counted():
    fake = cubes(2, 2)
    fake[1, 0, 7, 15, 7] = 1
    fake[1, 0, 0, 15, 0] = 1
    assert told(values.Debris(), cubes(3), look(fake))["pieces"] == 2  # (1 + 3) / 2


# All of them


def test_every_signal_says_what_its_numbers_are():
    for name, meaning in registry.meanings().items():
        assert meaning.group in TITLES, name
        assert meaning.title, name
        assert meaning.means, name
        assert meaning.healthy, name
        assert from_plain(meaning.plain()) == meaning


def test_a_signal_is_found_by_being_there_and_two_may_not_give_one_name():
    @part
    class Mine(Signal):
        """A user's."""

        gives = {"mine": Meaning("samples", "Mine", "a number", "any")}  # noqa: RUF012

        def __call__(self, look, reference):
            return {"mine": torch.zeros(())}

    try:
        assert Mine() in registry.known()
        Mine.gives = {"diversity": Mine.gives["mine"]}
        with pytest.raises(RecipeError, match="gives 'diversity', which Variety gives"):
            registry.known()
    finally:
        del _registry["Mine"]


@pytest.mark.parametrize("content", [None, [], {}, {"group": "variety"},
                                     {"group": "x", "title": "", "means": "", "healthy": ""},
                                     {"group": "variety", "title": 1, "means": "", "healthy": ""},
                                     {"group": ["variety"], "title": "", "means": "", "healthy": ""},
                                     {"group": "variety", "title": "", "means": "", "healthy": "", "data": []}])  # fmt: skip
def test_what_is_no_meaning_is_none(content):
    assert from_plain(content) is None


@pytest.mark.parametrize(("name", "title"), [
    ("discriminator/real_probability", "D(x)"),
    ("generator/fake_probability_2", "D(G(z)) before G's step, step 2"),
    ("classifier/gradient", "Gradient norm of the classifier"),
    ("generator/update", "Update of the generator"),
    ("generator/rate", None),
    ("generator/loss/adversarial", None),
])  # fmt: skip
def test_the_steps_own_numbers_are_named_for_people(name, title):
    found = step_meaning(name)
    assert (found[1].title if found else None) == title
