"""Charts: known answers and laws of ticks, thinning, gaps and texts."""

import math
import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gansaku.render.curves import (
    COLUMNS,
    Mark,
    Series,
    Shade,
    chart,
    drawable,
    legend,
    nice_step,
    scaled,
    short,
    thinned,
    ticks_between,
)

NAN, INFINITE = math.nan, math.inf
ANY = st.floats(allow_nan=True, allow_infinity=True)


def drawn(*values, **how):
    """A chart of one series, a value every 10 samples."""
    return chart("Title", [Series("name", "label", [(10 * (i + 1), v) for i, v in enumerate(values)])], 10 * len(values), **how)


def path(svg):
    found = re.search(r'<path d="([^"]*)"', svg)
    return found[1] if found else ""


@pytest.mark.parametrize("points", [COLUMNS + 1, 5_000, 20_000])
def test_thinning_keeps_the_extremes_and_the_ends_of_every_pixel_column(points):
    rng = np.random.default_rng(0)
    end = 37 * points
    all_points = [(37 * (i + 1), float(v)) for i, v in enumerate(rng.standard_cauchy(points))]
    kept = thinned(all_points, end)
    assert kept == sorted(set(kept))
    assert set(kept) <= set(all_points)
    assert len(kept) <= 4 * (COLUMNS + 1)

    def columns(some):
        found = {}
        for seen, value in some:
            found.setdefault(int(seen / end * COLUMNS), []).append(value)
        return {column: (min(v), max(v), v[0], v[-1]) for column, v in found.items()}

    assert columns(kept) == columns(all_points)


def test_thinning_leaves_few_points_alone_and_loses_no_gap():
    few = [(i, float(i % 7)) for i in range(COLUMNS)]
    assert thinned(few, COLUMNS) == few
    many = [(i, NAN if i == 4_321 else 0.0) for i in range(10_000)]
    assert [seen for seen, value in thinned(many, 10_000) if math.isnan(value)] == [4_321]


def test_what_is_not_finite_is_a_gap_with_a_cross():
    for wrong in (NAN, INFINITE, -INFINITE):
        svg = drawn(1.0, 2.0, wrong, 3.0, 4.0)
        assert path(svg).count("M") == 2
        assert re.findall(r'class="gap" x="([\d.]+)%"', svg) == ["60"]
        assert "not finite at 30" in svg
    assert path(drawn(1.0, 2.0, 3.0)).count("M") == 1


def test_a_log_axis_leaves_out_what_is_not_positive_and_says_nothing_of_it():
    svg = drawn(1.0, 10.0, 0.0, -5.0, 10.0, 100.0, log=True)
    assert path(svg).count("M") == 2
    assert 'class="gap"' not in svg
    assert re.findall(r'text-anchor="end">([^<]*)<', svg) == ["1", "2", "5", "10", "20", "50", "100"]


def test_a_point_alone_is_a_dot():
    svg = drawn(0.5)
    assert path(svg) == ""
    assert svg.count("<circle") == 1
    assert drawn(1.0, 2.0, NAN, 3.0, NAN, 4.0, 5.0).count("<circle") == 1


def test_a_chart_without_points_says_so():
    for nothing in ([], [Series("name", "label", [])]):
        assert "no numbers yet" in chart("Title", nothing, 100)
    assert "no numbers yet" not in drawn(0.5)


def test_a_line_goes_through_its_points():
    assert path(drawn(0.0, 1.0, 0.25, bounds=(0, 1))) == "M667 1000 1333 0 2000 750"
    assert path(drawn(1.0, 10.0, 100.0, log=True)) == "M667 1000 1333 500 2000 0"


def test_whoever_reads_along_finds_the_points():
    svg = drawn(0.5, NAN, 123456.0)
    assert 'data-x="10 20 30" data-y="0.5 nan 1.235e+05"' in svg
    assert 'data-end="30"' in svg


@pytest.mark.parametrize(
    ("low", "high", "count", "ticks"),
    [
        (0, 1, 5, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (0, 250_048, 6, [0, 50_000, 100_000, 150_000, 200_000, 250_000]),
        (-3, 7, 5, [-2, 0, 2, 4, 6]),
        (0.011, 0.019, 4, [0.012, 0.014, 0.016, 0.018]),
    ],
)
def test_ticks_are_where_a_person_would_put_them(low, high, count, ticks):
    assert ticks_between(low, high, count) == pytest.approx(ticks)


@settings(max_examples=50)
@given(st.floats(1e-200, 1e200), st.integers(1, 10))
def test_a_step_is_1_2_or_5_times_a_power_of_ten_and_the_smallest_that_is_enough(span, count):
    step = nice_step(span, count)
    mantissa = step / 10 ** math.floor(math.log10(step) + 1e-9)
    assert round(mantissa, 6) in (1, 2, 5)
    assert step * count >= span * (1 - 1e-6)
    assert step / 2.5 * count < span * (1 + 1e-6)


@settings(max_examples=100)
@given(st.lists(ANY, max_size=6), st.booleans(), st.integers(1, 6))
def test_every_value_lies_on_its_axis(values, log, count):
    fitting = [v for v in values if drawable(v, log)]
    scale = scaled(fitting, log, None, count)
    assert all(-1e-6 <= scale.place(v) <= 1 + 1e-6 for v in fitting)
    assert all(-1e-6 <= scale.place(tick) <= 1 + 1e-6 for tick in scale.ticks)
    assert 1 <= len(scale.ticks) <= count + 4


@settings(max_examples=100)
@given(st.lists(ANY, max_size=6), st.booleans())
def test_every_chart_is_well_formed_and_has_no_place_outside_numbers(values, log):
    svg = drawn(*values, log=log)
    ElementTree.fromstring(svg)
    places = re.sub(r'(aria-label|data-\w+)="[^"]*"|<title>.*?</title>|<text[^>]*>', "", svg)
    assert not re.search(r"nan|inf", places)


def test_names_labels_and_sentences_are_escaped():
    hostile = '<script>alert("1")</script>'
    series = [Series(hostile, hostile, [(1, 1.0), (2, 2.0)])]
    whole = chart(hostile, series, 2, marks=[Mark(1, hostile, hostile)]) + legend(series)
    assert "<script" not in whole
    assert whole.count("&lt;script&gt;") == 6
    ElementTree.fromstring(f"<div>{whole}</div>")


def test_the_legend_has_the_last_value_and_the_key_of_each_line():
    text = legend(
        [Series("a", "D(x)", [(1, 0.7), (2, 0.51234)], 1), Series("b", "speed", [(1, 12345.0)], 2), Series("c", "new", [])]
    )
    assert re.findall(r'class="key (s\d)"></i>([^<]*) <b>([^<]*)</b>', text) == [
        ("s1", "D(x)", "0.512"),
        ("s2", "speed", "12.3k"),
        ("s1", "new", "none yet"),
    ]  # fmt: skip


def test_a_line_that_lies_on_an_earlier_one_is_dashed():
    points = [(1, 0.001), (2, 0.001)]
    twins = [Series("a", "a", points, 1), Series("b", "b", list(points), 2), Series("c", "c", [(1, 0.002)], 3)]
    assert re.findall(r'class="series (s\d(?: same)?)"', chart("Rates", twins, 2)) == ["s1", "s2 same", "s3"]
    assert re.findall(r'class="key (s\d(?: same)?)"', legend(twins)) == ["s1", "s2 same", "s3"]


def test_an_event_is_a_hairline_where_it_happened_and_what_happened_at_0_is_the_axis():
    marks = [Mark(0, "start", "begins"), Mark(25, "alarm", "too strong"), Mark(99, "start", "later than all numbers")]
    svg = drawn(1.0, 2.0, 3.0, 4.0, 5.0, marks=marks)
    assert re.findall(r'class="mark (\w+)" x1="([\d.]+)%"', svg) == [("alarm", "50")]
    assert "alarm at 25: too strong" in svg


def test_a_thousand_events_in_one_place_are_one_hairline():
    svg = drawn(1.0, 2.0, marks=[Mark(10, "alarm", f"number {i}") for i in range(1000)])
    assert svg.count('class="mark') == 1


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"), (-0.0, "0"), (0.5, "0.5"), (0.123456, "0.123"), (-1.5, "−1.5"), (999.4, "999"), (999.6, "1k"),
        (10_000, "10k"), (250_048, "250k"), (1_500_000, "1.5M"), (2e9, "2G"), (0.001, "0.001"), (0.00025, "2.5e−4"),
        (1e-9, "1e−9"), (3e20, "3e20"), (999_999_999, "1G"), (NAN, "not a number"), (INFINITE, "∞"), (-INFINITE, "−∞"),
    ],
)  # fmt: skip
def test_numbers_are_written_as_people_write_them(value, text):
    assert short(value) == text


def test_ticks_that_are_close_together_are_told_apart():
    texts = re.findall(r'text-anchor="end">([^<]*)<', drawn(1234.1, 1234.5))
    assert len(set(texts)) == len(texts) > 2


def test_the_picture_says_what_it_is_to_those_who_do_not_see_it():
    assert 'role="img" aria-label="Title, over samples seen; last values: label 2"' in drawn(1.0, 2.0)


def test_a_stretch_is_tinted_where_it_fades_in_as_far_as_the_run_is():
    shades = [
        Shade(0, 0, 20, "4²", "a"),
        Shade(20, 30, 40, "8²", "b & c"),
        Shade(40, 80, 90, "16²", "d"),
        Shade(90, 95, 99, "", ""),
    ]
    svg = drawn(*[1.0] * 5, shades=shades)
    ElementTree.fromstring(svg)
    assert re.findall(r'class="shade" x="([\d.]+)%" width="([\d.]+)%"', svg) == [("40", "20"), ("80", "20")]
    assert re.findall(r'class="border" x1="([\d.]+)%"', svg) == ["40", "80"]
    assert re.findall(r'class="name" x="([\d.]+)%"[^>]*>([^<]*)<', svg) == [("20", "4²"), ("60", "8²"), ("90", "16²")]
    assert "b &amp; c" in svg


def test_a_name_stands_where_there_is_room_for_it():
    shades = [Shade(0, 0, 96, "4²", ""), Shade(96, 98, 100, "8²", "")]
    assert re.findall(r'class="name"[^>]*>([^<]*)<', drawn(*[1.0] * 10, shades=shades)) == ["4²"]
    narrow = [Shade(0, 0, 92, "4²", ""), Shade(92, 96, 100, "8²", "")]
    assert len(re.findall(r'class="name"', drawn(*[1.0] * 10, shades=narrow))) == 2
    assert len(re.findall(r'class="name"', drawn(*[1.0] * 10, shades=narrow, ticks=2))) == 1, "a small chart"
