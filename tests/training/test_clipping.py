"""Weight clipping in the recipe `wgan`: against a loop by hand, and what is clipped after which step."""

import copy

import pytest
import torch

from fixtures.tiny import PICTURES, VOXELS, Toys, copies, data, discriminator, generator
from gansaku import keys
from gansaku.contract import Phase
from gansaku.data.store import Facts
from gansaku.recipes.registry import find
from gansaku.training.state import begin
from gansaku.training.step import by_batch, cycle, play_batch, start_cycle

torch.set_num_threads(1)

BATCH, LATENT, CYCLES, STEPS = 8, 4, 3, 5
BOTH = pytest.mark.parametrize("shape", [PICTURES, VOXELS], ids=["2d", "3d"])


def recipe_of(shape, **settings):
    """The recipe's own method, optimizers, rates and bound, on tiny networks and a small batch."""
    whole = find("wgan", Facts("cifar10", (3, 32, 32), 50_000, ()))
    players = {"generator": generator(shape).network, "discriminator": discriminator(shape).network}
    return whole.but(
        {"shape": shape, "batch": BATCH, "precision": "fp32", "latent.size": LATENT}
        | {f"{name}.network": network for name, network in players.items()}
        | settings
    )


class RMSprop:
    """v ← 0.99 v + 0.01 g²; w ← w - rate · g / (√v + 1e-8) (Tieleman & Hinton 2012; torch's decay and ε)."""

    def __init__(self, weights, rate):
        self.weights, self.rate, self.squares = weights, rate, [torch.zeros_like(w) for w in weights]

    def step(self, loss):
        gradients = torch.autograd.grad(loss, self.weights)
        with torch.no_grad():
            for weight, gradient, square in zip(self.weights, gradients, self.squares, strict=True):
                square.copy_(0.99 * square + 0.01 * gradient * gradient)
                weight -= self.rate * gradient / (square.sqrt() + 1e-8)


@BOTH
def test_the_recipe_trains_as_algorithm_1_written_out(shape):
    """Arjovsky et al. 2017: five D steps on batches and latents of their own, each then clipped, and G on new latents."""
    recipe = recipe_of(shape)
    assert (recipe.generator.lr, recipe.discriminator.lr, recipe.discriminator.clip) == (5e-5, 5e-5, 0.01)
    state = begin(recipe, dtype=torch.float64)
    nets, phase, toys = copy.deepcopy(state.nets), Phase(shape[1:]), Toys(shape, torch.float64)
    g, d = nets["generator"], nets["discriminator"]
    g_step, d_step = (RMSprop(list(net.parameters()), 5e-5) for net in (g, d))
    source = data(recipe, torch.float64)
    for _ in range(CYCLES):
        cycle(state, recipe, source)

    def latent(turn):
        drawn = torch.rand(BATCH, LATENT, generator=keys.generator(recipe.seed, turn, "latent0"))
        return 2 * drawn.double() - 1

    for i in range(CYCLES):
        for j in range(STEPS):
            turn, real = (STEPS + 1) * i + j, toys(BATCH * (STEPS * i + j), 0, BATCH)[0]
            fake = g(latent(turn), None, phase).detach()
            d_step.step(d(fake, None, phase).logits.mean() - d(real, None, phase).logits.mean())
            with torch.no_grad():
                for weight in d.parameters():
                    weight.copy_(torch.where(weight > 0.01, 0.01, torch.where(weight < -0.01, -0.01, weight)))
        g_step.step(-d(g(latent((STEPS + 1) * i + STEPS), None, phase), None, phase).logits.mean())
    for name in nets:
        for key, value in nets[name].state_dict().items():
            torch.testing.assert_close(state.nets[name].state_dict()[key], value, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("shape", [(3, 8, 8), (1, 8, 8, 8)], ids=["2d", "3d"])
def test_after_each_of_the_discriminators_steps_its_weights_lie_within_the_bound(shape):
    """On it, in fact. G's weights are not clipped, nor are the statistics of D's batch norm, which it does not train."""
    recipe = find("wgan", Facts("cifar10", shape, 50_000, ())).but(
        {"batch": BATCH, "precision": "fp32", "generator.network.width": 2, "discriminator.network.width": 2}
    )
    state, source = begin(recipe), data(recipe)
    trained = state.trained["discriminator"]
    assert len(trained) == len(list(state.nets["discriminator"].parameters()))
    assert min(w.abs().max().item() for w in trained.values() if w.ndim > 1) > 0.02  # as they start
    for _ in range(2):
        phase = start_cycle(state, recipe)
        for moves in by_batch(recipe.cycle):
            before = copies(state)
            play_batch(state, recipe, phase, moves, source(state.seen, phase))
            after = copies(state)
            bounds = {name: weight.abs().max().item() for name, weight in trained.items()}
            assert max(bounds.values()) == pytest.approx(0.01, rel=1e-6)
            generator_moved = [n for n in before if n.startswith("net/generator/") and not torch.equal(before[n], after[n])]
            assert any("weight" in name for name in generator_moved) == (len(moves) == 2)  # the last D step, and G's after it
    kept = [value for name, value in after.items() if "running_var" in name]
    assert max(value.max().item() for value in kept) > 0.1
    assert min(w.abs().max().item() for w in state.trained["generator"].values() if w.ndim > 1) > 0.02


def test_without_a_bound_nothing_is_clipped():
    recipe = recipe_of(PICTURES, **{"discriminator.clip": None})
    state = begin(recipe)
    cycle(state, recipe, data(recipe))
    assert max(w.abs().max().item() for w in state.trained["discriminator"].values()) > 0.02
