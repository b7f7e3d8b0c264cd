"""ProGAN's pair: its parameter counts, what fading in means, the equalized learning rate, and the recipes' tables."""

import pytest
import torch
from torch.nn.functional import interpolate

from fixtures.tiny import data
from gansaku.contract import Phase
from gansaku.data.store import Facts
from gansaku.errors import RecipeError
from gansaku.networks.minibatch import MinibatchDeviation
from gansaku.networks.progressive import Equalized, ProgressiveDiscriminator, ProgressiveGenerator, channels_at, levels
from gansaku.networks.resampling import halved
from gansaku.recipes.registry import find
from gansaku.schedules import Level, Levels
from gansaku.training.state import begin
from gansaku.training.step import cycle

SHAPES = [(3, 16, 16), (1, 16, 32), (1, 8, 16, 8)]


def count(part):
    with torch.device("meta"):
        return sum(p.numel() for p in part.build().parameters())


def test_at_1024_px_it_has_the_published_parameters():
    """The authors' program prints 23,079,115 and 23,087,249; the paper's table 2 says 23.1M for both."""
    assert count(ProgressiveGenerator((3, 1024, 1024))) == 23_079_115
    assert count(ProgressiveDiscriminator((3, 1024, 1024))) == 23_087_249


def test_channels_are_those_of_the_papers_table():
    wanted = {4: 512, 8: 512, 16: 512, 32: 512, 64: 256, 128: 128, 256: 64, 512: 32, 1024: 16}
    assert {side: channels_at(side, 512) for side in wanted} == wanted


def pair(shape, classes=0):
    torch.manual_seed(0)
    g = ProgressiveGenerator(shape, latent=6, widest=5, classes=classes).build().double()
    d = ProgressiveDiscriminator(shape, widest=5, classes=classes).build().double()
    return g, d


def sizes(shape):
    """Full size and half of it."""
    return shape[1:], tuple(side // 2 for side in shape[1:])


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_level_that_is_not_there_yet_changes_nothing(shape):
    g, d = pair(shape)
    full, half = sizes(shape)
    z = torch.randn(4, 6, dtype=torch.float64)
    small = g(z, None, Phase(half))
    torch.testing.assert_close(g(z, None, Phase(full, 0.0)), interpolate(small, scale_factor=2), rtol=0, atol=0)
    x = torch.randn(4, shape[0], *full, dtype=torch.float64)
    torch.testing.assert_close(d(x, None, Phase(full, 0.0)).logits, d(halved(x), None, Phase(half)).logits, rtol=0, atol=0)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_level_that_is_all_there_hides_the_way_around_it(shape):
    g, d = pair(shape)
    full, half = sizes(shape)
    z, x = torch.randn(4, 6, dtype=torch.float64), torch.randn(4, shape[0], *full, dtype=torch.float64)
    made, said = g(z, None, Phase(full, 1.0)), d(x, None, Phase(full, 1.0)).logits
    with torch.no_grad():
        g.out[g.top - 1].weight.zero_()
        d.into[d.top - 1].weight.zero_()
    assert torch.equal(g(z, None, Phase(full, 1.0)), made)
    assert torch.equal(d(x, None, Phase(full, 1.0)).logits, said)
    assert torch.equal(g(z, None, None), made)  # no phase is all of it
    assert made.shape == x.shape
    assert g(z, None, Phase(half)).abs().sum() == g.out[g.top - 1].bias.abs().sum()  # 0: what is left is its bias


def test_half_faded_in_is_the_mean_of_both():
    g, _ = pair((3, 16, 16))
    z = torch.randn(2, 6, dtype=torch.float64)
    ends = [g(z, None, Phase((16, 16), fade)) for fade in (0.0, 1.0)]
    torch.testing.assert_close(g(z, None, Phase((16, 16), 0.5)), (ends[0] + ends[1]) / 2)


def test_samples_are_cut_only_outside_training():
    g, _ = pair((3, 8, 8))
    with torch.no_grad():
        g.out[-1].weight.mul_(100)
    z = torch.randn(2, 6, dtype=torch.float64)
    assert g.train()(z, None, None).abs().max() > 1
    assert g.eval()(z, None, None).abs().max() == 1


def test_an_equalized_layers_weight_is_of_variance_one_and_used_at_gain_over_root_of_its_inputs():
    torch.manual_seed(0)
    layer, x = Equalized(50, 40, (3, 3), gain=3.0).double(), torch.randn(2, 50, 6, 6, dtype=torch.float64)
    assert layer.weight.std().item() == pytest.approx(1, abs=0.02)
    torch.testing.assert_close(layer(x), torch.conv2d(x, layer.weight * 3 / (50 * 9) ** 0.5, padding=1))
    assert (layer.bias == 0).all()


def test_reflecting_borders_repeat_the_inside():
    layer, x = Equalized(1, 1, (3, 3), padding="reflect").double(), torch.arange(16, dtype=torch.float64).view(1, 1, 4, 4)
    padded = torch.nn.functional.pad(x, (1, 1, 1, 1), mode="reflect")
    torch.testing.assert_close(layer(x), torch.conv2d(padded, layer.weight * layer.scale))


def test_the_deviation_of_groups_is_that_of_every_so_many_th_sample():
    x = torch.randn(6, 2, 3, 3, dtype=torch.float64)
    found = MinibatchDeviation(2)(x)[:, 2]
    for i in range(3):
        both = torch.stack([x[i], x[i + 3]])
        wanted = (both.var(0, correction=0) + 1e-8).sqrt().mean()
        torch.testing.assert_close(found[[i, i + 3]], wanted.expand(2, 3, 3))
    assert torch.equal(MinibatchDeviation(6)(x), MinibatchDeviation(0)(x))
    assert torch.equal(MinibatchDeviation(4)(x), MinibatchDeviation(2)(x))  # 6 has no groups of 4


def test_a_class_stands_beside_z_and_d_tells_it_without_seeing_it():
    g, d = pair((3, 8, 8), classes=3)
    z, labels = torch.randn(2, 6, dtype=torch.float64), torch.tensor([0, 2])
    x = g(z, labels, None)
    assert not torch.equal(x, g(z, labels.flip(0), None))
    assert d(x, labels, None).classes.shape == (2, 3)
    assert torch.equal(d(x, labels, None).logits, d(x, labels.flip(0), None).logits)


def test_a_size_that_doubling_does_not_reach_is_refused():
    with pytest.raises(RecipeError, match=r"start: doubling 4 does not reach \(24, 24\)"):
        ProgressiveGenerator((3, 24, 24))
    assert ProgressiveGenerator((3, 24, 24), start=6).build().top == 2


class TestTheTable:
    growth = Levels((Level(4, 0, 100, 16), Level(8, 50, 100, 8), Level(16, 50, 100)))

    def test_goes_through_its_rows(self):
        shape = (3, 16, 32)
        assert self.growth.at(0, shape, 4) == ((4, 8), 1.0, 16)
        assert self.growth.at(99, shape, 4) == ((4, 8), 1.0, 16)
        assert self.growth.at(100, shape, 4) == ((8, 16), 0.0, 8)
        assert self.growth.at(125, shape, 4) == ((8, 16), 0.5, 8)
        assert self.growth.at(150, shape, 4) == ((8, 16), 1.0, 8)
        assert self.growth.at(275, shape, 4) == ((16, 32), 0.5, 4)
        assert self.growth.at(10**9, shape, 4) == ((16, 32), 1.0, 4)
        assert self.growth.length == 400

    @pytest.mark.parametrize(
        ("levels", "says"),
        [
            ((), "there are none"),
            ((Level(4, 10, 10),), "nothing before the first size"),
            ((Level(4, 0, 10), Level(16, 5, 10)), r"16 does not follow 4; each size is twice the last, here 8"),
        ],
    )
    def test_refuses_what_is_no_growth(self, levels, says):
        with pytest.raises(RecipeError, match=says):
            Levels(levels)

    def test_refuses_samples_of_another_size(self):
        with pytest.raises(RecipeError, match="the last size is 16 and the samples' smallest side 32"):
            self.growth.check((3, 32, 32))


def facts(size=256, classes=()):
    return Facts("food", (3, size, size), 5000, classes)


def test_article_2_sees_its_208_000_pictures_with_its_batches():
    recipe = find("progressive-article", facts())
    assert recipe.length == 208_000
    assert [(one.side, one.fade, one.stable, one.batch) for one in recipe.growth.levels] == [
        (4, 0, 16_000, 16), *[(4 << n, 16_000, 16_000, 16) for n in range(1, 5)], (128, 16_000, 16_000, 8),
        (256, 16_000, 16_000, 4),
    ]  # fmt: skip
    assert recipe.discriminator.terms[1].term.on == "both"


def test_its_retry_takes_as_many_steps_with_batches_of_128():
    first, retry = (find(f"progressive-{name}", facts()) for name in ("article", "retry"))
    for one, other in zip(first.growth.levels, retry.growth.levels, strict=True):
        assert other.stable / other.batch == one.stable / one.batch
    assert [one.batch for one in retry.growth.levels] == [128, 128, 128, 128, 16, 8, 4]


def test_the_papers_phases_have_600_000_samples_and_its_batches_with_one_gpu():
    recipe = find("progressive", facts(1024))
    assert [one.batch for one in recipe.growth.levels] == [128, 128, 128, 64, 32, 16, 8, 4, 4]
    assert {one.stable for one in recipe.growth.levels} == {600_000}
    assert recipe.length == 12_000_000
    assert find("progressive", facts(96)).growth.levels[0].side == 6


@pytest.mark.parametrize("shape", [(3, 16, 16), (1, 8, 16, 8)], ids=str)
@pytest.mark.parametrize("classes", [(), ("cat", "dog", "hen", "owl")], ids=["plain", "classes"])
def test_a_narrow_one_grows_through_all_its_phases(shape, classes):
    rows = tuple(Level(4 << n, 8 if n else 0, 8, 4) for n in range(levels(shape, 4) + 1))
    narrow = {f"{player}.network.widest": 4 for player in ("generator", "discriminator")}
    few = {"latent.size": 5, "generator.network.latent": 5, "growth": Levels(rows), "batch": 4, "precision": "fp32"}
    recipe = find("progressive", Facts("few", shape, 100, classes)).but(narrow | few)
    state = begin(recipe)
    for _ in range(recipe.growth.length // 4):
        cycle(state, recipe, data(recipe))
    assert state.size == shape[1:]
    assert all(p.isfinite().all() for net in state.nets.values() for p in net.parameters())
