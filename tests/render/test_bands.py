"""Lines that stand for others: the band around them is where it is said to be, and nothing leaves the chart."""

import math
import re

import pytest

from gansaku.render.curves import HIGH, WIDE, Series, chart, legend

POINTS = [(0, 2.0), (50, 4.0), (100, 2.0)]
BAND = [(0, 1.0, 3.0), (50, 3.0, 5.0), (100, 1.0, 3.0)]


def places(svg, kind):
    """The corners of each path of a kind, from 0 to 1 across and up."""
    groups = re.findall(rf'<g class="{kind} s(\d)"[^>]*>(.*?)</g>', svg)
    found = []
    for colour, inner in groups:
        numbers = [float(n) for n in re.findall(r"-?[\d.]+", "".join(re.findall(r'<path d="([^"]*)"', inner)))]
        found.append((int(colour), [(x / WIDE, 1 - y / HIGH) for x, y in zip(numbers[::2], numbers[1::2], strict=True)]))
    return found


def test_a_band_goes_forth_along_its_upper_edge_and_back_along_the_lower_one():
    svg = chart("Title", [Series("a", "a", POINTS, 3, BAND)], 100, bounds=(0, 5))
    assert places(svg, "band") == [
        (3, [(0, pytest.approx(0.6)), (0.5, 1), (1, pytest.approx(0.6)), (1, pytest.approx(0.2)), (0.5, pytest.approx(0.6)),
             (0, pytest.approx(0.2))]),
    ]  # fmt: skip


def test_a_band_that_goes_on_is_cut_where_the_chart_ends():
    wide = [(x, -math.inf, math.inf) for x, _ in POINTS]
    for log in (False, True):
        (_, corners), *_ = places(chart("Title", [Series("a", "a", POINTS, 1, wide)], 100, log=log), "band")
        assert [y for _, y in corners] == pytest.approx([1, 1, 1, 0, 0, 0])


def test_a_band_of_one_point_has_a_width():
    (_, corners), *_ = places(chart("Title", [Series("a", "a", POINTS[1:2], 1, BAND[1:2])], 100), "band")
    assert [x for x, _ in corners] == pytest.approx([0.49, 0.51, 0.51, 0.49])


def test_strands_are_within_the_axis_have_gaps_with_crosses_and_no_numbers_of_their_own():
    strands = [[(0, 1.0), (100, 9.0)], [(0, 1.0), (50, 2.0), (50, math.nan)]]
    one = Series("a", "a", POINTS, 2, (), strands)
    svg = chart("Title", [one], 100)
    assert re.search(r'data-bottom="0" data-top="10"', svg)
    assert [(colour, len(corners)) for colour, corners in places(svg, "strand")] == [(2, 2), (2, 2)]
    assert svg.count('class="gap"') == 1
    assert svg.count("data-x") == 1
    assert legend([one]) == legend([Series("a", "a", POINTS, 2)])


def test_a_chart_without_bands_and_strands_is_as_it_was():
    svg = chart("Title", [Series("a", "a", POINTS)], 100)
    assert "band" not in svg
    assert "strand" not in svg
