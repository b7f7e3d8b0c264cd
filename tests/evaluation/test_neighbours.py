"""Generated samples beside their nearest training samples: planted copies are found, shown first, and drawn as they are."""

import io
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from PIL import Image, ImageFont

from gansaku.errors import UsageError
from gansaku.evaluation.neighbours import FRAME, by_looks, enlarged, found, strip, wrapped
from gansaku.evaluation.samples import Samples
from gansaku.metrics.contract import Side
from gansaku.metrics.memorization import Replayed, inside, look_alikes, reduced

from .stand_ins import Pooled


@dataclass(frozen=True)
class Fixed(Samples):
    """Samples that are there already."""

    content: torch.Tensor
    name: str = "faces"

    @property
    def identity(self):
        return {"name": self.name}

    @property
    def shape(self):
        return tuple(self.content.shape[1:])

    @property
    def count(self):
        return len(self.content)

    def block(self, start, stop):
        return self.content[start:stop]

    def labels(self, start, stop):
        return None


def smooth(n, seed, shape=(3, 16, 20)):
    """Random samples with large features, as pictures have them."""
    rng = torch.Generator().manual_seed(seed)
    coarse = torch.rand(n, shape[0], *[4] * (len(shape) - 1), generator=rng)
    mode = {2: "bilinear", 3: "trilinear"}[len(shape) - 1]
    fine = torch.nn.functional.interpolate(coarse, shape[1:], mode=mode)
    return (fine > 0.5).to(torch.uint8) if len(shape) == 4 else (fine * 255).to(torch.uint8)


REAL = smooth(60, 1)
COPIES = {2: 7, 5: 11, 9: 30}


@pytest.fixture(scope="module")
def planted():
    """12 samples: 2 is real sample 7, 5 is 11 flipped, 9 is 30 flipped and moved."""
    made = smooth(12, 2)
    made[2], made[5] = REAL[7], REAL[11].flip(-1)
    made[9] = torch.roll(REAL[30].flip(-1), (1, -2), (1, 2))
    return Fixed(made, "run at 1,000")


def test_copies_come_first_even_if_they_are_flipped_or_moved(planted):
    seen = found(planted, Fixed(REAL))
    assert {row.number for row in seen.rows[:3]} == set(COPIES)
    assert [row.copy for row in seen.rows] == [True] * 3 + [False] * 9
    for row in seen.rows[:3]:
        assert np.array_equal(row.near[0], REAL[COPIES[row.number]].numpy())
        assert np.array_equal(row.sample, planted.content[row.number].numpy())
    assert seen.copies == 3
    assert "3 are copies" in str(seen)


def test_the_most_suspicious_are_those_whose_nearest_stands_out_most(planted):
    ratios = [row.ratio for row in found(planted, Fixed(REAL)).rows]
    assert ratios == sorted(ratios)
    assert [row.number for row in found(planted, Fixed(REAL), shown=5).rows] == [
        row.number for row in found(planted, Fixed(REAL)).rows[:5]]  # fmt: skip


def test_copies_are_counted_as_replayed_counts_them(planted):
    numbers = Replayed().values(Side(60, samples=REAL), Side(12, samples=planted.content), reference=0.0)
    assert numbers["replayed"] == pytest.approx(100 * found(planted, Fixed(REAL)).copies / 12)


@pytest.mark.parametrize("shape", [(3, 16, 20), (1, 9, 10, 12)], ids=["pictures", "voxels"])
def test_distances_are_those_of_look_alikes_per_cell(shape):
    generated, real = smooth(7, 3, shape), smooth(70, 4, shape)
    apart = by_looks(Fixed(generated), 7, Fixed(real), 4)
    cells = reduced(inside(real, (0,) * (len(shape) - 1))).shape[1]
    assert apart.distances == pytest.approx(
        look_alikes(generated, real, (1, 2, 3, 4)).double() / cells**0.5, rel=1e-4, abs=1e-2
    )
    assert (apart.distances.diff(dim=1) >= 0).all()


def test_with_an_extractor_distances_are_of_its_features(planted):
    seen = found(planted, Fixed(REAL), k=3, extractor=Pooled())
    y, x = (Pooled()(samples).features.double() for samples in (planted.content, REAL))
    cosines = (y / y.norm(dim=1, keepdim=True)) @ (x / x.norm(dim=1, keepdim=True)).T
    for row in seen.rows:
        expected = (1 - cosines[row.number].abs()).sort()
        assert row.distances == pytest.approx(expected.values[:3].tolist(), abs=1e-9)
    assert seen.copies is None
    assert "cop" not in str(seen)
    assert "features of pooled" in seen.sentences[0]


def test_voxels_that_were_moved_are_found():
    real, made = smooth(40, 5, (1, 9, 10, 12)), smooth(6, 6, (1, 9, 10, 12))
    made[4] = torch.roll(real[13], (1, 2), (1, 3))
    row = found(Fixed(made), Fixed(real)).rows[0]
    assert (row.number, row.copy) == (4, True)
    assert np.array_equal(row.near[0], real[13].numpy())


def test_a_row_shows_every_pixel_enlarged_by_a_whole_factor(planted):
    row = found(planted, Fixed(REAL)).rows[0]
    drawn = strip(row)
    size = (16 * 4, 20 * 4)
    for picture, left in ((row.sample, FRAME), (row.near[0], 2 * FRAME + 6 + 80 + 6)):
        shown = drawn[FRAME : FRAME + size[0], left : left + size[1]]
        assert np.array_equal(shown, np.moveaxis(picture, 0, -1).repeat(4, 0).repeat(4, 1))


def test_the_picture_is_a_png_that_is_one_whole(planted):
    seen = found(planted, Fixed(REAL), k=2)
    opened = Image.open(io.BytesIO(seen.picture()))
    assert opened.format == "PNG"
    pixels = np.asarray(opened)
    height, width = strip(seen.rows[0]).shape[:2]
    assert pixels.shape[0] > 6 * height
    assert pixels.shape[1] == 2 * 24 + 2 * width + 36
    assert (pixels[:, :24] == 255).all()


@pytest.mark.parametrize(("shape", "size"), [((1, 200, 100), (128, 64)), ((3, 64, 64), (128, 128)), ((1, 9, 9, 9), (128, 128))],
                         ids=["reduced", "doubled", "voxels"])  # fmt: skip
def test_samples_of_any_size_are_drawn_at_about_one_size(shape, size):
    drawn = enlarged(np.ones((2, *shape), np.uint8))
    assert drawn.shape == (2, *size, 3)


def test_where_there_are_fewer_real_samples_than_neighbours_all_are_shown(planted):
    seen = found(planted, Fixed(REAL[:3]))
    assert {len(row.distances) for row in seen.rows} == {3}
    assert seen.picture()


def test_only_the_first_samples_are_looked_at(planted):
    seen = found(planted, Fixed(REAL), n=4)
    assert (seen.looked, seen.copies, len(seen.rows)) == (4, 1, 4)
    assert seen.sentences[0].startswith("All 4 samples of run at 1,000, framed, and their nearest of 60")


def test_samples_that_cannot_be_compared_are_refused(planted):
    with pytest.raises(UsageError, match="holds samples of"):
        found(planted, Fixed(smooth(5, 0, (3, 16, 16))))
    with pytest.raises(UsageError, match="8 pixels or more on each side, and they have 6 × 6"):
        found(Fixed(smooth(5, 0, (3, 6, 6))), Fixed(smooth(5, 0, (3, 6, 6))))


def test_lines_are_wrapped_to_their_width_and_no_word_is_lost():
    font, text = ImageFont.load_default(14), "The 24 most suspicious of 1,000 samples of a run, framed " * 4
    lines = wrapped(text, font, 300)
    assert " ".join(lines).split() == text.split()
    assert max(map(font.getlength, lines)) <= 300
