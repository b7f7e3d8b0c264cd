"""ADA: its distributions (Karras et al. 2020, appendix B), and its controller against the published steps."""

import importlib
import math
from types import SimpleNamespace

import pytest
import torch

from fixtures import began, cramer
from fixtures.tiny import PICTURES, VOXELS, data, discriminator, generator
from gansaku.augment import Adaptive, Scheduled, Transforms
from gansaku.augment.color import coloring, painted
from gansaku.augment.geometry import about, balanced, movement, poses, quarters
from gansaku.contract import AdversarialLoss, Target
from gansaku.draws import Draw, Rows
from gansaku.errors import RecipeError
from gansaku.latents import Gaussian
from gansaku.losses import LeastSquares, Logistic, RelativisticPairing
from gansaku.methods.adversarial import Adversarial
from gansaku.parts import parts
from gansaku.recipe import Recipe
from gansaku.training.state import begin
from gansaku.training.step import cycle

torch.set_num_threads(1)

MANY = 20_000
SIDES = [(16, 16), (16, 24, 32)]
both = pytest.mark.parametrize("shape", [PICTURES, VOXELS], ids=["2d", "3d"])


def draw(n=MANY):
    return Draw(0, 0, Rows(0, n, n), torch.zeros((), dtype=torch.float64))


def moves(space, blit, geometry, upright=True, n=MANY):
    one = torch.ones((), dtype=torch.float64)
    return movement(draw(n), "real0", torch.Size(space), blit * one, geometry * one, upright)


def turn_of(x, p):
    return SimpleNamespace(draw=Draw(0, 0, Rows(0, len(x), len(x)), x), memory={"ada/p": torch.tensor(p)})


def samples(shape, n=40):
    return 2 * torch.rand(n, *shape, generator=torch.Generator().manual_seed(1)) - 1


def assert_normal(x, deviation):
    """Mean, standard deviation, and the share beyond one deviation."""
    assert x.mean().abs() < 5 * deviation / len(x) ** 0.5
    assert x.std().item() == pytest.approx(deviation, rel=0.03)
    assert (x.abs() > deviation).double().mean().item() == pytest.approx(0.3173, abs=0.02)


def assert_even(which, n):
    """0 … n - 1, all as often."""
    counts = torch.bincount(which.long(), minlength=n).double()
    assert len(counts) == n
    assert ((counts - len(which) / n).abs() < 5 * (len(which) / n) ** 0.5).all()


@both
def test_with_p_0_samples_are_the_same_to_the_bit(shape):
    x = samples(shape)
    for augment in (Adaptive(transforms=Transforms(cutout=1.0)), Adaptive(transforms=Transforms(upright=False))):
        assert torch.equal(augment(x, turn_of(x, 0.0), "real0"), x)


@pytest.mark.parametrize("space", SIDES, ids=str)
@pytest.mark.parametrize("p", [0.1, 0.5])
def test_each_change_is_made_with_probability_p(space, p):
    """Three that copy, and scale, a turn, stretch and step; the two turns together count as one."""
    assert moves(space, p, p).moved.double().mean().item() == pytest.approx(1 - (1 - p) ** 7, abs=0.015)
    assert moves(space, p, 0).moved.double().mean().item() == pytest.approx(1 - (1 - p) ** 3, abs=0.015)
    assert coloring(draw(), "real0", torch.tensor(p), 3).changed.double().mean().item() == pytest.approx(
        1 - (1 - p) ** 5, abs=0.015
    )
    assert coloring(draw(), "real0", torch.tensor(p), 1).changed.double().mean().item() == pytest.approx(
        1 - (1 - p) ** 3, abs=0.015
    )


def test_pictures_are_turned_into_all_eight_poses_of_a_square_as_often():
    inverse = moves((16, 16), 1, 0).inverse
    plane = inverse[:, :, :2]
    assert torch.equal(plane.abs().sum(1), torch.ones_like(plane[:, 0]))  # exactly 0, 1 and -1
    mirrored = plane.det() < 0
    angle = (torch.atan2(plane[:, 1, 0], plane[:, 0, 0]) / (math.pi / 2)).round() % 4
    assert_even(mirrored * 4 + angle, 8)


@pytest.mark.parametrize("space", SIDES, ids=str)
def test_whole_steps_are_rounded_from_an_eighth_of_each_side(space):
    inverse = moves(space, 1, 0).inverse
    dims = len(space)
    steps = -(inverse[..., :dims].transpose(1, 2) @ inverse[..., dims:])[..., 0]  # of a signed permutation the inverse
    for axis, side in enumerate(space):
        most = side // 8
        share = torch.bincount((steps[:, axis] + most).long(), minlength=2 * most + 1) / MANY
        assert torch.equal(steps[:, axis], steps[:, axis].round())
        assert len(share) == 2 * most + 1
        expected = torch.full((2 * most + 1,), 1 / (2 * most))
        expected[[0, -1]] /= 2  # round(U(-2, 2)) is 2 half as often as 1
        assert (share - expected).abs().max() < 0.015


@pytest.mark.parametrize("space", SIDES, ids=str)
def test_scale_stretch_turn_and_step_have_their_published_spread(space):
    """In the plane: A = turn · stretch · turn / scale, so that det A = 1 / scale^dims and what is left is stretch."""
    inverse, dims = moves(space, 0, 1).inverse, len(space)
    a = inverse[..., :dims]
    assert_normal(a.det().log2() / dims, 0.2)
    plane = a[:, :2, :2]
    if dims == 2:
        ratio = torch.linalg.svdvals(a).log2()
        assert (ratio[:, 0] - ratio[:, 1]).square().mean().sqrt().item() == pytest.approx(0.4, rel=0.03)
    turned = torch.atan2(plane[:, 1, 0] - plane[:, 0, 1], plane[:, 0, 0] + plane[:, 1, 1])  # of the polar decomposition
    assert_even(((turned / math.pi + 1) * 4).floor().clamp(0, 7), 8)
    steps = -torch.linalg.solve(a, inverse[..., dims:])[..., 0]
    for axis, side in enumerate(space):
        assert_normal(steps[:, axis], 0.125 * side)


def test_a_stretch_keeps_the_volume_and_is_the_published_one_in_two_dimensions():
    for dims in (2, 3):
        logs = balanced(torch.randn(MANY, dims, generator=torch.Generator().manual_seed(0), dtype=torch.float64))
        assert logs.sum(1).abs().max() < 1e-12
        for axis in range(dims):
            assert_normal(logs[:, axis], 1.0)


def test_upright_voxels_stay_on_the_floor():
    """Mirrored left to right, never upside down; turned about the last axis, from floor to top, alone."""
    for geometry in (0, 1):
        a = moves((8, 8, 8), 1, geometry, n=500).inverse[..., :3]
        assert a[:, 2, :2].eq(0).all()
        assert a[:, :2, 2].eq(0).all()
        assert (a[:, 2, 2] > 0).all()
    poses_seen = moves((8, 8, 8), 1, 0, n=500).inverse[:, :2, :2].flatten(1).unique(dim=0)
    assert len(poses_seen) == 8


def test_other_voxels_are_turned_into_all_48_poses_and_about_any_axis():
    a = moves((8, 8, 8), 1, 0, upright=False).inverse[..., :3]
    assert torch.equal(a.abs().sum(1), torch.ones_like(a[:, 0]))
    assert len(a.flatten(1).unique(dim=0)) == 48
    assert (a.det() < 0).double().mean().item() == pytest.approx(0.5, abs=0.02)
    turned = moves((8, 8, 8), 0, 1, upright=False, n=200).inverse[:, :, :3]
    assert turned[:, 2, :2].abs().min() > 0


def test_turns_are_turns():
    eye = torch.eye(3, dtype=torch.float64).expand(24, 3, 3)
    for turn in (
        poses(eye, torch.arange(24.0)),
        quarters(eye[:4], torch.arange(4.0)),
        about(torch.randn(24, 3, dtype=torch.float64), torch.linspace(-3, 3, 24, dtype=torch.float64)),
    ):
        torch.testing.assert_close(turn @ turn.transpose(1, 2), eye[: len(turn)])
        torch.testing.assert_close(turn.det(), torch.ones(len(turn), dtype=torch.float64))
    third = about(torch.ones(1, 3, dtype=torch.float64), torch.tensor([2 * math.pi / 3], dtype=torch.float64))
    red = torch.tensor([1.0, 0, 0], dtype=torch.float64)
    torch.testing.assert_close(third[0] @ red, torch.tensor([0, 1.0, 0], dtype=torch.float64))  # a third of hue: red is green


@pytest.mark.parametrize("shape", [(3, 8, 8), (1, 8, 8, 8)], ids=["2d", "3d"])
def test_what_only_copies_changes_no_value(shape):
    x = samples(shape)
    y = Adaptive(transforms=Transforms(geometry=0, color=0))(x, turn_of(x, 1.0), "real0")
    assert not torch.equal(x, y)
    for before, after in zip(x, y, strict=True):
        assert set(after.flatten().tolist()) <= {*before.flatten().tolist(), -1.0}


def test_color_has_its_published_spread():
    """Along gray: brightness, then contrast, then perhaps its negative. Across: contrast times saturation, and hue."""
    m = coloring(draw(), "real0", torch.ones(()), 3).matrix
    gray = m[..., :3].sum(2)
    assert (gray - gray.mean(1, keepdim=True)).abs().max() < 1e-12  # gray stays gray, whatever hue and saturation
    gain, colors = gray.mean(1), m[..., :3] @ torch.tensor([[1.0], [-1], [0]], dtype=m.dtype) / math.sqrt(2)
    assert_normal(gain.abs().log2(), 0.5)
    assert_even(gain < 0, 2)
    assert_normal(m[..., 3].mean(1) / gain, 0.2)
    assert (m[..., 3] - m[:, :1, 3]).abs().max() < 1e-12
    assert_normal((colors.norm(dim=1)[:, 0] / gain.abs()).log2(), 1.0)
    across = torch.tensor([[1.0, -1, 0], [1, 1, -2]], dtype=m.dtype)
    a, b = (colors[..., 0] @ axis / axis.norm() for axis in across)
    assert_even(((torch.atan2(b, a) / math.pi + 1) * 4).floor().clamp(0, 7), 8)


def test_a_luma_flip_turns_gray_into_its_negative_and_keeps_what_is_colored_about_it():
    luma = torch.full((1, 3, 3), 1 / 3)
    flip = torch.cat([torch.eye(3)[None] - 2 * luma, torch.zeros(1, 3, 1)], 2)
    x = torch.tensor([0.6, 0.0, 0.3]).view(1, 3, 1, 1)  # 0.3 gray, with (0.3, -0.3, 0) about it
    torch.testing.assert_close(painted(x, flip).flatten(), torch.tensor([0.0, -0.6, -0.3]))
    torch.testing.assert_close(painted(x[:, 1:2] + 0.5, flip).flatten(), torch.tensor([-0.5]))


def test_a_gray_sample_becomes_what_three_equal_channels_become():
    m = coloring(draw(50), "real0", torch.ones(()), 1).matrix.float()
    gray = samples((1, 4, 5), n=50)
    torch.testing.assert_close(painted(gray, m), painted(gray.expand(-1, 3, -1, -1), m)[:, :1])


def test_a_cut_has_half_of_each_side_and_its_middle_anywhere():
    for shape, empty in (((3, 16, 16), 0.0), ((1, 16, 16, 16), -1.0)):
        x = torch.ones(600, *shape)
        only = Transforms(blit=0, geometry=0, color=0, cutout=0.5)
        y = Adaptive(transforms=only)(x, turn_of(x, 1.0), "real0")[:, 0]
        cut = y.eq(empty).flatten(1).sum(1)
        assert cut.max().item() == 8 ** (len(shape) - 1)
        assert (cut > 0).double().mean().item() == pytest.approx(0.5, abs=0.1)
        mean = 0.5 * (16 * 7 / 16) ** (len(shape) - 1)  # of 8 along a side, 1 is beyond the edges on average
        assert cut.double().mean().item() == pytest.approx(mean, rel=0.15)


def test_color_for_samples_without_is_refused_and_left_out_where_nobody_asked():
    recipe = Recipe(VOXELS, generator(VOXELS), discriminator(VOXELS), 100, latent=Gaussian(4), augment=Adaptive())
    x = samples(VOXELS)
    assert Adaptive()(x, turn_of(x, 1.0), "real0").min() >= -1  # nothing brighter or darker than voxels are
    with pytest.raises(RecipeError, match=r"augment\.transforms\.color: \(1, 4, 8, 8\) are no pictures"):
        recipe.but({"augment.transforms.color": 1.0})


# The controller


def published(signs, batch, target, start, every, speed, limit):
    """training_loop.py's heuristic (ada_stats, ada_interval, ada_kimg), sign by sign; p also held below a limit."""
    p, history, collected = start, [], []
    for number, batch_of_signs in enumerate(signs, 1):
        history.append(p)
        collected += batch_of_signs
        if number % every == 0:
            mean = sum(collected) / len(collected)
            direction = (mean > target) - (mean < target)
            p = min(limit, max(0.0, p + direction * (batch * every) / speed))
            collected = []
    return history


@pytest.mark.parametrize(("every", "start", "limit"), [(4, 0.0, 1.0), (1, 0.5, 1.0), (3, 0.05, 0.06)])
def test_the_controller_follows_the_published_steps(every, start, limit):
    coin = torch.Generator().manual_seed(2)
    levels = torch.cat([torch.full((40,), level) for level in (0.95, 0.5, 0.85, 0.1)])
    signs = [(2 * (torch.rand(16, generator=coin) < level).int() - 1).tolist() for level in levels]
    augment = Adaptive(target=0.6, start=start, every=every, speed=2000, limit=limit)
    turn = SimpleNamespace(player="discriminator", piece=SimpleNamespace(rows=Rows(0, 16, 16)))
    memory, history = augment.memory(None), []
    for batch_of_signs in signs:
        turn.memory = memory
        history.append(augment.derived([turn], {})["augment_p"].item())
        memory = augment.remember(memory, [turn], {"sign": torch.tensor(batch_of_signs).double().mean()})
    wanted = published(signs, 16, 0.6, start, every, 2000, limit)
    assert len(set(wanted)) > 2
    assert history == pytest.approx(wanted, abs=1e-6)


def test_as_published_p_goes_from_0_to_1_in_half_a_million_samples_and_faster_from_other_weights():
    turn = SimpleNamespace(player="discriminator", piece=SimpleNamespace(rows=Rows(0, 64, 64)))
    for augment, samples_seen in ((Adaptive(), 500_000), (Adaptive(speed=100_000), 100_000)):
        memory, batches = augment.memory(None), 0
        while memory["ada/p"] < 0.01:
            memory = augment.remember(memory, [turn], {"sign": torch.tensor(0.9)})
            batches += 1
        assert 64 * batches == pytest.approx(samples_seen / 100, abs=64 * 4)


def test_only_the_discriminators_turns_count():
    turn = SimpleNamespace(player="generator", memory=Adaptive().memory(None))
    assert Adaptive().remember(turn.memory, [turn], {}) is turn.memory
    assert Adaptive().derived([turn], {}) == {}


def test_p_rises_when_the_discriminator_is_sure_and_is_in_the_log():
    """A discriminator that has seen through everything, with the target far below."""
    recipe = importlib.import_module("fixtures.adaptive").recipe()
    state, source, seen = begin(recipe), data(recipe), []
    for _ in range(8):
        seen.append(cycle(state, recipe.but({"augment.target": -0.9}), source)["discriminator/augment_p"].item())
    assert seen == pytest.approx([0.4, 0.4, 0.56, 0.56, 0.72, 0.72, 0.8, 0.8])


@pytest.mark.parametrize("module", [began, cramer])
def test_a_method_that_gives_no_sign_is_refused_before_anything_is_trained(module):
    with pytest.raises(
        RecipeError, match=r"which (BEGAN|Cramer|TinyBEGAN|TinyCramer) does not give as a signal; use DiffAugment"
    ):
        module.recipe().but(augment=Adaptive())


def test_what_every_method_says_it_gives_it_gives():
    fixtures = importlib.import_module("fixtures").methods().values()
    recipes = {type(f.recipe().method): f.recipe() for f in fixtures}
    assert any(method.gives for method in recipes)
    for method, recipe in recipes.items():
        signals = cycle(begin(recipe), recipe, data(recipe))
        assert {f"discriminator/{name}" for name in method.gives} <= signals.keys(), method


def test_a_method_that_said_it_gives_the_sign_and_does_not_is_an_error():
    turn = SimpleNamespace(player="discriminator", recipe=SimpleNamespace(method=Adversarial()))
    with pytest.raises(RecipeError, match="says that it gives the signal 'sign'"):
        Adaptive().remember(Adaptive().memory(None), [turn], {})


@pytest.mark.parametrize(
    "loss", [cls() for cls in parts(AdversarialLoss).values() if cls.__module__ == "gansaku.losses"], ids=str
)
def test_a_loss_says_whether_only_differences_of_ds_outputs_mean_something(loss):
    real, fake = torch.randn(2, 5, 1, dtype=torch.float64)
    target = Target(torch.ones_like(real), torch.zeros_like(real))
    before, after = loss.discriminator(real, fake, target), loss.discriminator(real + 3, fake + 3, target)
    assert loss.only_differences == torch.allclose(before, after)


@pytest.mark.parametrize(
    ("loss", "wanted"),
    [(Logistic(), [1, -1, 1, -1]), (LeastSquares(), [1, -1, -1, -1]), (RelativisticPairing(), [1, 1, -1, -1])],
)
def test_the_sign_is_about_the_losss_boundary_or_the_fake_beside(loss, wanted):
    real, fake = torch.tensor([[2.0], [-1], [0.25], [-3]]), torch.tensor([[1.0], [-2], [1], [5]])
    recipe = Recipe(PICTURES, generator(PICTURES), discriminator(PICTURES), 100, loss=loss, latent=Gaussian(4))
    turn = SimpleNamespace(player="discriminator", recipe=recipe, logits=lambda which: {"real": real, "fake": fake}[which])
    assert recipe.method.signals(turn)["sign"].tolist() == wanted


def test_a_schedule_goes_from_its_start_to_its_end_on_half_a_cosine_wave():
    schedule = Scheduled(end=0.3, over=1000)
    assert [schedule.p(seen, 10**6) for seen in (0, 500, 1000, 5000)] == pytest.approx([0, 0.15, 0.3, 0.3], abs=1e-12)
    assert Scheduled(end=0.4, start=0.4).p(17, 100) == pytest.approx(0.4)
    assert Scheduled(end=1.0).p(50, 100) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("settings", "words"),
    [({"target": 1.0}, "mean of signs"), ({"start": 0.9, "limit": 0.8}, "between 0 and the limit"), ({"every": 0}, "no number"),
     ({"limit": 1.2}, "no probability"), ({"speed": 0}, "no number of samples")],
)  # fmt: skip
def test_settings_out_of_range_are_refused(settings, words):
    with pytest.raises(RecipeError, match=words):
        Adaptive(**settings)


def test_transforms_that_change_nothing_or_more_often_than_p_are_refused():
    with pytest.raises(RecipeError, match="is 0 as all are"):
        Transforms(blit=0, geometry=0, color=0)
    with pytest.raises(RecipeError, match=r"geometry: 1\.5 is no share of p"):
        Transforms(geometry=1.5)
