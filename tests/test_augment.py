"""DiffAugment and the places that augmentations take values from: known answers, laws, and a slow version in numpy."""

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

from fixtures.tiny import discriminator, generator
from gansaku.augment import DiffAugment, Mirror, Noise
from gansaku.augment.places import boxed, folded, laid_out, mirrored, shifted, transformed, transformed_upright
from gansaku.contract import Augmentation, Phase, Piece, Turn
from gansaku.draws import Draw, Rows
from gansaku.errors import RecipeError
from gansaku.latents import Gaussian
from gansaku.parts import parts
from gansaku.recipe import Recipe, from_toml, to_toml

torch.set_num_threads(1)

PICTURE, VOXEL = (3, 16, 24), (1, 8, 16, 24)
both = pytest.mark.parametrize("shape", [PICTURE, VOXEL], ids=["2d", "3d"])
every = pytest.mark.parametrize("kind", [c for c in parts(Augmentation).values() if c.__module__.startswith("gansaku.")])


def samples(shape, n=6, dtype=torch.float64):
    return 2 * torch.rand(n, *shape, generator=torch.Generator().manual_seed(1), dtype=dtype) - 1


def turn_of(augment, x, rows=None, number=0):
    """A turn of the discriminator on x, which are these rows of a batch."""
    shape, rows = tuple(x.shape[1:]), rows or Rows(0, len(x), len(x))
    recipe = Recipe(shape, generator(shape), discriminator(shape), 1000, latent=Gaussian(4), augment=augment)
    piece = Piece(rows, x, torch.zeros(len(x), dtype=torch.long), {})
    memory = augment.memory(recipe)
    if "ada/p" in memory:
        memory["ada/p"] += 0.7
    return Turn(recipe, "discriminator", 0, 500, Phase(shape[1:]), piece, {}, memory, Draw(0, number, rows, x))


def applied(augment, x, purpose="real0", number=0):
    return augment(x, turn_of(augment, x, number=number), purpose)


class TestEveryAugmentation:
    @both
    @every
    def test_two_ranks_see_the_halves_of_one_batch(self, kind, shape):
        x = samples(shape)
        whole = applied(kind(), x)
        halves = [
            kind()(half, turn_of(kind(), half, Rows(start, start + 3, 6)), "real0") for start, half in ((0, x[:3]), (3, x[3:]))
        ]
        assert torch.equal(whole, torch.cat(halves))

    @both
    @every
    def test_real_and_fake_samples_have_numbers_of_their_own_and_so_has_every_turn(self, kind, shape):
        x = samples(shape)
        first = applied(kind(), x)
        assert torch.equal(first, applied(kind(), x))
        assert not torch.equal(first, applied(kind(), x, "fake0"))
        assert not torch.equal(first, applied(kind(), x, number=1))

    @both
    @every
    def test_leaves_the_shape_the_dtype_and_the_layout_in_memory(self, kind, shape):
        shape = (3, *shape[1:])  # of one channel both layouts are the same
        last = torch.channels_last if len(shape) == 3 else torch.channels_last_3d
        for dtype in (torch.float32, torch.float64):
            x = samples(shape, dtype=dtype)
            for layout in (torch.contiguous_format, last):
                y = applied(kind(), x.contiguous(memory_format=layout))
                assert (y.shape, y.dtype) == (x.shape, dtype)
                assert y.is_contiguous(memory_format=layout)

    @both
    @every
    def test_leaves_its_input_as_it_was(self, kind, shape):
        x = samples(shape)
        before = x.clone()
        applied(kind(), x)
        assert torch.equal(x, before)

    @pytest.mark.parametrize("shape", [(3, 4, 5), (1, 3, 4, 5)], ids=["2d", "3d"])
    @every
    def test_its_first_and_second_derivatives_are_the_finite_differences(self, kind, shape):
        """Of D on augmented samples, as a penalty on D's slope has it: the slope itself is differentiated."""
        x = samples(shape, n=2).requires_grad_()
        turn = turn_of(kind(), x.detach())

        def judged(x):
            return (kind()(x, turn, "real0") ** 3).sum()

        assert gradcheck(judged, x, fast_mode=True)
        assert gradgradcheck(judged, x, fast_mode=True)

    @both
    @every
    def test_is_the_same_under_autocast(self, kind, shape):
        """Places computed in bf16 would be wrong by whole steps."""
        x = samples(shape, dtype=torch.float32)
        with torch.autocast("cpu", torch.bfloat16):
            inside = applied(kind(), x)
        assert torch.equal(inside, applied(kind(), x))

    @both
    @every
    def test_comes_back_from_the_recipes_file(self, kind, shape):
        recipe = turn_of(kind(), samples(shape)).recipe
        assert from_toml(to_toml(recipe)) == recipe


def by_hand(x, uniform, kind, dims, fill):
    """DiffAugment's three changes, one number after the other."""
    result = np.empty_like(x)
    for n, (sample, u) in enumerate(zip(x, uniform, strict=True)):
        if kind == "color":
            bright = sample + u[0] - 0.5
            gray = bright.mean(0)
            vivid = np.stack([(channel - gray) * 2 * u[1] + gray for channel in bright])
            result[n] = (vivid - vivid.mean()) * (u[2] + 0.5) + vivid.mean()
            continue
        sides = sample.shape[1:]
        if kind == "translation":
            steps = [int(u[i] * (2 * (side // 8) + 1)) - side // 8 for i, side in enumerate(sides)]
        else:
            middles = [int(u[i] * (side + (side // 2 + 1) % 2)) for i, side in enumerate(sides)]
        for place in np.ndindex(*sides):
            if kind == "translation":
                source = tuple(at - step for at, step in zip(place, steps, strict=True))
                inside = all(0 <= at < side for at, side in zip(source, sides, strict=True))
                result[n][(slice(None), *place)] = sample[(slice(None), *source)] if inside else fill
            else:
                cut = all(
                    middle - side // 2 // 2 <= at < middle - side // 2 // 2 + side // 2
                    for at, middle, side in zip(place, middles, sides, strict=True)
                )
                result[n][(slice(None), *place)] = fill if cut else sample[(slice(None), *place)]
    return result


@pytest.mark.parametrize(("shape", "fill"), [((3, 9, 16), 0.0), ((1, 6, 8, 9), -1.0)], ids=["2d", "3d"])
def test_diffaugment_is_its_changes_one_number_after_the_other(shape, fill):
    x = samples(shape, n=5)
    turn = turn_of(DiffAugment(), x)
    slow = x.numpy()
    for kind in ("color", "translation", "cutout") if len(shape) == 3 else ("translation", "cutout"):
        uniform = turn.draw.uniform(f"diffaugment/{kind}/real0", 3).numpy()
        slow = by_hand(slow, uniform, kind, len(shape) - 1, fill)
    np.testing.assert_allclose(DiffAugment()(x, turn, "real0").numpy(), slow, atol=1e-12)


@both
def test_translation_moves_by_whole_steps_up_to_an_eighth_and_all_as_often(shape):
    """A single value is found where it went."""
    n, middle = 1500, tuple(side // 2 for side in shape[1:])
    x = torch.full((n, *shape), -1.0)
    x[(slice(None), slice(None), *middle)] = 1.0
    y = applied(DiffAugment(("translation",), fill=-1), x)
    assert y.flatten(1).gt(0).sum(1).eq(shape[0]).all()  # copied, not spread
    found = (y[:, 0] == 1).nonzero()
    steps = found[:, 1:] - torch.tensor(middle)
    for axis, side in enumerate(shape[1:]):
        most = side // 8
        counts = torch.bincount(steps[:, axis] + most, minlength=2 * most + 1)
        assert len(counts) == 2 * most + 1
        expected = n / (2 * most + 1)
        assert ((counts - expected).abs() < 5 * expected**0.5).all()


@both
def test_cutout_takes_a_box_of_half_of_each_side_and_less_only_at_the_edge(shape):
    x = torch.ones(1000, *shape)
    y = applied(DiffAugment(("cutout",), fill=-1), x)
    cut = (y[:, 0] == -1).flatten(1).sum(1)
    full = torch.tensor(shape[1:]).div(2, rounding_mode="floor").prod()
    assert cut.max() == full
    assert full * 2 ** (len(shape) - 1) == y[0, 0].numel()  # a quarter of a picture, an eighth of voxels
    assert cut.min() > 0
    # along one side of 2c the middle is on 2c + 1 places, and what is left of c is c - max(0, c/2 - m, ...): 3/4 c on average
    share = [sum(min(m + s // 4, s) - max(m - s // 4, 0) for m in range(s + 1)) / (s + 1) / (s // 2) for s in shape[1:]]
    assert cut.double().mean().item() == pytest.approx(full.item() * np.prod(share), rel=0.05)


def test_color_stays_within_the_published_ranges():
    """Of a sample's mean, of the distances between its channels, and of all its distances to the mean."""
    x = samples(PICTURE, n=2000, dtype=torch.float32)
    y = applied(DiffAugment(("color",)), x)
    moved = y.flatten(1).mean(1) - x.flatten(1).mean(1)
    assert -0.5 <= moved.min() < -0.49
    assert 0.49 < moved.max() <= 0.5 + 1e-6
    gray = (y.mean(1).flatten(1).std(1)) / (x.mean(1).flatten(1).std(1))
    assert 0.5 - 1e-4 <= gray.min() < 0.51
    assert 1.49 < gray.max() <= 1.5 + 1e-4
    colors = (y - y.mean(1, keepdim=True)).flatten(1).norm(dim=1) / (x - x.mean(1, keepdim=True)).flatten(1).norm(dim=1) / gray
    assert 0 <= colors.min() < 0.01
    assert 1.99 < colors.max() <= 2 + 1e-3


def test_voxels_are_empty_where_they_come_in_and_pictures_gray():
    for shape, empty in ((PICTURE, 0), (VOXEL, -1)):
        y = applied(DiffAugment(("translation", "cutout")), torch.ones(50, *shape))
        assert set(y.unique().tolist()) == {1, empty}


def test_the_fill_is_a_setting():
    y = applied(DiffAugment(("cutout",), fill=0.25), torch.ones(5, *VOXEL))
    assert set(y.unique().tolist()) == {1, 0.25}


def test_color_for_voxels_is_refused_and_left_out_where_nobody_asked():
    recipe = turn_of(DiffAugment(), samples(VOXEL)).recipe
    assert recipe.augment.kinds(3) == ("translation", "cutout")
    with pytest.raises(RecipeError, match=r"augment\.policy: voxels have no color"):
        recipe.but(augment=DiffAugment(("color", "cutout")))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"policy": ()}, "set augment=none"),
        ({"policy": ("cutout", "cutout")}, "twice"),
        ({"shift": 1.5}, "no share"),
        ({"cut": -1}, "no share"),
    ],
)
def test_settings_that_mean_nothing_are_refused(settings, words):
    with pytest.raises(RecipeError, match=words):
        DiffAugment(**settings)


def test_what_is_beyond_an_edge_is_the_mirror_image_without_the_edge_itself():
    assert folded(torch.arange(-4, 9), 4).tolist() == [2, 3, 2, 1, 0, 1, 2, 3, 2, 1, 0, 1, 2]
    assert folded(torch.tensor([-0.5, 3.5]), 4).tolist() == [0.5, 2.5]
    assert folded(torch.tensor([-2, 0, 5]), 1).tolist() == [0, 0, 0]


@both
def test_shifting_is_rolling_where_nothing_comes_in(shape):
    x = samples(shape)
    steps = torch.tensor([2, -3, 1][: len(shape) - 1]).expand(len(x), -1)
    inside = (..., *[slice(3, -3)] * (len(shape) - 1))
    rolled = x.roll(tuple(steps[0].tolist()), tuple(range(2, x.ndim)))
    for fill in (None, 0.5):
        assert torch.equal(shifted(x, steps, fill)[inside], rolled[inside])


@both
def test_left_and_right_are_exchanged_and_voxels_stay_on_the_floor(shape):
    x = samples(shape)
    which = torch.tensor([True, False] * 3)
    y = mirrored(x, which)
    assert torch.equal(y[1::2], x[1::2])
    assert torch.equal(y[::2], x[::2].flip(3 if len(shape) == 3 else 2))


def test_a_turn_by_a_right_angle_moves_a_single_value_to_a_known_place():
    """y(p) = x(A p): with A a quarter turn in the plane (first, second axis), what is at (0, 1) comes from A (0, 1)."""
    x = torch.zeros(1, 1, 5, 5)
    x[0, 0, 0, 1] = 1  # (-2, -1) from the middle
    quarter = torch.tensor([[[0.0, -1.0, 0.0], [1.0, 0.0, 0.0]]])  # (a, b) -> (-b, a): p = (-1, 2) comes from (-2, -1)
    assert (transformed(x, quarter, None)[0, 0] == 1).nonzero().tolist() == [[1, 4]]


@pytest.mark.parametrize("fill", [None, 0.0, -1.0])
def test_half_a_step_is_the_mean_of_two_neighbors(fill):
    x = samples((2, 5, 6))
    half = torch.tensor([[[1.0, 0, 0], [0, 1, 0.5]]], dtype=torch.float64).expand(len(x), -1, -1)
    y = transformed(x, half, fill)
    torch.testing.assert_close(y[..., :-1], (x[..., 1:] + x[..., :-1]) / 2, rtol=0, atol=1e-14)
    beyond = x[..., -2] if fill is None else torch.full_like(x[..., -1], fill)
    torch.testing.assert_close(y[..., -1], (x[..., -1] + beyond) / 2, rtol=0, atol=1e-14)


@both
def test_any_movement_is_interpolation_by_hand(shape):
    """One value after the other, from the 2^dims around it, with places outside taken as the fill."""
    x = samples((1, *shape[1:]), n=2)[..., :5, :4]
    x = x if x.ndim == 4 else x[:, :, :3]
    dims = x.ndim - 2
    inverse = torch.eye(dims, dims + 1, dtype=torch.float64) + 0.4 * torch.randn(
        2, dims, dims + 1, generator=torch.Generator().manual_seed(3), dtype=torch.float64
    )
    y = transformed(x, inverse, -1.0)
    for n in range(2):
        for place in np.ndindex(*x.shape[2:]):
            middle = (np.array(x.shape[2:]) - 1) / 2
            source = inverse[n, :, :-1].numpy() @ (np.array(place) - middle) + inverse[n, :, -1].numpy() + middle
            low, value = np.floor(source).astype(int), 0.0
            for corner in np.ndindex(*[2] * dims):
                at, share = low + corner, np.prod(np.where(corner, source - low, 1 - source + low))
                inside = all(0 <= a < side for a, side in zip(at, x.shape[2:], strict=True))
                value += share * (x[(n, 0, *at)].item() if inside else -1)
            assert y[(n, 0, *place)].item() == pytest.approx(value, abs=1e-12)


@pytest.mark.parametrize("fill", [None, -1.0, 0.3])
def test_upright_voxels_are_moved_as_any_in_less_time(fill):
    x = samples((2, 4, 5, 6), n=3)
    inverse = 0.7 * torch.randn(3, 3, 4, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    inverse[:, 2, :2], inverse[:, :2, 2] = 0, 0
    torch.testing.assert_close(transformed_upright(x, inverse, fill), transformed(x, inverse, fill), rtol=0, atol=1e-12)


def test_a_box_is_cut_between_its_ends_both_within():
    y = boxed(torch.ones(1, 1, 4, 5), torch.tensor([[1, -2]]), torch.tensor([[2, 0]]), 0.0)
    assert (y[0, 0] == 0).nonzero().tolist() == [[1, 0], [2, 0]]


def test_a_sample_of_one_channel_keeps_its_layout():
    x = torch.ones(2, 1, 4, 4)
    assert laid_out(x, x).is_contiguous()


def test_noise_ends_with_the_run_and_a_mirror_turns_half_of_the_samples():
    x = samples(PICTURE, n=2000, dtype=torch.float32)
    turned = (applied(Mirror(), x) != x).flatten(1).any(1).float().mean()
    assert turned.item() == pytest.approx(0.5, abs=0.05)
    assert (applied(Noise(0.4), x) - x).std().item() == pytest.approx(0.2, rel=0.02)  # half of the run is over
