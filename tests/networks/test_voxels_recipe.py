"""The recipe for voxels: every size, sides that differ, classes by projection, and what it is made of."""

import pytest
import torch

from fixtures.tiny import data
from gansaku.augment import DiffAugment
from gansaku.data.store import Facts
from gansaku.errors import RecipeError
from gansaku.losses import RelativisticPairing
from gansaku.networks.blocks import CHANNELS_LAST
from gansaku.networks.dcgan import DCGANDiscriminator
from gansaku.recipe import from_toml, to_toml
from gansaku.recipes.registry import find
from gansaku.training.state import begin
from gansaku.training.step import cycle

SMALL = {"generator.network.width": 4, "discriminator.network.width": 4, "batch": 4, "precision": "fp32"}


def chairs(*space, classes=()):
    return Facts("chairs", (1, *space), 400, tuple(classes))


@pytest.mark.parametrize("side", [16, 32, 64])
def test_each_size_has_a_recipe_of_its_name_and_its_networks(side):
    recipe = find(f"voxels-{side}", chairs(side, side, side))
    assert recipe.generator.network.shape == recipe.discriminator.network.shape == (1, side, side, side)
    assert from_toml(to_toml(recipe)) == recipe


def test_it_is_a_relativistic_loss_with_lazy_penalties_in_space_and_no_norm_in_d():
    recipe = find("voxels", chairs(16, 16, 16))
    assert recipe.loss == RelativisticPairing()
    assert recipe.augment == DiffAugment()
    assert recipe.augment.kinds(3) == ("translation", "cutout")
    assert [(type(one.term).__name__, one.every) for one in recipe.discriminator.terms] == [("R1", 4), ("R2", 4)]
    assert recipe.discriminator.network.norm == "none"
    assert recipe.batch == 32
    assert find("voxels", Facts("few", (1, 16, 16, 16), 10, ())).batch == 10


@pytest.mark.parametrize("space", [(8, 16, 12), (16, 32, 16)], ids=str)
@pytest.mark.parametrize("classes", [(), ("bed", "chair", "sofa", "table")], ids=["one kind", "four classes"])
def test_it_trains_sides_that_differ_with_and_without_classes(space, classes):
    recipe = find("voxels", chairs(*space, classes=classes)).but(SMALL)
    state = begin(recipe)
    before = {name: p.detach().clone() for net in state.nets.values() for name, p in net.named_parameters()}
    for _ in range(2):
        signals = cycle(state, recipe, data(recipe))
    assert all(value.isfinite() for value in signals.values())
    after = {name: p for net in state.nets.values() for name, p in net.named_parameters()}
    assert [name for name in before if torch.equal(before[name], after[name])] == ["last.bias"]  # only differences count


def test_what_is_not_reached_by_doublings_and_pictures_are_refused_with_a_sentence():
    with pytest.raises(RecipeError, match=r"size 16 × 18 × 16: beside 16 the other sides must be multiples of 4"):
        find("voxels", chairs(16, 18, 16))
    with pytest.raises(RecipeError, match="the nearest sizes are 28 and 32"):
        find("voxels", chairs(30, 30, 30))
    with pytest.raises(RecipeError, match=r"voxels: is for voxels, and the samples are \(3, 32, 32\); use auto"):
        find("voxels", Facts("faces", (3, 32, 32), 10, ()))


class TestProjection:
    shape = (1, 8, 16, 8)

    def built(self, classes=3, logits=1, layout=torch.contiguous_format, **more):
        torch.manual_seed(0)
        part = DCGANDiscriminator(self.shape, 4, logits=logits, norm="none", init="he", classes=classes, **more)
        return part.build().double().to(memory_format=layout)

    def samples(self, n=4):
        x = torch.randn(n, *self.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
        return x, torch.arange(n) % 3

    def test_adds_the_labels_vector_times_the_mean_of_the_last_map(self):
        net, (x, labels) = self.built(logits=2), self.samples()
        features = net.layers(x)
        own = torch.stack(
            [net.projection.weight[label] @ one.mean((1, 2, 3)) for label, one in zip(labels, features, strict=True)]
        )
        torch.testing.assert_close(net(x, labels, None).logits, net.last(features).flatten(1) + own[:, None])

    def test_without_classes_there_is_none_and_labels_change_nothing(self):
        net, (x, labels) = self.built(classes=0), self.samples()
        assert not [name for name, _ in net.named_parameters() if "projection" in name]
        assert torch.equal(net(x, labels, None).logits, net(x, labels + 1, None).logits)
        assert not DCGANDiscriminator(self.shape).reads_labels
        assert DCGANDiscriminator(self.shape, classes=2).reads_labels

    @pytest.mark.parametrize("layout", [torch.contiguous_format, CHANNELS_LAST[3]], ids=["plain", "channels last"])
    @pytest.mark.parametrize("logits", [1, 3])
    def test_the_slope_that_is_written_out_is_autograds_and_so_are_its_gradients(self, layout, logits):
        net, (x, labels) = self.built(logits=logits, layout=layout), self.samples()
        x = x.requires_grad_()
        slope = torch.autograd.grad(net(x, labels, None).logits.sum(), x, create_graph=True)[0]
        explicit = net.slope(x, labels, None)
        torch.testing.assert_close(explicit, slope, rtol=1e-10, atol=1e-12)
        for name, weight in net.named_parameters():
            if "bias" not in name:
                found = [torch.autograd.grad(one.square().sum(), weight, retain_graph=True)[0] for one in (explicit, slope)]
                torch.testing.assert_close(*found, rtol=1e-10, atol=1e-12)

    def test_spectral_norm_bounds_it_too(self):
        torch.manual_seed(0)
        net = DCGANDiscriminator(self.shape, 4, norm="spectral", classes=3).build().double()
        x, labels = self.samples()
        for _ in range(200):
            net(x, labels, None)
        net.eval()
        assert torch.linalg.matrix_norm(net.projection.weight, 2).item() == pytest.approx(1, abs=1e-6)
