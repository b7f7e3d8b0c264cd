"""The page in a real browser: the same pictures as Python's, keys for everything, words for everything, little memory."""

import json
import math
import time

import numpy as np
import pytest
from PIL import Image

import gansaku
from gansaku.data import binvox, bundled
from gansaku.render.voxels import draw
from gansaku.viewer.page import Grid, packed
from gansaku.viewer.page import page as text_of

SIDE = 200  # pixels
LARGE = {"width": 800, "height": 460}
GENUINE = ("bread_cube", "dimatura_chair", "dvh_car_frame0", "heart_mesh_cross_section", "maxorange_bunny",
           "pix2vox_bench_model", "pix2vox_modelt", "pysys_Sponge", "pysys_bunny", "r2n2_model")  # fmt: skip


def noise(*shape, share=0.2):
    return np.random.default_rng(1).random(shape) < share


AS_AT_FIRST = """(held) => {
    toggle("beside", false);
    samples.splice(0, samples.length, ...packedSamples(held));
    Object.assign(camera, START, { shift: [0, 0], perspective: false });
    Object.assign(how, { edges: true, grid: true, axes: false, tipped: false, colour: 0, least: 128 });
    how.cut = [[0, 1], [0, 1], [0, 1]];
    document.activeElement.blur();
    return views[0].show(0);
}"""


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """A page of nothing much for each size of the window: to load one is what takes longest."""
    folder, made = tmp_path_factory.mktemp("pages"), {}

    def page(*size):
        if size not in made:
            made[size] = folder / f"{'x'.join(map(str, size))}.html"
            made[size].write_text(text_of("grids", [Grid("nothing", np.zeros((1, 1, 1), bool))]), encoding="utf-8")
        return made[size]

    return page


@pytest.fixture
def open_grids(browser, pages):
    """A page that shows these grids, and is otherwise as at first."""

    def made(*grids, width=440, height=340, phone=False):
        page = pages(width, height)
        if browser.at != page:
            browser.open(page, width, height, phone)
        held = {"version": 1, "samples": [packed(Grid(f"grid {i}", grid)) for i, grid in enumerate(grids)]}
        browser.run(f"({AS_AT_FIRST})({json.dumps(held)})")
        browser.drawn()
        return browser

    return made


def as_python_draws(browser, shape, turn, height):
    """The page's picture from there, cut to the square that Python draws into, (SIDE, SIDE, 3)."""
    widest, h = math.hypot(shape[0], shape[1]), math.radians(height)
    scale = 0.96 * SIDE / max(widest, shape[2] * math.cos(h) + widest * abs(math.sin(h)))
    place = browser.run(f"""(() => {{
        Object.assign(camera, {{ turn: {turn}, height: {height}, zoom: 1, shift: [0, 0] }});
        how.grid = false;
        const [part] = parts($("canvas"));
        camera.zoom = {scale} / scaleOf(camera, views[0].shape, part.room);
        return [part.left + part.width / 2, part.top + part.height / 2 + part.lower];
    }})()""")
    left, top = (round(middle - SIDE / 2) for middle in place)
    picture = browser.picture()
    assert 0 <= left <= picture.shape[1] - SIDE
    assert 0 <= top <= picture.shape[0] - SIDE
    return picture[top : top + SIDE, left : left + SIDE]


def inked(picture):
    return (picture != 255).any(axis=-1)


def alike(picture, expected, least):
    """Whether two pictures have the same silhouette up to a rim, and inside of it nearly the same colours."""
    one, other = inked(picture), inked(expected)
    assert (one & other).sum() / (one | other).sum() > least
    assert np.abs(picture.astype(int) - expected)[one & other].mean() < 12


class TestPictures:
    def test_they_are_those_that_python_draws(self, open_grids):
        grid = bundled.chairs(3, 32)[2]
        browser = open_grids(grid, **LARGE)
        for turn, height in ((30, 25), (0, 0), (100, 10), (200, -35), (45, 89)):
            alike(as_python_draws(browser, grid.shape, turn, height), draw(grid, SIDE, turn=turn, height=height), 0.97)

    def test_an_oblong_grid_keeps_its_sides(self, open_grids):
        grid = np.zeros((3, 9, 5), bool)
        grid[0], grid[2, 0], grid[1, 8, 4] = True, True, True
        alike(as_python_draws(open_grids(grid, **LARGE), grid.shape, 60, 20), draw(grid, SIDE, turn=60, height=20), 0.97)

    @pytest.mark.parametrize("file", GENUINE)
    def test_genuine_files_stand_as_in_python(self, open_grids, genuine, file):
        grid = binvox.up(binvox.read((genuine / f"{file}.binvox").read_bytes()).grid, "y").astype(bool)
        picture, expected = as_python_draws(open_grids(grid, **LARGE), grid.shape, 30, 25), draw(grid, SIDE)
        if file == "heart_mesh_cross_section":  # wires thinner than a pixel
            assert np.abs(picture.astype(int) - expected).mean() < 4
        else:
            alike(picture, expected, 0.97)

    @pytest.mark.parametrize("color", ["height", "probability"])
    def test_boxes_have_the_colors_that_python_gives_them(self, open_grids, color):
        levels = np.random.default_rng(0).integers(0, 256, (6, 7, 8), np.uint8)
        browser = open_grids(levels, **LARGE)
        browser.run(f"paintWith({['wood', 'height', 'probability'].index(color)})")
        for turn, height in ((30, 25), (200, -35)):
            expected = draw((levels + 0.5) / 128 - 1, SIDE, turn=turn, height=height, color=color)
            alike(as_python_draws(browser, levels.shape, turn, height), expected, 0.97)

    def test_a_solid_block_has_no_gap_and_what_is_empty_is_a_wire(self, open_grids):
        picture = as_python_draws(open_grids(np.ones((40, 40, 40), bool), **LARGE), (40, 40, 40), 30, 25)
        rows = inked(picture)
        assert all(np.ptp(np.flatnonzero(row)) + 1 == row.sum() for row in rows if row.any())
        wire = inked(as_python_draws(open_grids(np.zeros((40, 40, 40), bool), **LARGE), (40, 40, 40), 30, 25))
        assert 0.005 < wire.mean() < 0.08

    def test_perspective_makes_what_is_near_larger(self, open_grids):
        browser = open_grids(np.ones((8, 8, 8), bool), **LARGE)
        far = inked(as_python_draws(browser, (8, 8, 8), 0, 0)).sum()
        browser.run("camera.perspective = true")
        assert inked(as_python_draws(browser, (8, 8, 8), 0, 0)).sum() > 1.2 * far


class TestKeys:
    """Everything can be done with the keyboard alone."""

    @pytest.fixture
    def page(self, open_grids):
        soft = np.random.default_rng(0).integers(0, 256, (6, 6, 6), np.uint8)
        return open_grids(noise(6, 6, 6), soft, noise(5, 5, 5))

    def test_the_camera(self, page):
        page.key("ArrowRight")
        page.key("ArrowUp")
        assert page.run("[camera.turn, camera.height]") == [35, 20]
        page.key("ArrowLeft", shift=True)
        page.key("+")
        assert page.run("[camera.shift[0] < 0, camera.zoom > 1.1]") == [True, True]
        page.key("0")
        assert page.run("[camera.turn, camera.height, camera.zoom, camera.shift]") == [30, 25, 1, [0, 0]]
        for key, (turn, height) in zip("123456", [(0, 0), (270, 0), (180, 0), (90, 0), (0, 90), (0, -90)], strict=True):
            page.key(key)
            assert page.run("[camera.turn, camera.height]") == [turn, height]
        assert page.run("$('canvas').ariaLabel").endswith("Seen from the bottom.")

    def test_samples_and_the_second_view(self, page):
        page.key("n")
        page.key("n")
        page.key("n")
        page.key("b")
        page.key("s")
        assert page.run("views.map((view) => view.name)") == ["grid 1", "grid 2"]
        page.key("B", shift=True)
        assert page.run("views.map((view) => view.name)") == ["grid 1", "grid 1"]
        page.key("s")
        page.key("PageUp")
        assert page.run("views.map((view) => view.name)") == ["grid 0"]

    def test_switches_colours_and_the_threshold(self, page):
        page.key("n")
        before = page.run("views[0].made.occupied")
        for key in "egavuc]":
            page.key(key)
        state = "[how.edges, how.grid, how.axes, camera.perspective, how.tipped, how.colour, how.least]"
        assert page.run(state) == [False, False, True, True, True, 1, 132]
        assert page.run("views[0].made.occupied") < before
        assert page.run("['edges', 'axes', 'tipped'].map((name) => $(name).checked)") == [False, True, True]

    def test_every_control_is_reached_by_tab_and_shows_it(self, page):
        page.run("$('open').focus()")
        reached = []
        for _ in range(40):
            reached.append(
                page.run("document.activeElement.id || document.activeElement.ariaLabel || document.activeElement.textContent")
            )
            if len(reached) > 1:
                assert page.run("document.activeElement.matches(':focus-visible')")
                ring = "getComputedStyle(document.activeElement).outlineStyle"  # a cut's sliders have it around their thumbs
                assert page.run(f"document.activeElement.matches('.span input') || {ring} === 'solid'")
            page.key("Tab")
            if page.run("document.activeElement === document.body"):
                break
        assert {"open", "picture", "theme", "help", "canvas", "edges", "beside", "colour", "Next sample", "Front", "whole",
                "Left to right: from", "Floor to top: to"} <= set(reached)  # fmt: skip

    def test_a_slider_cuts(self, page):
        page.run("document.querySelector('.cut input').focus()")
        page.key("ArrowRight")
        page.key("ArrowRight")
        assert page.run("views[0].made.low") == [2, 0, 0]
        assert page.run("camera.turn") == 30
        assert "cut to 4 × 6 × 6" in page.run("views[0].says.innerText")

    def test_help_opens_and_closes_and_names_every_key(self, page):
        page.key("?")
        assert page.run("$('keys').open")
        named = page.run("$('keys').innerText").lower()
        assert page.run("Object.keys(COMMANDS)") != []
        for key in page.run("Object.keys(COMMANDS)"):
            assert {"PageDown": "page down", "PageUp": "page up", "=": "+", "-": "−"}.get(
                key, key.lower()
            ) in named or key in "2345"
        page.key("n")
        assert page.run("views[0].index") == 0
        page.key("Escape")
        assert not page.run("$('keys').open")


class TestWords:
    def test_what_is_seen_is_said(self, open_grids):
        grid = np.zeros((6, 5, 4), bool)
        grid[1:4, 2:4, :3] = True
        browser = open_grids(grid)
        assert browser.run("views[0].says.innerText").split("\n") == [
            "grid 0", "6 × 5 × 4 voxels; 15 % occupied: 18", "Extent 3 × 2 × 3; 42 faces in 6 rectangles",
        ]  # fmt: skip

    @pytest.mark.parametrize(
        ("grid", "sentence"),
        [
            (np.zeros((3, 3, 3), bool), "No voxel is occupied."),
            (np.ones((3, 3, 3), bool), "Every voxel is occupied."),
            (
                np.full((3, 3, 3), 63, np.uint8),
                "No voxel is occupied: no probability is above 0.50, and the largest is about 0.25.",
            ),
        ],
    )
    def test_blank_grids_are_said_to_be_so(self, open_grids, grid, sentence):
        assert open_grids(grid).run("views[0].says.innerText").endswith(sentence)

    def test_names_stay_text(self, browser, tmp_path):
        path = tmp_path / "page.html"
        path.write_text(text_of("<b>bold</b>", [Grid("<img src=x onerror=alert(1)>", noise(3, 3, 3))]), encoding="utf-8")
        browser.open(path, 400, 300)
        assert browser.run("[views[0].says.querySelector('b').textContent, document.querySelectorAll('img').length]") == [
            "<img src=x onerror=alert(1)>", 0]  # fmt: skip

    def test_a_threshold_is_that_of_the_raw_probabilities(self, open_grids):
        soft = np.random.default_rng(0).integers(0, 256, (7, 6, 5), np.uint8)
        browser = open_grids(soft)
        for least in (1, 100, 128, 255):
            browser.run(f"threshold({least})")
            browser.drawn()
            assert browser.run("[views[0].made.occupied, $('least-says').value]") == [
                (soft >= least).sum(),
                f"{least / 256:.2f}",
            ]

    def test_a_page_whose_data_are_damaged_says_so(self, browser, tmp_path):
        text = text_of("x", [Grid("one", noise(3, 3, 3)), Grid("two", noise(3, 3, 3))])
        start = text.index('"data": "') + 9
        (tmp_path / "bad.html").write_text(text[:start] + "AAAA" + text[start + 4 :], encoding="utf-8")
        browser.open(tmp_path / "bad.html", 400, 300)
        assert "one is damaged; write the page again [VIEW_CORRUPT]" in browser.run("$('messages').innerText")
        browser.key("n")
        assert browser.run("views[0].name") == "two"

    def test_without_webgl_there_is_a_sentence(self, browser, tmp_path):
        text = text_of("x", [Grid("one", noise(3, 3, 3))])
        (tmp_path / "x.html").write_text(text, encoding="utf-8")
        added = browser.ask(
            "Page.addScriptToEvaluateOnNewDocument", source="HTMLCanvasElement.prototype.getContext = () => null;"
        )
        browser.open(tmp_path / "x.html", 400, 300)
        browser.ask("Page.removeScriptToEvaluateOnNewDocument", identifier=added["identifier"])
        assert "no WebGL 2" in browser.run("$('messages').innerText")


def test_two_are_drawn_side_by_side_from_the_same_side(open_grids):
    browser = open_grids(np.ones((4, 4, 4), bool), np.pad(np.ones((2, 4, 4), bool), ((1, 1), (0, 0), (0, 0))), **LARGE)
    browser.run("toggle('grid', false); toggle('beside', true)")
    browser.drawn()
    picture = inked(browser.picture())
    half = picture.shape[1] // 2
    assert picture[:, :half].sum() > 1.2 * picture[:, half + 2 :].sum() > 1000


def test_a_phone_has_the_stage_above_the_controls_and_nothing_wider_than_itself(open_grids):
    browser = open_grids(noise(8, 8, 8), noise(8, 8, 8), width=360, height=740, phone=True)
    browser.run("toggle('beside', true)")
    browser.drawn()
    assert browser.run("document.documentElement.scrollWidth") == 360
    assert browser.run("$('stage').getBoundingClientRect().bottom <= $('panel').getBoundingClientRect().top")


def test_the_axes_have_their_colours_and_names(open_grids):
    browser = open_grids(np.zeros((8, 8, 8), bool), **LARGE)
    browser.key("a")
    picture = browser.picture("paint(), $('canvas')").astype(int)  # without the names
    drawn = browser.run("AXES.map((colour) => colour.map((part) => 255 * part))")
    near = [(np.abs(picture - colour).max(-1) < 60).sum() > 40 for colour in drawn]
    assert near == [True, True, True]
    assert browser.run("$('labels').getContext('2d').getImageData(0, 0, 800, 400).data.some(Boolean)")


def test_of_two_wishes_the_later_one_is_shown(open_grids):
    browser = open_grids(*(noise(4, 4, 4) for _ in range(3)))
    browser.run("""(async () => {
        const { load } = samples[1];
        samples[1].load = () => new Promise((done) => setTimeout(() => done(load()), 300));
        await Promise.all([views[0].show(1), views[0].show(2)]);
    })()""")
    browser.drawn()
    assert browser.run("[views[0].name, views[0].index, views[0].says.querySelector('b').textContent]") == [
        "grid 2",
        2,
        "grid 2",
    ]


def test_dark_is_dark_and_stays(open_grids):
    browser = open_grids(noise(8, 8, 8))
    assert browser.run("document.documentElement.dataset.theme || 'light'") == "light"
    browser.key("d")
    assert browser.picture()[2, 2].max() < 60
    browser.run("localStorage.removeItem('gansaku-theme')")


def test_a_drag_turns_and_a_wheel_zooms(open_grids):
    browser = open_grids(noise(8, 8, 8))
    where = browser.run(
        "(({ left, top, width, height }) => [left + width / 2, top + height / 2])($('canvas').getBoundingClientRect())"
    )
    press = {"x": where[0], "y": where[1], "button": "left", "buttons": 1, "clickCount": 1}
    browser.ask("Input.dispatchMouseEvent", type="mousePressed", **press)
    browser.ask("Input.dispatchMouseEvent", type="mouseMoved", **press | {"x": where[0] + 60})
    browser.ask("Input.dispatchMouseEvent", type="mouseReleased", **press | {"x": where[0] + 60, "buttons": 0})
    browser.ask("Input.dispatchMouseEvent", type="mouseWheel", x=where[0], y=where[1], deltaX=0, deltaY=-200)
    browser.drawn()
    turned, height, zoomed = browser.run("[camera.turn, camera.height, camera.zoom]")
    assert turned > 40
    assert height == 25
    assert zoomed > 1.2


def test_a_dragged_box_follows_the_pointer(open_grids):
    """The front turns to where the pointer goes: with turn, and so with the grid, counterclockwise as seen from above."""
    browser = open_grids(np.pad(np.ones((2, 1, 2), bool), ((3, 3), (0, 7), (3, 3))), **LARGE)
    browser.key("1")
    middles = []
    for _ in range(2):
        middles.append(np.flatnonzero(inked(as_python_draws(browser, (8, 8, 8), 20 * len(middles), 0)).any(0)).mean())
    assert middles[1] > middles[0] + 5


@pytest.mark.parametrize("name", ["checkerboard of 64", "bunny of 256"])
def test_the_worst_of_64_and_a_real_256_open_within_300_mb(browser, tmp_path, name, request):
    """Of a small picture: a computer without a graphics card takes seconds for a large one of 786,432 faces."""
    if name == "bunny of 256":
        source = request.getfixturevalue("genuine") / "pysys_bunny.binvox"
    else:
        source = tmp_path / "checkerboard.npy"
        np.save(source, np.indices((64, 64, 64)).sum(0) % 2 == 0)
    browser.open(gansaku.view(source, tmp_path / "page.html"), 300, 260)
    assert inked(browser.picture()).any()
    assert browser.run("views[0].made.faces") == (786_432 if name == "checkerboard of 64" else 231_856)
    assert browser.heap() < 300e6


def test_the_picture_is_saved_as_it_is_seen(open_grids, tmp_path):
    browser = open_grids(noise(8, 8, 8))
    browser.key("g")  # without a graphics card, lines that cross are not drawn alike each time
    browser.ask("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
    browser.key("p")
    saved, end = tmp_path / "grid-0.png", time.monotonic() + 30
    while not saved.exists() and time.monotonic() < end:
        time.sleep(0.05)
    assert (np.asarray(Image.open(saved).convert("RGB")) == browser.picture()).all()
