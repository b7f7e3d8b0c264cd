"""The page on transposed convolution and upsampling: its Python runs, and every number on it is what that Python makes."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

DOCS = Path(__file__).parents[1] / "docs"
PAGE = (DOCS / "how-to" / "upsampling.md").read_text("utf-8")
JAPANESE = (DOCS / "ja" / "how-to" / "upsampling.md").read_text("utf-8")


@pytest.fixture(scope="module")
def page():
    """What the page's Python defines, run from top to bottom."""
    found = {}
    for block in re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE):
        exec(block, found)
    return found


def shown(text):
    """(expression, table) of each `expression` before a block of numbers."""
    found = re.findall(r"^`([^`]+)`[^`\n]*:\n\n```\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    return [
        (expression, np.array([list(map(float, line.split())) for line in table.splitlines()])) for expression, table in found
    ]


def test_every_table_is_what_its_expression_gives(page):
    tables = shown(PAGE)
    assert len(tables) == 3
    for expression, table in tables:
        np.testing.assert_array_equal(eval(expression, page), table)


def test_the_four_sums_are_those_of_the_table_on_both_pages(page):
    rows = re.findall(r"^\| `(phases\(.+?\))` \| (.+) \|$", PAGE, re.MULTILINE)
    assert len(rows) == 2
    for expression, cells in rows:
        assert [f"{value:.4f}" for value in eval(expression, page)] == cells.split(" | ")
        assert f"| {cells} |" in JAPANESE


def test_the_japanese_page_has_the_same_tables():
    tables = re.findall(r"^```\n( *\d.*?)^```", JAPANESE, re.DOTALL | re.MULTILINE)
    mine = [np.array([list(map(float, line.split())) for line in table.splitlines()]) for table in tables]
    theirs = [table for _, table in shown(PAGE)]
    np.testing.assert_array_equal(mine, [theirs[0], theirs[2]])


def test_the_operations_are_those_of_torch(page):
    random = np.random.default_rng(1)
    x, four, three = random.normal(size=(5, 7)), random.normal(size=(4, 4)), random.normal(size=(3, 3))
    tensor, large, small = (torch.from_numpy(a)[None, None] for a in (x, four, three))
    for mine, theirs in (
        (page["convolve"](x, three, 1), functional.conv2d(tensor, small, padding=1)),
        (page["convolve_transposed"](x, four, 2, 1), functional.conv_transpose2d(tensor, large, stride=2, padding=1)),
        (page["upsample"](x), functional.interpolate(tensor, scale_factor=2)),
    ):
        np.testing.assert_allclose(mine, theirs[0, 0].numpy(), rtol=1e-12, atol=1e-13)


def test_upsampling_and_convolution_are_one_transposed_convolution(page):
    x = np.random.default_rng(2).normal(size=(6, 5))
    one = page["convolve"](page["upsample"](x), page["three"], 1)
    np.testing.assert_allclose(page["convolve_transposed"](x, page["stamped"], 2, 1), one, rtol=1e-12, atol=1e-14)
