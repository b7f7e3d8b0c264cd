"""The report: one page that says everything of a run, also of one that is new or broken, and believes nothing it reads."""

import base64
import hashlib
import io
import json
import re
import sqlite3
from collections import Counter
from html import unescape
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from gansaku.render.sheet import png, sheet, tiles
from gansaku.runs import log, report_sheets
from gansaku.runs.folder import Folder
from gansaku.runs.log import Event
from gansaku.runs.report import Report, card, render
from gansaku.runs.report_charts import main_charts, more_charts
from gansaku.runs.report_reading import read, training_seconds
from gansaku.runs.report_sheets import MOST, ROOM, shot, spread, taken_back
from gansaku.runs.report_tables import collapsed
from gansaku.runs.report_words import e

RECIPE = 'length = 1000\nname = "auto"\n\n[generator]\nlr = 0.001\n'
ABOUT = {
    "gansaku": "0.1.0",
    "recipe": "auto",
    "data": {"name": "faces", "source": "/home/someone/pictures/faces", "size": 32, "fingerprint": "f" * 64, "shape": [3, 8, 8],
             "count": 100, "classes": ["cat", "dog"]},
    "machine": {"device": "cpu", "threads": 2, "torch": "2.13.0", "bf16": True},
}  # fmt: skip
NAMES = [
    "discriminator/loss/adversarial", "discriminator/loss/r1", "generator/loss/adversarial",
    "discriminator/real_probability", "discriminator/fake_probability",
    "generator/fake_probability", "generator/fake_probability_2",
    "discriminator/real", "discriminator/fake", "generator/fake", "discriminator/gradient", "generator/gradient",
    "discriminator/rate", "generator/rate", "samples_per_second", "discriminator/accuracy", "generator/scale",
]  # fmt: skip
VOID = {"meta", "link", "input", "img", "br", "wbr", "hr"}


class Page(HTMLParser):
    """Reads a page as a browser would, and is strict: every tag that is opened is closed, in order."""

    def __init__(self, html):
        super().__init__()
        self.open, self.elements, self.texts = [], [], []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("script", "style"):
            self.texts.append(data)

    def all(self, tag, **wanted):
        return [a for t, a in self.elements if t == tag and all(a.get(k.rstrip("_")) == v for k, v in wanted.items())]

    @property
    def text(self):
        return " ".join("".join(self.texts).split())


@pytest.fixture
def folder(tmp_path):
    """A run that has just been made."""
    made = Folder(tmp_path / "run")
    made.create(RECIPE, ABOUT)
    return made


def train(folder, ticks=5, names=NAMES, start=0, events=(), speed=50.0):
    """Log as a training does: a tick every 100 samples."""
    writer = log.Log(folder.log)
    writer.begin(start)
    for i in range(ticks):
        numbers = dict.fromkeys(names, 0.5 + 0.01 * i) | {"samples_per_second": speed}
        writer.write(start + 100 * (i + 1), numbers)
    for seen, kind, sentence in events:
        writer.event(seen, kind, sentence)
    writer.close()


def samples(seed=0, side=8, channels=3):
    return np.random.default_rng(seed).integers(0, 256, (64, channels, side, side), np.uint8)


def draw(folder, count=3):
    content = png(sheet(tiles(samples(), side=16), columns=8))
    for i in range(count):
        folder.sheet(100 * (i + 1)).write_bytes(content)


def keep_checkpoint(folder, seen, size):
    path = folder.checkpoints / f"{seen:012d}"
    path.mkdir()
    (path / "tensors.safetensors").write_bytes(b"0" * size)
    (path / "manifest.json").write_text("{}")


def test_a_report_says_what_the_run_is_and_how_far(folder):
    train(folder, events=[(0, "start", "begins on cpu")])
    draw(folder)
    keep_checkpoint(folder, 400, 2_000_000)
    text = Page(render(folder)).text
    for said in (
        "Recipe auto on faces: 100 samples of 3 × 8 × 8, 2 classes (cat, dog).",
        "500 of 1,000, 50 %",
        "5.0 of 10.0",
        "10 s 10 s left",
        "50 samples/s, 50 overall",
        "begins on cpu",
        "4002 MB",
        "torch2.13.0bf16yes",
        "gansaku train recipe.toml --data ./faces --size 32",
        "gansaku train --run run",
        "gansaku sample run -n 64",
        "lr = 0.001",
    ):
        assert said in text, said


def test_the_page_is_written_into_the_folder_and_is_one_whole(folder):
    train(folder)
    path = Report(folder).write()
    assert path == folder.path / "report.html"
    page = Page(path.read_text())
    assert page.elements[0] == ("html", {"lang": "en"})
    assert [tag for tag, _ in page.elements].count("main") == 1


def test_nothing_comes_from_outside_the_page(folder):
    train(folder, events=[(100, "alarm", "something")])
    draw(folder)
    html = render(folder)
    page = Page(html)
    addresses = [a[key] for _, a in page.elements for key in ("src", "href", "action", "srcset", "data") if key in a]
    assert addresses
    assert all(address.startswith("data:") for address in addresses)
    assert "http" not in html.replace("http-equiv", "")
    assert not re.findall(r"url\(|@import|fetch\(|XMLHttp|WebSocket", html)


def test_only_the_pages_own_script_may_run(folder):
    html = render(folder)
    page = Page(html)
    (policy,) = [a["content"] for a in page.all("meta") if a.get("http-equiv") == "Content-Security-Policy"]
    (script,) = re.findall(r"<script>(.*?)</script>", html, re.S)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert not [a for _, a in page.elements for name in a if name.startswith("on")]


def test_whatever_comes_from_the_run_is_escaped(tmp_path):
    def hostile(where):
        return f"{where}'\"><script>alert('{where}')<img src=x onerror=alert(1)>"

    places = [
        "folder",
        "recipe",
        "data",
        "class",
        "machine",
        "setting",
        "before",
        "after",
        "toml",
        "number",
        "kind",
        "sentence",
    ]
    folder = Folder(tmp_path / hostile("folder"))
    data = ABOUT["data"] | {"name": hostile("data"), "classes": [hostile("class")], "shape": [hostile("shape")]}
    change = {"path": hostile("setting"), "before": hostile("before"), "after": hostile("after")}
    about = {"recipe": hostile("recipe"), "data": data, "machine": {hostile("machine"): hostile("value")}, "changes": [change]}
    folder.create(f"# {hostile('toml')}\nlength = 1000", about)
    train(folder, names=[*NAMES, hostile("number"), "discriminator/loss/" + hostile("loss")])
    train(folder, start=500, events=[(600, hostile("kind"), hostile("sentence")), (700, "stopped", hostile("stop"))])
    page = Page(render(folder))
    tags = Counter(tag for tag, _ in page.elements)
    assert tags["script"] == 1
    assert tags["img"] == 0
    assert not [a for _, a in page.elements for name in a if name.startswith("on")]
    for place in [*places, "shape", "value", "loss", "stop"]:
        assert hostile(place) in "".join(page.texts), place
    classes = {name for _, a in page.elements for name in a.get("class", "").split()}
    assert all(re.fullmatch(r"[a-z0-9-]+", name) for name in classes)


def test_texts_are_safe_in_attributes_too_and_can_always_be_written():
    assert e("\"'<>&\ud800") == "&quot;&#x27;&lt;&gt;&amp;?"


def test_every_number_of_the_log_is_in_exactly_one_chart(folder):
    train(folder, names=[*NAMES, "something/of/ones/own", "r1"])
    page = Page(render(folder))
    shown = [a["data-name"] for a in page.all("g")]
    assert sorted(shown) == sorted(log.curves(folder.log))
    assert len(page.all("svg", class_="curves")) == 5 + 7


def points_of(names, value=0.5):
    return {name: [(1, value)] for name in names}


def test_charts_say_what_d_saw_and_when(folder):
    steps = ["generator/fake_probability", *(f"generator/fake_probability_{i}" for i in range(2, 12))]
    names = ["discriminator/real_probability", "discriminator/fake_probability", *steps, "discriminator/real"]
    (chart,) = main_charts(points_of(names))
    assert chart.title == "D(x) and D(G(z))"
    assert chart.bounds == (0, 1)
    assert [one.label for one in chart.series][:4] == [
        "D(x)",
        "D(G(z)) in D's step",
        "D(G(z)) before the 1st G step",
        "D(G(z)) before the 2nd G step",
    ]
    assert [one.name for one in chart.series][2:] == steps
    assert "second G step shows the result of the first" in chart.note
    (one_step,) = main_charts(points_of(names[:3]))
    assert one_step.series[2].label == "D(G(z)) before G's step"
    assert "second" not in one_step.note


def test_without_probabilities_the_same_chart_shows_what_d_gives():
    names = ["discriminator/real", "discriminator/fake", "generator/fake", "generator/fake_2"]
    (chart,) = main_charts(points_of(names, -3.0))
    assert [one.name for one in chart.series] == names
    assert chart.bounds is None
    assert "no probabilities" in chart.note
    assert more_charts(points_of(names, -3.0)) == []


def test_d_has_one_colour_and_g_another_in_all_charts():
    for chart in main_charts(points_of(NAMES)):
        colours = {one.name.split("/")[0]: one.colour for one in reversed(chart.series)}
        assert colours.get("discriminator", 1) == 1
        assert colours.get("generator", 2) == 2
        assert len({one.colour for one in chart.series}) == len(chart.series)


def test_losses_that_differ_by_far_get_a_log_axis_and_negative_ones_never():
    even, spike, negative = [(i, 0.5) for i in range(9)], [(1, 50.0)], [(1, -50.0)]
    assert [main_charts({"d/loss/a": points})[0].log for points in (even, even + spike, even + spike + negative)] == [0, 1, 0]


@pytest.mark.parametrize("count", [2, 23, MOST, MOST + 1, 60])
def test_the_slider_has_as_many_stops_as_there_are_sheets_in_the_page(folder, count):
    draw(folder, count)
    page = Page(render(folder))
    (slider,) = page.all("input", id="slider")
    assert int(slider["max"]) + 1 == len(page.all("img")) == len(spread(range(count), MOST))
    assert slider["value"] == slider["max"]
    seen = [int(a["alt"].split()[2].replace(",", "")) for a in page.all("img")]
    assert seen == sorted(set(seen))
    assert seen[0] == 100
    assert seen[-1] == 100 * count


@pytest.mark.parametrize("count", [1, 2, 23, 24, 25, 48, 100, 1000])
def test_sheets_are_spread_evenly_with_the_first_and_the_last(count):
    chosen = spread(range(count), 24)
    assert (chosen[0], chosen[-1]) == (0, count - 1)
    assert min(count, 12) < len(chosen) + 1 <= 25
    assert len(set(np.diff(chosen[:-1]))) <= 1


def test_one_more_sheet_leaves_most_of_the_chosen_ones():
    for count in range(50, 90):
        assert len(set(spread(range(count + 1), 24)) - set(spread(range(count), 24))) <= 2


def test_without_a_script_the_last_sheet_is_seen_and_no_button(folder):
    draw(folder, 9)
    page = Page(render(folder))
    shots = [a["class"].split() for a in page.all("figure") if a["class"].startswith("shot")]
    assert [i for i, names in enumerate(shots) if "now" in names] == [8] == [i for i, n in enumerate(shots) if "last" in n]
    assert sum("strip" in names for names in shots) == 6
    assert "strip" in shots[0]
    inside = {"previous", "next", "play"}
    assert all("hidden" in a for a in page.all("div", id="controls") + page.all("button") if a.get("id") not in inside)


def test_one_sheet_needs_no_slider(folder):
    draw(folder, 1)
    page = Page(render(folder))
    assert len(page.all("img")) == 1
    assert not page.all("input")


def decoded(made):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(made.uri.partition(",")[2]))).convert("RGB"))


@pytest.mark.parametrize(("side", "times"), [(8, 16), (20, 6), (32, 4), (64, 2)])
def test_a_sheet_of_small_samples_is_taken_back_to_their_own_pixels(side, times):
    original = samples(side=side)
    small, found = taken_back(sheet(tiles(original), columns=8))
    assert found == times
    np.testing.assert_array_equal(small, sheet(np.moveaxis(original, 1, -1), columns=8, gap=1))


def test_a_sheet_that_is_no_grid_of_enlarged_samples_stays_as_it_is():
    for picture in (sheet(tiles(samples(side=128)), columns=8), samples(side=100)[0].T.copy()):
        small, times = taken_back(picture)
        assert times == 1
        assert small is picture


def test_small_samples_are_shown_pixel_for_pixel(folder):
    plain = np.zeros((64, 3, 32, 32), np.uint8)
    plain[:, :, 8:24, 8:24] = samples(side=16) // 64 * 60 + 7
    folder.sheet(1).write_bytes(png(sheet(tiles(plain), columns=8)))
    np.testing.assert_array_equal(decoded(shot(folder.sheet(1))), sheet(np.moveaxis(plain, 1, -1), columns=8, gap=1))


def test_a_sheet_that_is_damaged_is_none(folder):
    whole = png(sheet(tiles(samples(side=32)), columns=8))
    second = whole.index(b"IDAT", whole.index(b"IDAT") + 4)
    for damaged in (b"no picture", whole[:200], whole[:second] + b"\1\2\3\4" + whole[second + 4 :]):
        folder.sheet(1).write_bytes(damaged)
        assert shot(folder.sheet(1)) is None


def test_no_sheet_takes_more_room_than_it_may(folder):
    smooth = np.linspace(0, 255, 32 * 32).reshape(32, 32) + samples(side=32, channels=1) // 16
    for noise in (samples(side=32), samples(side=64), np.clip(smooth, 0, 255).astype(np.uint8)):
        folder.sheet(1).write_bytes(png(sheet(tiles(noise), columns=8)))
        assert len(shot(folder.sheet(1)).uri) <= ROOM * 4 / 3 + 40
    assert MOST * ROOM * 4 / 3 < 3_700_000


def test_a_sheet_is_encoded_once_as_long_as_it_stays(folder, monkeypatch):
    draw(folder, 3)
    report, encoded = Report(folder), []
    monkeypatch.setattr(report_sheets, "shot", lambda path: encoded.append(path.stem) or shot(path))
    first = report.render()
    assert len(encoded) == 3
    assert len(Page(report.render()).all("img")) == 3
    assert len(encoded) == 3
    folder.sheet(200).write_bytes(png(sheet(tiles(samples(1)), columns=8)) + b" ")
    assert len(encoded) == 3
    assert report.render() != first
    assert len(encoded) == 4


def test_a_run_with_nothing_yet_says_what_is_missing(folder):
    text = Page(render(folder)).text
    for said in ("No sheet has been drawn yet.", "No numbers yet", "No event is noted yet.", "No checkpoint is kept yet."):
        assert said in text
    assert "0 of 1,000, 0 %" in text


def test_a_run_with_one_tick_has_dots(folder):
    train(folder, ticks=1)
    page = Page(render(folder))
    assert len(page.all("circle")) == len(NAMES)
    assert "no numbers yet" not in page.text.lower()


def test_a_broken_log_is_said_and_the_rest_is_shown(folder):
    folder.log.write_bytes(b"this is no database" * 100)
    draw(folder)
    page = Page(render(folder))
    assert "log.sqlite: the log cannot be read" in page.text
    assert "The log could not be read." in page.text
    assert len(page.all("img")) == 3
    assert "300 of 1,000" in page.text
    assert "No numbers yet" not in page.text


def test_a_broken_recipe_run_json_or_sheet_is_said(folder):
    folder.recipe.write_bytes(b"\xff = [")
    folder.about.write_text("{")
    folder.sheet(1).write_bytes(b"no picture")
    text = Page(render(folder)).text
    for said in (
        "run.json: cannot be read",
        "recipe.toml: cannot be read",
        "The sheets could not be read",
        "recipe.toml could not",
    ):
        assert said in text
    draw(folder, 2)
    assert "2 of 3 sheets are shown" in Page(render(folder)).text


@pytest.mark.parametrize("about", [[], {"data": 3}, {"data": {"count": 10**400, "shape": 4, "classes": "x"}}, {"changes": [1]}])
def test_a_run_json_of_another_shape_still_gives_a_page(folder, about):
    folder.about.write_text(json.dumps(about))
    train(folder)
    assert "500 of 1,000" in Page(render(folder)).text


def test_what_does_not_belong_in_the_log_is_left_out(folder):
    train(folder)
    with sqlite3.connect(folder.log) as connection:
        connection.execute("insert into numbers values (1, 700, 'r1', 'text')")
        connection.execute("insert into numbers values (1, 'far', 'r1', 1.0)")
        connection.execute("insert into events values (1, 'far', null, null, null)")
        connection.execute("insert into numbers values (1, 600, 'discriminator/accuracy', null)")
    page = Page(render(folder))
    assert "No event is noted yet." in page.text
    assert "not a number" in page.text  # the gap
    assert page.all("g", **{"data-name": "r1"}) == []


def test_no_home_folder_and_no_path_of_the_run_is_told(tmp_path, monkeypatch):
    folder = Folder(tmp_path / "run")
    monkeypatch.setenv("HOME", "/srv/people/someone")
    paths = ["/home/someone/x.zip", "/Users/someone/y", r"C:\Users\someone\z", "/srv/people/someone/w", "/root/v"]
    folder.create(f"# {paths}\nlength = 1000", ABOUT | {"machine": {"cpu": paths[0]}, "changes": [{"path": paths[1]}]})
    train(folder, events=[(0, "start", f"{folder.path} continues"), *((100, "alarm", path) for path in paths)])
    html = render(folder)
    assert "someone" not in html
    assert str(tmp_path) not in html
    assert "run continues" in html
    assert "~/x.zip" in html


def test_saves_and_repeated_events_are_one_row_with_their_count():
    saves = [Event(100 * i, "save", f"checkpoint {i}", float(i)) for i in range(1, 301)]
    alarms = [Event(50, "alarm", "D wins", 0.5), Event(150, "alarm", "D wins", 1.5), Event(160, "alarm", "other", 1.6)]
    assert collapsed([Event(0, "start", "begins", 0.0), *alarms, *saves]) == [
        Event(0, "start", "begins", 0.0),
        Event(150, "alarm", "D wins (2 times, first at 50)", 1.5),
        Event(160, "alarm", "other", 1.6),
        Event(30_000, "save", "checkpoint 300 (300 times, first at 100)", 300.0),
    ]


def test_a_save_is_no_hairline_and_an_alarm_is(folder):
    train(folder, names=["r1"], events=[(100, "save", "x"), (200, "alarm", "y")])
    assert [a["class"] for a in Page(render(folder)).all("line") if a["class"].startswith("mark")] == ["mark alarm"] * 2


def test_the_last_alarm_stands_at_the_top_until_the_training_starts_again(folder):
    train(folder, events=[(300, "stopped", "out of luck"), (300, "save", "saved")])
    assert "stopped at 300 samples: out of luck" in Page(render(folder)).text
    train(folder, start=300, events=[(300, "start", "goes on")])
    assert "stopped at 300 samples" not in Page(render(folder)).text


def test_training_time_leaves_out_pauses_and_what_was_overtaken():
    assert training_seconds([(100, 10.0), (200, 20.0)], [0]) == 15
    assert training_seconds([(100, 10.0), (250, 10.0)], [0, 150]) == 20
    assert training_seconds([(100, 0.0), (200, float("nan")), (300, 100.0)], [0]) == 1
    assert training_seconds([], [0]) == 0


def test_what_a_later_start_overtook_is_not_shown(folder):
    train(folder, ticks=5)
    train(folder, ticks=1, start=200)
    reading = read(folder)
    assert [seen for seen, _ in reading.curves["discriminator/loss/r1"]] == [100, 200, 300]
    assert reading.seen == 300
    assert reading.starts == [0, 200]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ([], "As the recipe says, nothing changed."),
        ([{"path": "generator.lr", "before": "0.0002", "after": "0.001"}], "generator.lr0.00020.001"),
    ],
)
def test_the_recipe_comes_as_what_was_changed(folder, changes, said):
    folder.about.write_text(json.dumps(ABOUT | {"changes": changes}))
    assert said in Page(render(folder)).text
    folder.about.write_text(json.dumps(ABOUT))
    assert said not in Page(render(folder)).text


def test_names_in_commands_are_one_word_to_a_shell(tmp_path):
    folder = Folder(tmp_path / "-my run; ls")
    folder.create(RECIPE, ABOUT | {"data": {"name": "two words"}})
    text = Page(render(folder)).text
    assert "gansaku train recipe.toml --data './two words'" in text
    assert "gansaku train --run './-my run; ls'" in text


def test_a_card_for_a_notebook_holds_the_report_with_the_newest_sheet_alone(folder):
    train(folder)
    draw(folder)
    text = card(folder)
    assert text.startswith("<iframe srcdoc=")
    page = unescape(text[text.index('"') + 1 : text.index('" style')])
    assert page.count("<img") == 1
    assert render(folder).count("<img") == 3
