"""The data that need no download."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from gansaku.data.bundled import avatars_file, chairs, coarser
from gansaku.data.chair_parts import beam
from gansaku.errors import UsageError


@pytest.fixture(scope="module")
def fine():
    return chairs(120, size=64)


@pytest.fixture(scope="module")
def avatars():
    with np.load(avatars_file()) as arrays:
        return dict(arrays)


def reached(voxels: np.ndarray) -> int:
    """How many voxels can be reached from the first one through faces that touch: an independent, slow way."""
    padded = np.pad(voxels, 1)
    steps = [sign * stride for stride in (padded.shape[1] * padded.shape[2], padded.shape[2], 1) for sign in (-1, 1)]
    left = padded.ravel().copy()
    frontier, count = np.array([left.argmax()]), 0
    while len(frontier):
        left[frontier] = False
        count += len(frontier)
        around = np.unique(np.concatenate([frontier + step for step in steps]))
        frontier = around[left[around]]
    return count


class TestChairs:
    def test_each_is_one_piece(self, fine):
        assert [reached(chair) for chair in fine] == [int(chair.sum()) for chair in fine]

    def test_each_is_its_own_mirror_image_from_left_to_right_and_from_no_other_side(self, fine):
        assert (fine == fine[:, ::-1]).all()
        assert (fine != fine[:, :, ::-1]).any()
        assert (fine != fine[..., ::-1]).any(axis=(1, 2, 3)).all()

    @pytest.mark.parametrize("size", [16, 32])
    def test_a_smaller_one_is_the_finest_with_its_blocks_joined(self, fine, size):
        times = 64 // size
        blocks = fine.reshape(len(fine), size, times, size, times, size, times).any(axis=(2, 4, 6))
        assert (chairs(len(fine), size=size) == blocks).all()

    def test_one_depends_on_the_seed_and_its_number_alone(self):
        assert (chairs(9, seed=5)[:4] == chairs(4, seed=5)).all()
        assert (chairs(4, seed=5) != chairs(4, seed=6)).any(axis=(1, 2, 3)).all()

    def test_no_two_are_alike(self, fine):
        assert len({chair.tobytes() for chair in fine}) == len(fine)

    def test_all_stand_on_the_floor_in_the_middle_of_the_grid(self, fine):
        assert fine[..., 0].any(axis=(1, 2)).all()
        for axis in (1, 2):
            there = fine.any(axis=tuple({1, 2, 3} - {axis}))
            before, after = there.argmax(axis=1), there[:, ::-1].argmax(axis=1)
            assert (abs(before - after) <= 1).all()
            assert (before > 0).all()

    def test_backs_are_at_the_back(self, fine):
        """Above two thirds of the height hardly anything is in the front half, as in ModelNet's chairs at 32."""
        high = fine[..., 43:]
        assert high[:, :, :32].sum() < 0.1 * high[:, :, 32:].sum()

    def test_they_fill_as_much_of_the_grid_as_voxelized_chairs_do(self):
        """ModelNet10's 889 chairs at 32 fill 0.060 on average, 98 of 100 between 0.02 and 0.15."""
        filled = chairs(300).mean(axis=(1, 2, 3))
        assert 0.05 < filled.mean() < 0.075
        assert filled.min() > 0.003
        assert filled.max() < 0.26

    def test_none_is_an_empty_batch(self):
        assert chairs(0).shape == (0, 32, 32, 32)

    @pytest.mark.parametrize(("what", "where"), [({"size": 48}, "size"), ({"count": -1}, "count"), ({"seed": -1}, "seed")])
    def test_what_cannot_be_made_is_refused_by_name(self, what, where):
        with pytest.raises(UsageError) as refusal:
            chairs(**{"count": 1, **what})
        assert refusal.value.where == where


def test_joining_blocks_keeps_every_voxel():
    voxels = np.zeros((4, 6, 8), bool)
    voxels[3, 0, 5] = True
    assert np.argwhere(coarser(voxels, 2)).tolist() == [[1, 0, 2]]


@pytest.mark.parametrize("end", [(20, 33, 31), (25, 3, 20), (4, 40, 1), (2, 2, 30), (2, 1, 0)], ids=str)
@pytest.mark.parametrize("thick", [1, 2.5])
def test_a_beam_is_one_piece_at_any_slope(end, thick):
    voxels = np.zeros((32, 48, 40), bool)
    beam(voxels, (2, 2, 0), end, thick)
    assert reached(voxels) == voxels.sum()


class TestAvatars:
    def test_there_are_ten_thousand_in_color_and_no_two_are_alike(self, avatars):
        assert avatars["x"].shape == (10_000, 32, 32, 3)
        assert avatars["x"].dtype == np.uint8
        assert len({avatar.tobytes() for avatar in avatars["x"]}) == 10_000

    def test_every_label_of_each_kind_occurs(self, avatars):
        for label, names in (("hair", 11), ("skin", 8), ("glasses", 2)):
            assert np.unique(avatars[label]).tolist() == list(range(names))
        assert len(avatars["hair_names"]) == 11
        assert len(avatars["skin_names"]) == 8

    def test_the_skin_label_is_the_color_of_the_face(self, avatars):
        """Over the face lies a tenth of white. Hair or glasses hide this spot below the left eye in one of eight."""
        named = np.array([[int(name[i : i + 2], 16) for i in (1, 3, 5)] for name in avatars["skin_names"]])
        expected = 0.9 * named[avatars["skin"]] + 0.1 * 255
        assert (abs(avatars["x"][:, 16, 14] - expected) < 1.01).all(axis=1).mean() > 0.85

    def test_the_hair_label_is_a_color_in_the_picture(self, avatars):
        """A hat or a bald head hides it in some."""
        named = np.array([[int(name[i : i + 2], 16) for i in (1, 3, 5)] for name in avatars["hair_names"]])
        there = (avatars["x"] == named[avatars["hair"]][:, None, None]).all(axis=-1).any(axis=(1, 2))
        assert there.mean() > 0.97

    def test_they_stand_before_five_pastels(self, avatars):
        assert len(np.unique(avatars["x"][:, 0, 0], axis=0)) == 5


def test_importing_needs_neither_torch_nor_pictures():
    code = "import sys, gansaku.data.bundled; sys.exit(any(name in sys.modules for name in ('torch', 'PIL', 'h5py')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
