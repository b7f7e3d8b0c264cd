"""A `.binvox` dropped on the page stands there as in the picture of `gansaku view`: one silhouette, of 48 ways to lie."""

import itertools
import json
from base64 import b64encode

import numpy as np
import pytest
from PIL import Image
from test_viewer_looking import SIDE, as_python_draws, inked

import gansaku
from gansaku.data import binvox
from gansaku.render.voxels import draw
from gansaku.viewer.page import Grid
from gansaku.viewer.page import page as text_of

CAMERAS = ((30, 25), (205, -40))  # turn and height: one from above, one from below and behind
WINDOW = 800, 460


@pytest.fixture
def empty_page(browser, tmp_path):
    path = tmp_path / "page.html"
    path.write_text(text_of("page", [Grid("nothing", np.zeros((1, 1, 1), bool))]), encoding="utf-8")
    browser.open(path, *WINDOW)
    return browser


def dropped(browser, path):
    """Show a file as it is shown when it is dropped on the page; the sides of its grid."""
    text = json.dumps(b64encode(path.read_bytes()).decode())
    browser.run(f"open([new File([Uint8Array.from(atob({text}), (c) => c.charCodeAt(0))], {json.dumps(path.name)})])")
    browser.drawn()
    assert browser.run("views[0].name") == path.name
    return tuple(browser.run("views[0].shape"))


def overlap(one, other):
    """Of two silhouettes: what both cover over what either covers."""
    return (one & other).sum() / (one | other).sum()


def drawn_by_python(path, camera, folder):
    """The silhouette in the PNG of `gansaku view`."""
    turn, height = camera
    made = gansaku.view(path, folder / "python.png", pixels=SIDE, turn=turn, height=height)
    with Image.open(made) as picture:
        return inked(np.asarray(picture.convert("RGB")))


def ways_to_lie(grid):
    """The other 47 of a cube, mirrored ones among them, without those that leave the grid as it is."""
    for axes in itertools.permutations(range(3)):
        for flips in itertools.product((1, -1), repeat=3):
            lying = grid.transpose(axes)[tuple(slice(None, None, flip) for flip in flips)]
            if lying.shape != grid.shape or not (lying == grid).all():
                yield lying


@pytest.mark.parametrize("name", ["dimatura_chair", "r2n2_model"])
def test_its_silhouettes_are_pythons_and_of_no_other_way_to_lie(empty_page, genuine, tmp_path, name):
    path = genuine / f"{name}.binvox"
    shape = dropped(empty_page, path)
    shown = [inked(as_python_draws(empty_page, shape, *camera)) for camera in CAMERAS]
    same = [overlap(one, drawn_by_python(path, camera, tmp_path)) for one, camera in zip(shown, CAMERAS, strict=True)]
    assert min(same) > 0.97
    grid = binvox.up(binvox.read(path.read_bytes()).grid, "y").astype(bool)
    for lying in ways_to_lie(grid):
        other = [overlap(one, inked(draw(lying, SIDE, turn=turn, height=height)))
                 for one, (turn, height) in zip(shown, CAMERAS, strict=True)]  # fmt: skip
        assert min(other) < min(same)
