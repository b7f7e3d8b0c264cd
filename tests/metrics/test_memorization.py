"""MiFID against torchmetrics and the competition's program; replayed training samples are found, held-out ones are not."""

import io
import math

import numpy as np
import pytest
import torch
from PIL import Image
from torchmetrics.image.mifid import MemorizationInformedFrechetInceptionDistance

from gansaku.data.bundled import avatars_file
from gansaku.errors import UsageError
from gansaku.metrics import memorization
from gansaku.metrics.contract import Side
from gansaku.metrics.frechet import FrechetDistance
from gansaku.metrics.memorization import Memorization, Replayed, flagged, inside, memorization_distance, nearest, shrunk


def features(n, f=16, seed=0, shift=0.0):
    return (torch.randn(n, f, generator=torch.Generator().manual_seed(seed)) + shift).relu()


def side(x):
    return Side(len(x), x)


def mifid(real, generated, threshold=0.1):
    return Memorization(threshold).values(side(real), side(generated))["mifid"]


class PassThrough(torch.nn.Module):
    def forward(self, x):
        return x


class TestMemorizationDistance:
    @pytest.mark.parametrize(("shift", "threshold"), [(2.0, 0.25), (2.0, 0.01), (0.0, 0.1)])
    def test_mifid_agrees_with_torchmetrics_with_its_arguments_swapped(self, shift, threshold):
        """Theirs is named by side, and takes the minimum over the generated ones."""
        real, generated = features(70, shift=shift), features(50, seed=1, shift=shift)
        real[3] = generated[4] = 0
        theirs = MemorizationInformedFrechetInceptionDistance(PassThrough(), cosine_distance_eps=threshold)
        theirs.update(generated.double(), real=True)
        theirs.update(real.double(), real=False)
        assert mifid(real, generated, threshold) == pytest.approx(float(theirs.compute()), rel=1e-8)

    def test_mifid_is_as_the_competition_wrote_it(self):
        real, generated = features(70, shift=1.0), features(50, seed=1, shift=1.0)
        y, x = (rows.double().numpy() for rows in (generated, real))
        y, x = y[y.sum(1) != 0], x[x.sum(1) != 0]
        d = 1.0 - np.abs((y / np.linalg.norm(y, axis=1, keepdims=True)) @ (x / np.linalg.norm(x, axis=1, keepdims=True)).T)
        mean = d.min(1).mean()
        fid = FrechetDistance().values(side(real), side(generated))["fid"]
        assert memorization_distance(generated, real) == pytest.approx(mean, rel=1e-10)
        assert mifid(real, generated, mean * 1.01) == pytest.approx(fid / (mean + 1e-15), rel=1e-9)
        assert mifid(real, generated, mean * 0.99) == pytest.approx(fid, rel=1e-9)

    def test_of_copies_is_zero_however_they_are_scaled(self):
        x = features(50)
        assert memorization_distance(x[:20], x) < 1e-15
        assert memorization_distance(3 * x[:20], x) < 1e-15

    def test_near_zero_is_that_of_double_precision(self):
        """Neighbours that are 1e-9 apart, which fp32 cannot tell from each other, against gaps of unit vectors."""
        draw = torch.Generator().manual_seed(5)
        x, y = (features(1, f=64, shift=3.0) + 1e-4 * torch.randn(n, 64, generator=draw) for n in (300, 40))
        unit = [z.double() / z.double().norm(dim=1, keepdim=True) for z in (y, x)]
        expected = (torch.cdist(*unit, compute_mode="donot_use_mm_for_euclid_dist") ** 2 / 2).min(1).values.mean()
        assert expected < 1e-8
        assert memorization_distance(y, x) == pytest.approx(float(expected), rel=1e-5)

    def test_of_nothing_but_zeros_is_one(self):
        assert memorization_distance(torch.zeros(4, 16), features(9)) == 1
        assert math.isfinite(mifid(features(9), torch.zeros(4, 16)))

    def test_of_a_set_against_itself_mifid_is_finite(self):
        for x in (features(30), features(2), features(1).repeat(20, 1), torch.zeros(20, 16)):
            assert math.isfinite(mifid(x, x))


class TestNearest:
    def test_is_a_full_sort_by_cosine(self, monkeypatch):
        monkeypatch.setattr(memorization, "BLOCK", 7)
        y, x = features(20).double(), features(60, seed=1).double()
        cosine = (y / y.norm(dim=1, keepdim=True)) @ (x / x.norm(dim=1, keepdim=True)).T
        expected = (1 - cosine.abs()).sort(dim=1)
        made = nearest(y, x, 5)
        torch.testing.assert_close(made.distances, expected.values[:, :5], rtol=1e-9, atol=1e-12)
        assert made.indices.equal(expected.indices[:, :5])

    def test_finds_no_more_than_there_are(self):
        assert nearest(features(4), features(3), 9).indices.shape == (4, 3)

    def test_takes_the_opposite_for_the_same_and_zeros_for_far(self):
        x = features(5).double()
        assert nearest(-x, x, 1).indices.flatten().tolist() == [0, 1, 2, 3, 4]
        assert nearest(torch.zeros(1, 16), x, 2).distances.tolist() == [[1, 1]]


def avatars():
    """1,500 training pictures and 600 that the generator cannot know, (n, 3, 32, 32) uint8."""
    stored = np.load(avatars_file())
    pictures = torch.from_numpy(stored["x"][:2100]).permute(0, 3, 1, 2)
    return pictures[:1500], pictures[1500:]


def moved_by(pictures, dy, dx):
    padded = torch.nn.functional.pad(pictures.float(), (2,) * 4, mode="replicate").to(torch.uint8)
    return inside(padded, (dy, dx))


def encoded(pictures, quality=70):
    made = []
    for picture in pictures:
        file = io.BytesIO()
        Image.fromarray(picture.permute(1, 2, 0).numpy()).save(file, "JPEG", quality=quality)
        made.append(torch.from_numpy(np.array(Image.open(file))).permute(2, 0, 1))
    return torch.stack(made)


SPOILED = {
    "as it is": lambda x: x,
    "flipped": lambda x: x.flip(-1),
    "moved by two": lambda x: moved_by(x, 2, -2),
    "moved by one": lambda x: moved_by(x, -1, 2),
    "JPEG": encoded,
    "all at once": lambda x: encoded(moved_by(x.flip(-1), -2, 1)),
}


@pytest.fixture(scope="module")
def avatar_set():
    real, held_out = avatars()
    metric = Replayed(checked=400)
    side = Side(len(real), samples=real)
    return metric, real, metric.copies(held_out[:400], real), metric.reference(side)


class TestReplayed:
    @pytest.mark.parametrize("how", SPOILED)
    def test_copies_are_found_and_more_of_them_are_more(self, avatar_set, how):
        metric, real, held_out, among_real = avatar_set
        copies = metric.copies(SPOILED[how](real[::15]), real).double()
        assert copies.mean() >= (0.75 if how == "all at once" else 0.85)
        shares = []
        for percent in (0, 1, 5, 25, 100):
            k = 4 * percent
            shares.append(100 * float(torch.cat([copies.repeat(4)[:k], held_out.double()[k:]]).mean()))
            assert flagged(shares[-1], among_real, 400, 400) == (percent >= 5)
        assert shares == sorted(shares)

    def test_held_out_pictures_replay_no_more_than_training_ones(self, avatar_set):
        _, _, held_out, among_real = avatar_set
        assert 100 * float(held_out.double().mean()) < 1
        assert among_real < 1

    def test_blurred_held_out_pictures_are_no_copies(self, avatar_set):
        metric, real, _, _ = avatar_set
        smooth = torch.nn.functional.avg_pool2d(avatars()[1][:100].float(), 3, 1, 1).to(torch.uint8)
        assert not metric.copies(smooth, real).any()

    def test_the_metric_counts_copies_in_percent(self, avatar_set):
        metric, real, _, _ = avatar_set
        generated = torch.cat([real[:10], avatars()[1][:30]])
        values = metric.values(Side(300, samples=real[:300]), Side(40, samples=generated), 0.5)
        assert values == {"replayed": 25.0, "replayed_real": 0.5}

    def test_training_samples_are_not_taken_for_copies_of_themselves_but_of_their_twins(self):
        real = avatars()[0][:100]
        assert Replayed().reference(Side(100, samples=real)) == 0
        assert Replayed().reference(Side(120, samples=torch.cat([real, real[:20].flip(-1)]))) == pytest.approx(100 * 40 / 120)

    @pytest.mark.parametrize(
        "pictures", [torch.full((1, 3, 32, 32), 37, dtype=torch.uint8), avatars()[0][:5]], ids=["grey", "five"]
    )
    def test_data_of_a_few_pictures_again_and_again_flag_nobody(self, pictures):
        real = pictures.repeat(20, 1, 1, 1)
        values = Replayed().values(Side(len(real), samples=real), Side(9, samples=real[:9]))
        assert values == {"replayed": 100.0, "replayed_real": 100.0}
        assert not flagged(100.0, 100.0, 9, 20)

    def test_voxels_are_found_moved_and_mirrored(self):
        draw = torch.Generator().manual_seed(0)
        coarse = torch.nn.functional.interpolate(torch.randn(80, 1, 5, 5, 5, generator=draw), (16,) * 3, mode="trilinear")
        shapes = (coarse > 0).to(torch.uint8)
        padded = torch.nn.functional.pad(shapes[:30].flip(-1), (2,) * 6)
        noise = torch.rand(30, 1, 16, 16, 16, generator=draw) < 0.01
        made = inside(padded, (1, -1, 0)) ^ noise.to(torch.uint8)
        assert Replayed().copies(made, shapes[:60]).double().mean() > 0.9
        assert not Replayed().copies(shapes[60:], shapes[:60]).any()

    def test_large_pictures_are_shrunk_and_small_ones_left(self):
        assert shrunk(torch.zeros(2, 3, 64, 48, dtype=torch.uint8)).shape == (2, 3, 64, 48)
        assert shrunk(torch.full((2, 1, 200, 100), 7, dtype=torch.uint8)).shape == (2, 1, 50, 25)
        real, held_out = (torch.nn.functional.interpolate(x[:60].float(), scale_factor=4).to(torch.uint8) for x in avatars())
        assert Replayed().copies(encoded(moved_by(real[:9], 2, -2)), real).all()
        assert not Replayed().copies(held_out[:20], real).any()

    def test_samples_of_a_few_pixels_are_refused_with_a_sentence(self):
        small = Side(5, samples=torch.zeros(5, 1, 4, 9, dtype=torch.uint8))
        with pytest.raises(UsageError, match="needs samples of 8 pixels or more on each side, and they have 4x9"):
            Replayed().check(small, small)


@pytest.mark.parametrize(
    ("replayed", "among_real", "n", "expected"),
    [
        (2.5, 0.1, 1000, True),
        (1.9, 0.0, 1000, False),
        (5, 0.0, 20, False),
        (5, 0.1, 200, True),
        (23, 20, 1000, False),
        (30, 20, 1000, True),
    ],
)
def test_a_flag_needs_two_points_and_more_than_chance(replayed, among_real, n, expected):
    assert flagged(replayed, among_real, n, 1000) == expected
