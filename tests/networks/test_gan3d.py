"""Article 0's pair and recipe: its counts, its 27 logits, slow versions, and the variants that the author tried."""

import pytest
import torch
from torch.nn.functional import conv3d, conv_transpose3d, leaky_relu, softplus

from fixtures.tiny import data
from gansaku.contract import Target
from gansaku.data.store import Facts
from gansaku.errors import RecipeError
from gansaku.networks.gan3d import ArticleDiscriminator, ArticleGenerator
from gansaku.recipes.registry import find
from gansaku.training.state import begin
from gansaku.training.step import cycle

CHAIRS = Facts("chairs", (1, 16, 16, 16), 40, ())
NARROW = {"generator.network.width": 2, "discriminator.network.width": 2, "latent.size": 5, "generator.network.latent": 5}


def test_at_64_it_has_the_weights_of_the_articles_code():
    with torch.device("meta"):
        pair = ArticleGenerator((1, 64, 64, 64)).build(), ArticleDiscriminator((1, 64, 64, 64)).build()
    assert [sum(p.numel() for p in net.parameters()) for net in pair] == [17_570_627, 11_049_795]


@pytest.mark.parametrize(("shape", "logits"), [((1, 16, 16, 16), 27), ((1, 8, 16, 12), 105), ((3, 32, 32), 9)])
def test_it_says_something_of_each_of_the_places_that_are_left(shape, logits):
    part = ArticleDiscriminator(shape, width=2)
    x = ArticleGenerator(shape, latent=5, width=2).build()(torch.randn(2, 5), None, None)
    assert x.shape == (2, *shape)
    assert part.build()(x, None, None).logits.shape == (2, logits)
    assert part.logits == logits


def normed(x):
    """Batch norm without anything learned, as the source's epsilon has it."""
    axes = [0, 2, 3, 4]
    return (x - x.mean(axes, keepdim=True)) / (x.var(axes, correction=0, keepdim=True) + 2e-5).sqrt()


def test_both_are_the_articles_statements_one_after_the_other():
    torch.manual_seed(0)
    shape = (1, 16, 16, 16)
    g, d = (part.build().double() for part in (ArticleGenerator(shape, 5, width=2), ArticleDiscriminator(shape, width=2)))
    z = torch.randn(3, 5, dtype=torch.float64)
    y = z[:, :, None, None, None]
    for i, layer in enumerate(g.layers):
        y = normed(conv_transpose3d(y, layer.weight, layer.bias, stride=2 if i else 1, padding=1 if i else 0))
        y = y.relu() if i < 2 else y.sigmoid()
    torch.testing.assert_close((g(z, None, None) + 1) / 2, y)
    convolutions = [layer for layer in d.layers if isinstance(layer, torch.nn.Conv3d)]
    h = y
    for i, layer in enumerate(convolutions):
        h = normed(conv3d(h, layer.weight, layer.bias, stride=1 if i == 2 else 2, padding=1))
        h = leaky_relu(h, 0.2) if i < 2 else h
    torch.testing.assert_close(d(2 * y - 1, None, None).logits, h.flatten(1))


def test_its_loss_is_the_articles_sum_over_the_27_outputs_with_the_sigmoid_inside():
    recipe = find("gan3d-article", CHAIRS)
    real, fake = torch.randn(4, 27), torch.randn(4, 27)
    none = Target(torch.ones(4, 1), torch.zeros(4, 1))
    y_real, y_fake = real.sigmoid(), fake.sigmoid()
    assert torch.equal(recipe.loss.discriminator(real, fake, none), softplus(-y_real) + softplus(y_fake))
    assert torch.equal(recipe.loss.generator(None, fake, none), softplus(-y_fake))


def test_it_has_the_articles_settings_and_g_moves_first_on_the_fakes_that_d_judges():
    recipe = find("gan3d-article", CHAIRS)
    g, d = recipe.generator, recipe.discriminator
    assert (g.lr, d.lr, g.optimizer.betas[0], recipe.batch, recipe.length) == (2.5e-3, 1e-5, 0.5, 30, 40_000)
    assert (recipe.latent.size, recipe.latent.scale) == (200, 0.33)
    assert [(move.player, move.fake) for move in recipe.cycle] == [("generator", "new"), ("discriminator", "same")]


TRIED = [
    {}, {"loss": "Logistic"}, {"latent": {"part": "Uniform", "size": 5}}, {"method.order.1.gate": "Gate"},
    {"generator.network.leak": 0.2}, {"discriminator.optimizer": "SGD"}, {"generator.network.dropout": 0.5},
    {"generator.network.last_norm": False, "discriminator.network.last_norm": False},
]  # fmt: skip


@pytest.mark.parametrize("changes", TRIED, ids=lambda changes: " ".join(map(str, changes)) or "as it is")
def test_what_the_author_tried_is_one_setting_and_trains(changes):
    recipe = find("gan3d-article", CHAIRS).but({**NARROW, "batch": 4, **changes})
    state = begin(recipe)
    before = [p.detach().clone() for p in state.nets["generator"].parameters()]
    cycle(state, recipe, data(recipe))
    after = list(state.nets["generator"].parameters())
    assert any(not torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert all(p.isfinite().all() for p in after)


def test_pictures_are_refused():
    with pytest.raises(RecipeError, match="gan3d-article: is for voxels"):
        find("gan3d-article", Facts("faces", (3, 64, 64), 100, ()))
