"""Greedy meshing in the browser: known answers, and laws against faces counted by numpy."""

import json

import numpy as np
import pytest

INNER, OUTER = (2, 2, 1), (1, 0, 0)
CUBE = [4, 4, 4]


def rectangles(browser, grid, low=None, high=None, most=1 << 22):
    """What the page makes of a grid: what it says, and six lists of (corner, lengths along the axes)."""
    levels, shape = (255 * np.asarray(grid, np.uint8)).ravel().tolist(), list(grid.shape)
    found = browser.run(f"""(() => {{
        const work = meshing(Uint8Array.from({json.dumps(levels)}), {shape}, 128, {low or [0, 0, 0]}, {high or shape}, {most});
        let step = work.next();
        while (!step.done) step = work.next();
        const read = ({{ parts, count }}) => parts.flatMap((part) => [...part]).slice(0, 2 * count);
        return {{ ...step.value, quads: step.value.quads.map(read) }};
    }})()""")
    quads = []
    for direction, words in enumerate(found["quads"]):
        axis, each = direction // 2, np.array(words, np.int64).reshape(-1, 2)
        corner = np.stack([each[:, 0] >> shift & 1023 for shift in (0, 10, 20)], axis=1)
        lengths = np.zeros_like(corner)
        lengths[:, INNER[axis]], lengths[:, OUTER[axis]] = (each[:, 1] & 1023) + 1, (each[:, 1] >> 10 & 1023) + 1
        quads.append((corner, lengths))
    return found, quads


def exposed(grid):
    """(6, D + 1, H + 1, W + 1): where a face lies that looks down or up an axis, by the plane that it lies in."""
    full = np.zeros((6, *np.array(grid.shape) + 1), bool)
    padded = np.pad(grid, 1)
    for axis in range(3):
        here = padded[1:, 1:, 1:]
        there = np.roll(padded, 1, axis)[1:, 1:, 1:]
        full[2 * axis], full[2 * axis + 1] = here & ~there, there & ~here
    return full


def covered(shape, quads):
    """(6, D + 1, H + 1, W + 1): how often each place is covered by a rectangle."""
    times = np.zeros((6, *np.array(shape) + 1), int)
    for direction, (corners, lengths) in enumerate(quads):
        for corner, length in zip(corners, lengths, strict=True):
            end = corner + np.maximum(length, 1)
            times[direction][tuple(slice(a, b) for a, b in zip(corner, end, strict=True))] += 1
    return times


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    from gansaku.viewer.page import Grid
    from gansaku.viewer.page import page as text_of

    path = tmp_path_factory.mktemp("mesh") / "page.html"
    path.write_text(text_of("mesh", [Grid("one", np.ones((1, 1, 1), bool))]), encoding="utf-8")
    return path


@pytest.fixture(autouse=True)
def opened(browser, page):
    if browser.at != page:
        browser.open(page, 300, 300)


def solid(side):
    return np.ones((side,) * 3, bool)


def checkerboard(side):
    return np.indices((side,) * 3).sum(0) % 2 == 0


def two_boxes():
    grid = np.zeros((5, 3, 4), bool)
    grid[0, 0, 0] = grid[3:, 1:, 2:] = True
    return grid


def an_l():
    grid = np.zeros((4, 2, 4), bool)
    grid[:, :, 0] = grid[0] = True
    return grid


@pytest.mark.parametrize(
    ("grid", "count", "faces"),
    [(solid(1), 6, 6), (solid(64), 6, 6 * 64**2), (checkerboard(16), 6 * 16**3 // 2, 6 * 16**3 // 2), (two_boxes(), 12, 30),
     (an_l(), 10, 46), (np.zeros((3, 3, 3), bool), 0, 0)],
    ids=["one box", "solid 64", "checkerboard 16", "two boxes", "an L", "nothing"],
)  # fmt: skip
def test_known_answers(browser, grid, count, faces):
    """An L has an L-shaped side twice, of two rectangles each, and six other sides."""
    found, quads = rectangles(browser, grid)
    assert (found["count"], found["faces"], found["occupied"], found["whole"]) == (count, faces, grid.sum(), True)
    assert sum(len(corners) for corners, _ in quads) == count


def test_a_checkerboard_of_64_has_786432_faces_and_a_rectangle_for_each(browser):
    said = browser.run("""(() => {
        const levels = new Uint8Array(64 ** 3).map((_, i) => 255 * (((i >> 12) + (i >> 6) + i) & 1));
        const work = meshing(levels, [64, 64, 64], 128);
        let step = work.next();
        while (!step.done) step = work.next();
        return [step.value.count, step.value.faces];
    })()""")
    assert said == [786_432, 786_432]


@pytest.mark.parametrize("shape", [(7, 5, 6), (1, 9, 4), (12, 1, 1), (3, 3, 17)], ids=str)
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_rectangles_cover_every_exposed_face_once_and_nothing_else(browser, shape, share):
    grid = np.random.default_rng(int(100 * share)).random(shape) < share
    found, quads = rectangles(browser, grid)
    assert (covered(shape, quads) == exposed(grid)).all()
    assert found["faces"] == exposed(grid).sum()
    assert found["count"] <= found["faces"]


def test_no_two_rectangles_could_be_joined_along_the_first_length(browser):
    grid = np.random.default_rng(3).random((6, 6, 6)) < 0.7
    for direction, (corners, lengths) in enumerate(rectangles(browser, grid)[1]):
        inner = INNER[direction // 2]
        rows = {(tuple(c), tuple(n)) for c, n in zip(corners.tolist(), lengths.tolist(), strict=True)}
        for corner, length in rows:
            after = [c + n * (i == inner) for i, (c, n) in enumerate(zip(corner, length, strict=True))]
            assert not any(
                tuple(after) == c and length[OUTER[direction // 2]] == n[OUTER[direction // 2]] == 1 for c, n in rows
            )


def test_what_is_cut_away_is_as_if_it_were_empty(browser):
    grid, left = np.random.default_rng(0).random((6, 7, 8)) < 0.6, np.zeros((6, 7, 8), bool)
    left[1:5, 2:7, 0:3] = grid[1:5, 2:7, 0:3]
    found, quads = rectangles(browser, grid, [1, 2, 0], [5, 7, 3])
    assert (covered(grid.shape, quads) == exposed(left)).all()
    assert found["occupied"] == left.sum()


def test_the_bounds_are_those_of_what_is_occupied(browser):
    assert rectangles(browser, two_boxes())[0]["bounds"] == [[0, 0, 0], [5, 3, 4]]
    assert rectangles(browser, two_boxes(), [1, 0, 0], [5, 3, 4])[0]["bounds"] == [[3, 1, 2], [5, 3, 4]]


def test_too_many_rectangles_are_not_made(browser):
    found, _ = rectangles(browser, checkerboard(8), most=100)
    assert not found["whole"]
    assert 100 < found["count"] < 300


def test_work_is_done_in_steps_so_that_the_page_goes_on_answering(browser):
    steps = browser.run("""(() => {
        const work = meshing(new Uint8Array(32 ** 3).fill(255), [32, 32, 32], 128);
        let steps = 0;
        while (!work.next().done) steps++;
        return steps;
    })()""")
    assert steps == 32 + 3 * 33
