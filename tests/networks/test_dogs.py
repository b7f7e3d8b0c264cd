"""Article 3's pair: its sizes, the mask that never learns, and its repaired forms."""

import pytest
import torch

from fixtures.tiny import data
from gansaku.data.store import Facts
from gansaku.networks.dogs import DogDiscriminator, DogGenerator, pixel_norm
from gansaku.parts import encode
from gansaku.recipes import registry
from gansaku.training.state import begin
from gansaku.training.step import cycle

SHAPE = (3, 64, 64)
SMALL = {"generator.network.width": 4, "discriminator.network.width": 4, "precision": "fp32", "batch": 4}


def count(part):
    return sum(p.numel() for p in part.build().parameters())


def test_without_attention_and_for_120_breeds_they_have_as_many_weights_as_the_printed_ones():
    assert count(DogGenerator(SHAPE, classes=120, attention=False)) == 2_801_504
    assert count(DogDiscriminator(SHAPE, classes=120, attention=False)) == 2_044_996


@pytest.mark.parametrize("shape", [(3, 64, 64), (1, 32, 64), (1, 32, 32, 32)])
@pytest.mark.parametrize("labels", ["mask", "picture", "projection"])
def test_they_take_and_give_samples_of_their_shape(shape, labels):
    z, y, attention = torch.randn(3, 16), torch.tensor([0, 4, 2]), len(shape) == 3
    x = DogGenerator(shape, latent=16, width=4, classes=5, attention=attention).build()(z, y, None)
    assert x.shape == (3, *shape)
    assert x.abs().max() <= 1
    judge = DogDiscriminator(shape, width=4, classes=5, labels=labels, attention=attention).build()
    assert judge(x, y, None).logits.shape == (3, 1)


def discriminator(labels):
    torch.manual_seed(0)
    module = DogDiscriminator((3, 32, 32), width=4, classes=3, labels=labels, attention=False, spectral=False).build().double()
    x = torch.randn(4, 3, 32, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    return module, x, torch.tensor([0, 2, 2, 1])


def test_the_mask_is_the_sign_of_its_embedding_beside_the_picture():
    module, x, y = discriminator("mask")
    with torch.no_grad():
        before = module(x, y, None).logits
        module.label.weight.mul_(torch.rand_like(module.label.weight) + 0.1)
        torch.testing.assert_close(module(x, y, None).logits, before, rtol=0, atol=0)
        module.label.weight[2].neg_()
        after = module(x, y, None).logits
    assert not torch.equal(after, before)


@pytest.mark.parametrize("labels", ["mask", "picture", "projection"])
def test_only_the_mask_gives_its_labels_no_gradient(labels):
    module, x, y = discriminator(labels)
    module(x, y, None).logits.square().sum().backward()
    gradient = module.label.weight.grad
    assert (gradient is None) == (labels == "mask")
    assert labels == "mask" or gradient.abs().max() > 0


def test_a_mask_beside_the_picture_has_length_one_where_it_is_repaired():
    module, x, y = discriminator("picture")
    seen = []
    module.first.register_forward_pre_hook(lambda layer, given: seen.append(given[0]))
    module(x, y, None)
    torch.testing.assert_close(seen[0][:, 3].flatten(1).norm(dim=1), torch.ones(4, dtype=torch.float64))


def test_the_projection_adds_the_product_of_features_and_embedding():
    module, x, y = discriminator("projection")
    h = module.features(x)
    with torch.no_grad():
        apart = module(x, y, None).logits - module.judged(h)
        expected = (h.sum([2, 3]) * module.label.weight[y]).sum(1, keepdim=True)
    torch.testing.assert_close(apart, expected)


def test_each_pixels_features_have_a_root_mean_square_of_one():
    x = 5 * torch.randn(2, 6, 3, 3)
    torch.testing.assert_close(pixel_norm(x).square().mean(1), torch.ones(2, 3, 3), rtol=1e-4, atol=1e-4)


class TestTheRecipe:
    facts = Facts("dogs", (3, 32, 32), 640, tuple("abcdefghij"), ("aspect", "ratio", "classes"))

    def test_reads_the_flags_that_the_data_have(self):
        assert registry.find("dogs", self.facts).targets.columns == ("classes", "aspect")
        assert registry.find("dogs", Facts("dogs", (3, 64, 64), 640, ())).targets.columns == ()

    def test_restarts_its_rates_after_eight_passes_and_the_discriminators_waves_are_twice_as_long_each_time(self):
        recipe = registry.find("dogs", self.facts)
        rates = [[player.lr * player.rate.at(64 + 640 * n, 1) for n in (0, 4, 8, 16, 24)] for player in recipe.players.values()]
        assert rates[0] == pytest.approx([2e-4, 1.25e-4, 2e-4, 2e-4, 2e-4])
        assert rates[1] == pytest.approx([2e-4, 1.25e-4, 2e-4, 1.25e-4, 2e-4])

    @pytest.mark.parametrize("labels", ["mask", "picture"])
    def test_trains_and_the_mask_does_not_move(self, labels):
        recipe = registry.find("dogs", self.facts).but({**SMALL, "discriminator.network.labels": labels})
        assert encode(recipe.method.order) == encode(registry.find("dogs", self.facts).method.order)
        state = begin(recipe)
        before = {name: p.detach().clone() for name, p in state.nets["discriminator"].named_parameters()}
        for _ in range(2):
            cycle(state, recipe, data(recipe))
        moved = {name for name, p in state.nets["discriminator"].named_parameters() if not torch.equal(p, before[name])}
        assert ("label.weight" in moved) == (labels == "picture")
        assert moved >= {name for name in before if name.startswith("halve.0")}
