"""Alarms on voxels of which it is known what is wrong with them, and the way they begin and end."""

import math
from functools import cache

import numpy as np
import pytest
import torch

from gansaku.data.bundled import chairs
from gansaku.errors import RecipeError
from gansaku.health import values
from gansaku.health.alarms import Detector, Emptiness, Excess, Fullness, Islands, Looked, Pattern, alarms, history_of, known
from gansaku.health.contract import Look, Nudge
from gansaku.metrics.contract import Side
from gansaku.parts import _registry, part

SIDE = 16
PLACE = torch.arange(SIDE)
CHECKERBOARD = (PLACE[:, None, None] + PLACE[:, None] + PLACE) % 2
LATTICE = ((PLACE % 4 == 0)[:, None, None] & (PLACE % 4 == 0)[:, None] & (PLACE % 4 == 0)).long()


@cache
def shapes():
    """(120, 1, 16, 16, 16): chairs."""
    return torch.from_numpy(chairs(120, SIDE).astype(np.uint8))[:, None].long()


def chairs_with_islands(count):
    draw = torch.Generator().manual_seed(0)
    x = shapes()[96:].clone()
    for one in x:
        for d, h, w in torch.randint(0, SIDE - 1, (count, 3), generator=draw).tolist():
            one[0, d : d + 2, h : h + 2, w : w + 2] = 1
    return x


def side(x):
    return Side(len(x), None, None, x.to(torch.uint8).contiguous())


def signals(made, data=None):
    """What a look says of these voxels beside 96 chairs, or other data."""
    data = shapes()[:96] if data is None else data
    look = Look(made * 2.0 - 1, side(made), side(data[64:]), Nudge(*[torch.zeros(1)] * 4))
    found = {}
    for signal in (values.Occupancy(), values.Debris(), values.Periodicity()):
        found |= {name: float(value) for name, value in signal(look, signal.reference(side(data[:64]))).items()}
    return found


def history(*numbers):
    return [Looked(100 * i, one) for i, one in enumerate(numbers, 1)]


def kinds(numbers, times=5):
    return {alarm.kind for alarm in alarms(history(*[numbers] * times), known())}


CASES = {
    "healthy chairs": (lambda: shapes()[96:], set()),
    "chairs with a lost voxel block each": (lambda: chairs_with_islands(1), set()),
    "nothing at all": (lambda: shapes()[96:] * 0, {"empty"}),
    "solid blocks": (lambda: shapes()[96:] * 0 + 1, {"full"}),
    "a checkerboard": (lambda: CHECKERBOARD.expand(24, 1, -1, -1, -1), {"pattern"}),
    "chairs joined with a lattice": (lambda: shapes()[96:] | LATTICE, {"pattern", "islands"}),
    "chairs with eight islands each": (lambda: chairs_with_islands(8), {"islands"}),
    "a tenth of them empty": (lambda: shapes()[96:] * (torch.arange(24) > 1).view(-1, 1, 1, 1, 1), set()),
}


@pytest.mark.parametrize("name", CASES)
def test_voxels_raise_the_alarm_that_is_theirs_and_no_other(name):
    made, expected = CASES[name]
    assert kinds(signals(made())) == expected


@pytest.mark.parametrize("name", ["nothing at all", "solid blocks", "a checkerboard", "chairs joined with a lattice"])
def test_where_the_data_are_so_themselves_there_is_no_alarm(name):
    made = CASES[name][0]()
    assert kinds(signals(made, made.repeat(4, 1, 1, 1, 1))) == set()


WELL = {"empty": 0.0, "full": 0.0, "occupancy": 0.1, "occupancy_real": 0.1, "pieces": 1.0, "pieces_real": 1.0,
        "periodicity": 1.0, "periodicity_real": 0.5}  # fmt: skip
EMPTY = WELL | {"empty": 1.0, "occupancy": 0.0}


def test_an_alarm_begins_after_looks_in_a_row_stands_once_and_ends():
    found = alarms(history(EMPTY, WELL, EMPTY, EMPTY, EMPTY, WELL, WELL, EMPTY, EMPTY), [Emptiness()])
    assert [(alarm.since, alarm.until) for alarm in found] == [(400, 600), (900, None)]


def test_it_ends_when_half_of_the_samples_are_there_again_and_not_before():
    few = EMPTY | {"empty": 0.8, "occupancy": 0.02}
    assert [alarm.until for alarm in alarms(history(EMPTY, EMPTY, few, few), [Emptiness()])] == [None]
    assert [alarm.until for alarm in alarms(history(EMPTY, EMPTY, few, few | {"empty": 0.4}), [Emptiness()])] == [400]


@pytest.mark.parametrize(("detector", "name", "limit"), [(Islands(), "pieces", 2.0), (Pattern(), "periodicity", 5.5)])
def test_what_is_too_much_is_no_alarm_while_it_falls(detector, name, limit):
    def found(numbers):
        return alarms(history(*[WELL | {name: limit * factor} for factor in numbers]), [detector])

    assert found([200, 150, 110, 80, 60, 40, 20, 10, 6, 3, 1.5, 0.9]) == []  # three looks are always more than a fifth
    (stuck,) = found([200, 100, 50, 49, 48, 47, 46, 1.0])  # three looks in a row at which it does not
    assert (stuck.since, stuck.until) == (700, 800)
    assert found([1.0] * 6) == []
    assert len(found([1.01] * 6)) == 1


@pytest.mark.parametrize("detector", known(), ids=lambda one: one.kind)
def test_what_was_said_of_the_past_stays(detector):
    """Alarms of the first looks are those of all looks, but for ends that had not come."""
    draw = np.random.default_rng(0)
    looks = [{name: float(value) * scale for (name, value), scale in zip(WELL.items(), draw.choice([0, 1, 9], 8), strict=True)}
             | {"empty": float(draw.integers(2)), "full": float(draw.integers(2))} for _ in range(60)]  # fmt: skip
    whole = alarms(history(*looks), [detector])
    for n in range(len(looks)):
        seen = alarms(history(*looks[:n]), [detector])
        assert [one.since for one in seen] == [one.since for one in whole][: len(seen)]
        assert all(a.until in (None, b.until) for a, b in zip(seen, whole, strict=False))


@pytest.mark.parametrize("gap", [{}, {"share_of_time": 0.1}, dict.fromkeys(WELL, math.nan)], ids=["nothing", "others", "gaps"])
def test_looks_without_these_numbers_are_no_alarm(gap):
    assert alarms(history(*[gap] * 6), known()) == []


def test_a_gap_ends_no_alarm():
    assert alarms(history(EMPTY, EMPTY, {}, {}), [Emptiness()])[0].until is None
    many = WELL | {"pieces": 50.0}
    assert alarms(history(many, many, many, {}, {}), [Islands()])[0].until is None


def test_an_alarm_says_what_was_seen_and_what_may_help():
    (alarm,) = alarms(history(*[EMPTY | {"empty": 0.98}] * 2), known())
    assert alarm.evidence == "98% of the samples have no voxels to speak of, where the data are 10.0% full"
    assert "recipe voxels" in alarm.remedy
    (alarm,) = alarms(history(*[WELL | {"pieces": 7.25, "pieces_real": 1.5}] * 3), known())
    assert alarm.evidence == "7.2 pieces a sample, where the data have 1.5, and they stay"


def test_looks_are_read_from_the_curves_of_a_log():
    curves = {"health/empty": [(64, 0.5), (128, 1.0)], "health/pieces": [(128, 2.0)], "health/share_of_time": [(192, 0.01)],
              "discriminator/real": [(32, 3.0)]}  # fmt: skip
    assert history_of(curves) == [(64, {"empty": 0.5}), (128, {"empty": 1.0, "pieces": 2.0})]


@pytest.fixture
def collapse():
    """A user's own, of pictures as well."""

    @part
    class Collapse(Excess):
        kind = "collapse"
        remedy = "ask somebody"

        def measured(self, numbers):
            return (1 - numbers["diversity"], 0.5) if "diversity" in numbers else None

        def sentence(self, numbers):
            return f"diversity is {numbers['diversity']:.2f}"

    yield Collapse
    del _registry["Collapse"]


def test_a_detector_of_ones_own_is_found_among_the_others(collapse):
    assert isinstance(next(one for one in known() if one.kind == "collapse"), Detector)
    assert [alarm.evidence for alarm in alarms(history(*[{"diversity": 0.1}] * 3), known())] == ["diversity is 0.10"]
    assert len({one.kind for one in known()}) == len(known())


@pytest.mark.parametrize("bad", [lambda: Emptiness(0.2), lambda: Fullness(1.1), lambda: Pattern(0.0), lambda: Islands(1.0)])
def test_settings_out_of_range_are_refused(bad):
    with pytest.raises(RecipeError):
        bad()
