"""The growth in a report: its phases behind every chart, a sheet of each from its end, and what the scores say of them."""

import json
import re
from dataclasses import replace

import pytest
from test_report import ABOUT, RECIPE, Page, draw, samples
from test_report import train as train_log

from gansaku.metrics.passport import Passport, Score
from gansaku.render.sheet import png, sheet, tiles
from gansaku.runs import log, phases
from gansaku.runs.folder import Folder
from gansaku.runs.phase_verdicts import Found
from gansaku.runs.phases import Span
from gansaku.runs.report import render
from gansaku.runs.report_growth import short, verdict
from gansaku.runs.report_scores import score_charts

PLAN = [Span(0, 200, (4, 4), False, 16, 16), Span(200, 300, (8, 8), True, 16, 8), Span(300, 500, (8, 8), False, 16, 8),
        Span(500, 600, (16, 16), True, 8, 8), Span(600, 1000, (16, 16), False, 8, 8)]  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    """A run whose second phase has just ended, worse than the first."""
    made = Folder(tmp_path / "run")
    made.create(RECIPE, ABOUT)
    phases.write(made, PLAN)
    train_log(made)
    draw(made, 2)
    (made.path / phases.SHEETS).mkdir()
    for side in (4, 8):
        content = png(sheet(tiles(samples(side=side)), columns=8))
        (made.path / phases.SHEETS / phases.sheet_name((side, side))).write_bytes(content)
    writer = log.Log(made.log)
    writer.begin(500)
    for seen, one in ((200, score(10.0, 4)), (480, score(3.0, 8, reach=None)), (500, score(2.5, 8)), (500, score(20.0, 4))):
        writer.score(seen, one)
    writer.close()
    return made


def score(value, side, reach=0.5):
    passport = Passport("fid", 60, 60, "data", "train", extractor="random-2d", settings={"size": [side, side]})
    interval = None if reach is None else (value - reach, value + reach)
    return Score(f"FD-random-2d@60 at {side} × {side}", value, interval, "lower", passport)


def test_the_table_says_what_each_phase_is_and_how_it_ended(folder):
    page = Page(render(folder))
    text = page.text.partition("Growth")[2].partition("Scores Only")[0]
    assert "4 × 4–2001610 [9.5, 10.5]–over" in text
    assert "8 × 8100200168 at once2.5 [2, 3]20 [19.5, 20.5]it was 10 [9.5, 10.5]worse than 4 × 4" in text
    assert "16 × 161004008––fading in now" in text
    assert "by more than 25 %" in text
    assert [a["class"] for a in page.all("span") if "verdict" in a.get("class", "")] == ["verdict worse"] * 2


def test_what_is_no_worse_does_not_look_worse():
    span = PLAN[2]
    found = [Found(span, None, score(10.0, 4), score(value, 4), PLAN[0]) for value in (5.0, 10.0, 15.0)]
    assert [re.findall(r'class="verdict ([a-z-]+)">([^<]*)<', verdict(one)) for one in found] == [
        [("better", "better than 4 × 4")], [("no-worse", "no worse than 4 × 4")], [("worse", "worse than 4 × 4")],
    ]  # fmt: skip


def test_the_sheets_of_the_phases_stand_together_with_their_scores(folder):
    page = Page(render(folder))
    sheets = [a["alt"] for a in page.all("img") if "phase" in a["alt"]]
    assert sheets == ["Samples of 4 × 4 at the end of its phase", "Samples of 8 × 8 at the end of its phase"]
    assert "8 × 8 after 500 samplesFD-random-2d@60 at 8 × 8 2.5worse than 4 × 4" in page.text
    assert len(page.all("input", id="slider")) == 1, "the others are turned as before"


def test_every_chart_has_the_phases_behind_it(folder):
    page = Page(render(folder))
    shades = page.all("rect", class_="shade")
    charts = len(page.all("svg", class_="curves"))
    assert charts > 5
    assert [(a["x"], a["width"]) for a in shades] == [("40%", "20%")] * charts, "what is to come is not shown"
    assert {a["x1"] for a in page.all("line", class_="border")} == {"40%"}
    names = [t for t in page.texts if t in ("4²", "8²", "16²")]
    assert names == ["4²", "8²"] * charts


def test_the_scores_of_all_sizes_are_one_chart(folder):
    (chart,) = score_charts(log.scores(folder.log))
    assert chart.title == "FD-random-2d@60 at each size"
    assert [(one.label, list(one.points)) for one in chart.series] == [
        ("4 × 4", [(200, 10.0), (500, 20.0)]), ("8 × 8", [(480, 3.0), (500, 2.5)]),
    ]  # fmt: skip
    assert chart.log
    full = replace(score(2.0, 16), name="FD-random-2d@60")
    assert [one.label for one in score_charts([(200, score(10.0, 4)), (900, full)])[0].series] == ["4 × 4", "full size"]


def test_a_run_that_does_not_grow_has_none_of_it(folder):
    (folder.path / phases.FILE).unlink()
    page = Page(render(folder))
    assert 'id="growth"' not in render(folder)
    assert not page.all("rect", class_="shade")
    assert "tinted" not in page.text


@pytest.mark.parametrize("size", ["<b>", [4, "<b>"], {}, [10**30, 4]])
def test_it_believes_nothing_that_it_reads(folder, size):
    plain = [PLAN[0].plain() | {"size": size}, *[span.plain() for span in PLAN[1:]]]
    (folder.path / phases.FILE).write_text(json.dumps({"phases": plain}))
    with log.connect(folder.log) as connection:
        connection.execute("update scores set score = replace(score, '{\"size\": [4, 4]}', '3')")
    (folder.path / phases.SHEETS / "8x8.png").write_bytes(b"no picture")
    page = Page(render(folder))
    assert "8 × 8" in page.text
    assert not page.all("b", class_="x")
    assert len(re.findall("<b>", render(folder))) == len(page.all("b"))


def test_sizes_are_named_in_a_word():
    assert [short(size) for size in ((8, 8), (4, 4, 4), (4, 8), (16,))] == ["8²", "4³", "4 × 8", "16"]
