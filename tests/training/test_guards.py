"""What a part of one's own may get wrong is refused by name, and what a network decided for itself is kept."""

import pytest
import torch
from torch import nn

from gansaku.contract import Gate, Move, Piece, Term, Weighted
from gansaku.data.store import Facts
from gansaku.draws import Rows
from gansaku.errors import RecipeError, Stopped
from gansaku.losses import Hinge
from gansaku.methods.adversarial import Adversarial, critic
from gansaku.networks.chainer_gan_lib import ChainerGenerator
from gansaku.networks.dcgan import DCGANDiscriminator
from gansaku.optimizers import SGD
from gansaku.parts import part
from gansaku.recipes.registry import find
from gansaku.runs.watchers import check_sound
from gansaku.sampling import sample
from gansaku.training.by_hand import Trainer
from gansaku.training.state import begin, tensors
from gansaku.training.step import cycle

SMALL = {"generator.network.width": 4, "discriminator.network.width": 4, "batch": 8}
BASE = find("auto", Facts("p", (3, 16, 16), 100, ())).but(SMALL)


def conditional(classes):
    return BASE.but(
        {"generator.network": ChainerGenerator((3, 16, 16), latent=64, width=2, classes=classes), "classes": classes}
    )


def data(seen, phase):
    real = torch.rand(phase.batch, *BASE.shape, generator=torch.Generator().manual_seed(seen)) * 2 - 1
    return [Piece(Rows(0, phase.batch, phase.batch), real, torch.zeros(phase.batch, dtype=torch.long), {})]


def trained(recipe, cycles=2):
    state = begin(recipe)
    for _ in range(cycles):
        signals = cycle(state, recipe, data)
    return state, signals


@part
class MeanTerm(Term):
    """The usual mistake: a mean, where one number per sample is wanted."""

    def __call__(self, turn):
        return turn.logits("real").abs().mean()


@part
class NaNSlope(Term):
    """Zero, with a gradient that is not a number: the loss looks healthy and the weights are lost."""

    def __call__(self, turn):
        return (turn.fake().flatten(1).sum(1) * 0).sqrt() * 0


def test_a_term_that_gives_one_number_for_the_batch_is_refused():
    with pytest.raises(RecipeError, match=r"discriminator/mean_term: gave \(\); one number per sample, \(8,\)"):
        trained(BASE.but({"discriminator.terms": (Weighted(1.0, MeanTerm()),)}))


def test_two_losses_of_one_name_are_refused(monkeypatch):
    monkeypatch.setattr("gansaku.training.step.part_name", lambda part: "adversarial")
    with pytest.raises(RecipeError, match="'adversarial' is the name of two losses"):
        trained(BASE.but({"discriminator.terms": BASE.discriminator.terms[:1]}))


def test_a_penalty_of_the_discriminator_is_refused_for_the_generator():
    with pytest.raises(RecipeError, match="R1 does nothing for the generator; it is for the discriminator"):
        BASE.but({"generator.terms": BASE.discriminator.terms})


def test_settings_that_only_fit_together_can_be_set_together():
    both = {"latent.size": 32, "generator.network.latent": 32}
    assert BASE.but(both) == BASE.but(dict(reversed(both.items())))
    with pytest.raises(RecipeError, match="set both"):
        BASE.but({"latent.size": 32})


def test_growth_is_refused_for_networks_that_cannot_grow():
    with pytest.raises(RecipeError, match="DCGANGenerator of the generator cannot grow"):
        BASE.but(growth="Doubling")
    with pytest.raises(RecipeError, match=r"doubling 5 does not reach \(16, 16\)"):
        BASE.but({"growth": "Doubling", "growth.start": 5})


def test_a_gate_on_an_unknown_signal_names_the_nearest():
    gated = Adversarial((Move("discriminator", gate=Gate("acuracy")), Move("generator", real="same", fake="same")))
    with pytest.raises(RecipeError, match="did you mean 'accuracy'"):
        trained(BASE.but(method=gated))


@pytest.mark.parametrize("fast", ["all", "none"])
def test_momentum_is_defined_when_the_very_first_step_was_skipped(fast):
    gated = Adversarial((Move("discriminator", gate=Gate("accuracy", -1.0)), Move("generator", real="same", fake="same")))
    recipe = BASE.but({"method": gated, "discriminator.optimizer": SGD(0.9), "fast": fast})
    state, _ = trained(recipe, 1)
    assert all(v.abs().max() == 0 for n, v in tensors(state).items() if n.startswith("optimizer/discriminator"))


def test_weights_that_are_lost_behind_a_healthy_loss_are_found_before_saving():
    state, signals = trained(BASE.but({"generator.terms": (Weighted(1.0, NaNSlope()),)}), 1)
    assert signals["generator/loss/na_nslope"].item() == 0
    with pytest.raises(Stopped, match=r"^generator/gradient of \S+: is not finite at turn 1, the generator's, after 8 samples"):
        check_sound(state)


@part
class Frozen(DCGANDiscriminator):
    """A discriminator whose first layer its maker froze."""

    def build(self):
        network = super().build()
        network.layers[0].requires_grad_(False)
        return network


def test_a_layer_that_the_network_froze_stays_as_it_was():
    recipe = BASE.but({"discriminator.network": Frozen(BASE.shape, 4, norm="none"), "loss": "Logistic", "precision": "fp32"})
    start = begin(recipe).nets["discriminator"].state_dict()
    after = trained(recipe)[0].nets["discriminator"].state_dict()
    same = {name: torch.equal(start[name], after[name]) for name in start}
    assert same == {name: name.startswith("layers.0.") for name in start}


def test_the_average_of_a_spectrally_normed_network_is_spectrally_normed():
    recipe = BASE.but(
        {"generator.network.norm": "spectral", "generator.network.init": "he", "generator.lr": 0.02, "generator.ema.share": 0.5}
    )
    state, _ = trained(recipe, 40)
    for module in state.ema["generator"].modules():
        if isinstance(module, nn.ConvTranspose2d):
            matrix = module.weight.transpose(0, 1).flatten(1)
            assert torch.linalg.matrix_norm(matrix, 2).item() == pytest.approx(1, abs=0.15)


def test_a_signal_of_several_moves_in_a_cycle_is_their_mean():
    recipe = BASE.but(method=Adversarial(critic(2)), loss=Hinge(), fast="none", precision="fp32")
    recipe = recipe.but({"discriminator.terms": ()})
    seen = []
    Recorded.losses_seen = seen
    state = begin(recipe.but(method=Recorded(critic(2))))
    signals = cycle(state, recipe.but(method=Recorded(critic(2))), data)
    assert signals["discriminator/loss/adversarial"].item() == pytest.approx(sum(seen) / 2, rel=1e-6)
    assert seen[0] != seen[1]


@part
class Recorded(Adversarial):
    """The usual method, writing down the discriminator's losses."""

    def losses(self, turn):
        losses = super().losses(turn)
        if turn.player == "discriminator":
            self.losses_seen.append(losses["adversarial"].mean().item())
        return losses


class Labelled(nn.Module):
    """Draws its label."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, z, labels, phase):
        return labels.view(-1, 1, 1, 1).expand(-1, 3, 16, 16) / 1000 * self.scale


def test_labels_go_round_all_classes_also_beyond_a_block():
    recipe = conditional(100)
    made = sample(Labelled(), recipe, range(300))[:, 0, 0, 0].mul(1000).round().long()
    assert made.tolist() == [i % 100 for i in range(300)]
    assert sample(Labelled(), recipe, range(3), label=7)[:, 0, 0, 0].mul(1000).round().tolist() == [7, 7, 7]


def test_a_script_keeps_its_own_random_numbers():
    trainer = Trainer(BASE)
    drawn = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        trainer.train_on_batch(torch.zeros(8, *BASE.shape))
        drawn.append(torch.rand(1).item())
    assert drawn[0] != drawn[1]


def test_a_recipe_with_classes_wants_labels():
    trainer = Trainer(conditional(3))
    with pytest.raises(RecipeError, match="3 classes; give labels"):
        trainer.train_on_batch(torch.zeros(8, *BASE.shape))
