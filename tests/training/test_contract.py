"""Laws that every method under the contract keeps: each file of `fixtures/` is picked up here by being there."""

import importlib
from functools import cache

import pytest
import torch

from fixtures import methods
from fixtures.tiny import PICTURES, VOXELS, Toys, copies, data
from gansaku.contract import Gate, Memory, Move, Optimizer, Signals, Turn
from gansaku.draws import Draw
from gansaku.errors import RecipeError
from gansaku.latents import Gaussian
from gansaku.losses import RelativisticAverage
from gansaku.methods.adversarial import Adversarial
from gansaku.optimizers import SGD
from gansaku.parts import encode, part
from gansaku.recipe import Recipe, from_toml, to_toml
from gansaku.training.by_hand import Trainer
from gansaku.training.state import State, begin, counts, restore
from gansaku.training.step import cycle

torch.set_num_threads(1)

MODULES = methods()
CASES = [(name, shape) for name in MODULES for shape in (PICTURES, VOXELS)]
every_fixture = pytest.mark.parametrize(("name", "shape"), CASES, ids=lambda x: x if isinstance(x, str) else f"{len(x) - 1}d")

REFUSE_MICRO_BATCHES = {  # and the recipe says so
    "minibatch": "looks at the whole batch",
    "dogs": "its loss compares with the mean over the batch",
    "relativistic_average": "its loss compares with the mean over the batch",
}
DIFFER_IN_MICRO_BATCHES = {
    "attention": "as batch_norm and spectral",
    "biggan": "as batch_norm and spectral",
    "batch_norm": "each micro-batch is normalized by its own mean",
    "dropout": "the network draws its masks by itself, one micro-batch after the other",
    "spectral": "the singular vectors move with every pass, and there are more passes",
}


def cycles(state: State, recipe: Recipe, n: int, dtype: torch.dtype = torch.float32) -> State:
    source = data(recipe, dtype)
    for _ in range(n):
        cycle(state, recipe, source)
    return state


@cache
def uninterrupted(name: str, shape: tuple[int, ...], precision: str = "fp32"):
    """The tensors and counts after 0, 4, 6 and 10 cycles."""
    recipe = MODULES[name].recipe(shape).but(precision=precision)
    state, found = begin(recipe), {}
    for done, more in ((0, 0), (4, 4), (6, 2), (10, 4)):
        cycles(state, recipe, more)
        found[done] = (copies(state), counts(state))
    return found


@every_fixture
class TestEveryMethod:
    def test_ten_cycles_change_every_players_weights_and_leave_them_finite(self, name, shape):
        (before, _), (after, numbers) = uninterrupted(name, shape)[0], uninterrupted(name, shape)[10]
        recipe = MODULES[name].recipe(shape)
        for player in recipe.players:
            weights = [n for n, value in before.items() if n.startswith(f"net/{player}/") and value.ndim > 1]
            assert weights
            assert [n for n in weights if torch.equal(before[n], after[n])] == []
            assert numbers["moves"][player] == 10 * sum(move.player == player for move in recipe.cycle)
        assert [n for n, value in after.items() if not value.isfinite().all()] == []
        assert numbers["seen"] == 10 * recipe.batch * sum(move.real == "new" for move in recipe.cycle)

    @pytest.mark.parametrize(("precision", "done"), [("fp32", 4), ("bf16", 6)])
    def test_stopped_and_continued_it_ends_with_the_same_bits(self, name, shape, precision, done):
        """In a process of another past: whatever was drawn from torch's global generator, before and in between.

        `growth` grows after four cycles: the one continuation must renew the optimizers, the other must not.
        """
        found = uninterrupted(name, shape, precision)
        (stored, numbers), (wanted, wanted_numbers) = found[done], found[10]
        recipe = MODULES[name].recipe(shape).but(precision=precision)
        torch.manual_seed(1234)
        state = begin(recipe)
        restore(state, {n: value.clone() for n, value in stored.items()}, numbers)
        assert_same_bits(copies(state), stored)
        for i in range(10 - done):
            torch.manual_seed(i)
            torch.rand(3)
            cycles(state, recipe, 1)
        assert_same_bits(copies(state), wanted)
        assert counts(state) == wanted_numbers

    def test_micro_batches_give_the_gradients_of_the_whole_batch(self, name, shape):
        """With plain gradient descent, where a wrong factor on a gradient is not divided out again; 8 as 3 + 3 + 2."""
        recipe = plain(MODULES[name].recipe(shape))
        if name in REFUSE_MICRO_BATCHES:
            with pytest.raises(RecipeError, match=REFUSE_MICRO_BATCHES[name].removeprefix("its loss ")):
                recipe.but(micro=3)
            return
        gap, moved = micro_batch_gap(recipe, shape)
        assert moved > 1e-3
        if name in DIFFER_IN_MICRO_BATCHES:
            assert gap > 1e-6  # else it does not belong on the list
        else:
            assert gap < 1e-12

    def test_its_recipe_comes_back_from_its_file(self, name, shape):
        recipe = MODULES[name].recipe(shape)
        assert from_toml(to_toml(recipe)) == recipe


def assert_same_bits(found: dict[str, torch.Tensor], wanted: dict[str, torch.Tensor]) -> None:
    assert found.keys() == wanted.keys()
    different = [n for n, value in wanted.items() if value.dtype != found[n].dtype or not torch.equal(value, found[n])]
    assert different == []
    assert [n for n, value in wanted.items() if value.stride() != found[n].stride()] == []


def plain(recipe: Recipe) -> Recipe:
    """The same with plain gradient descent for every player."""
    paths = [name if name in ("generator", "discriminator") else f"method.{name}" for name in recipe.players]
    return recipe.but({f"{path}.{key}": value for path in paths for key, value in (("optimizer", SGD()), ("lr", 0.005))})


def micro_batch_gap(recipe: Recipe, shape: tuple[int, ...]) -> tuple[float, float]:
    """After six cycles: how far micro-batches of 3 are from whole batches, and how far training went."""
    start, *ends = (
        copies(cycles(begin(setting, dtype=torch.float64), setting, n, torch.float64))
        for setting, n in ((recipe, 0), (recipe, 6), (recipe.but(micro=3), 6))
    )
    whole, micro = ends
    nets = [n for n in whole if n.startswith("net/") and whole[n].is_floating_point()]
    remembered = [n for n in whole if n.startswith("memory/")]
    gap = max((whole[n] - micro[n]).abs().max().item() for n in [*nets, *remembered])
    return gap, max((whole[n] - start[n]).abs().max().item() for n in nets)


@pytest.mark.parametrize("name", MODULES)
def test_a_fixture_imported_twice_means_the_same(name):
    before = encode(MODULES[name].recipe())
    importlib.reload(MODULES[name])
    assert encode(MODULES[name].recipe()) == before
    assert from_toml(to_toml(MODULES[name].recipe())) == MODULES[name].recipe()


def test_a_controller_beside_a_method_without_its_signal_is_an_error():
    """ADA follows the sign of D's logits; BEGAN's discriminator has none, and p would silently never move."""
    recipe = MODULES["began"].recipe().but(augment=MODULES["ada"].recipe().augment)
    with pytest.raises(RecipeError, match="which BEGAN does not signal"):
        cycles(begin(recipe), recipe, 1)


def test_what_a_part_remembers_may_not_be_called_as_what_another_remembers():
    term = MODULES["lecam"].recipe().discriminator.terms
    recipe = MODULES["lecam"].recipe().but({"discriminator.terms": term + term})
    with pytest.raises(RecipeError, match="'lecam_fake' is remembered by another part too"):
        begin(recipe)


def test_a_method_with_losses_of_its_own_refuses_another():
    for name in ("began", "cramer"):
        with pytest.raises(RecipeError, match="has losses of its own"):
            MODULES[name].recipe().but(loss=RelativisticAverage())


def test_targets_that_nothing_reads_are_refused():
    with pytest.raises(RecipeError, match="Wasserstein reads no targets"):
        MODULES["wgan_gp"].recipe().but(targets=MODULES["noisy_targets"].recipe().targets)


@pytest.mark.parametrize(
    ("order", "reason"),
    [
        ((Move("discriminator", fake="same"), Move("generator", real="same")), "first move must have real=new and fake=new"),
        ((Move("discriminator"), Move("generator", fake="same")), "a move with a new batch must have"),
        (
            (Move("discriminator"), Move("generator", real="same", fake="same"), Move("generator", real="same", fake="same")),
            "those fakes are stale",
        ),
        ((Move("discriminator"), Move("critic", real="same")), "there is no player 'critic'"),
        ((Move("discriminator"),), "generator never moves"),
        ((), "has no moves"),
    ],
    ids=["first same", "new batch, same fakes", "stale", "unknown player", "idle player", "empty"],
)
def test_an_order_that_cannot_be_played_is_refused(order, reason):
    with pytest.raises(RecipeError, match=reason):
        MODULES["wgan_gp"].recipe().but(method=Adversarial(order))


def test_the_discriminator_may_use_the_fakes_of_a_generator_that_has_moved():
    """They are detached and from before the step, as article 1 and chainer-gan-lib have it."""
    order = (Move("generator"), Move("discriminator", real="same", fake="same"))
    assert MODULES["wgan_gp"].recipe().but(method=Adversarial(order)).cycle == order


def test_a_skipped_batch_counts_as_seen():
    shut = Move("discriminator", gate=Gate("accuracy", below=0.0))
    recipe = MODULES["gate"].recipe().but(method=Adversarial((shut, Move("generator", real="same", fake="same"))))
    state = begin(recipe)
    before = copies(state)
    cycles(state, recipe, 2)
    assert (state.seen, state.turns, state.moves) == (16, 4, {"generator": 2, "discriminator": 2})
    after = copies(state)
    assert all(torch.equal(before[n], after[n]) for n in before if n.startswith("net/discriminator"))
    assert not any(torch.equal(before[n], after[n]) for n in before if n.startswith("net/generator"))


def test_every_network_starts_from_the_recipes_seed_and_its_own_name():
    recipe = MODULES["denoising"].recipe()
    torch.manual_seed(5)
    first = copies(begin(recipe))
    torch.manual_seed(6)
    second, other = copies(begin(recipe)), copies(begin(recipe.but(seed=1)))
    assert_same_bits(first, second)
    assert not any(torch.equal(first[n], other[n]) for n in first)


def test_a_generator_that_takes_another_latent_is_refused():
    with pytest.raises(RecipeError, match="the prior gives 5 values and the generator takes 4"):
        MODULES["gate"].recipe().but(latent=Gaussian(5))


def test_a_setting_is_turned_off_with_none():
    assert MODULES["ada"].recipe().but(augment=None).augment is None
    assert MODULES["clipping"].recipe().but({"discriminator.clip": None}).discriminator.clip is None


def test_a_growing_recipe_trained_batch_by_batch_is_the_recipe_trained_in_cycles():
    """With samples of full size from the start."""
    recipe = MODULES["growth"].recipe()
    trainer, toys = Trainer(recipe), Toys(recipe.shape)
    for _ in range(6):
        trainer.train_on_batch(toys(trainer.state.seen, 0, 8)[0])
    assert_same_bits(copies(trainer.state), uninterrupted("growth", PICTURES)[6][0])


class SlowerAndSlower(torch.optim.Optimizer):
    """Counts its steps in a Python number."""

    def step(self, closure: None = None) -> None:
        for group in self.param_groups:
            for parameter in group["params"]:
                slots = self.state[parameter]
                slots["steps"] = slots.get("steps", 0) + 1
                parameter.data.add_(parameter.grad, alpha=-group["lr"] / slots["steps"])


@part
class CountingDescent(Optimizer):
    def build(self, parameters, lr, fused):
        return SlowerAndSlower(parameters, {"lr": lr})


def test_an_optimizer_that_counts_in_python_numbers_is_an_error():
    """What is not saved could not be continued from."""
    recipe = MODULES["lazy_r1"].recipe().but({"generator.optimizer": CountingDescent()})
    state = cycles(begin(recipe), recipe, 1)
    with pytest.raises(RecipeError, match=r"generator\.optimizer: keeps 'steps', which is no tensor"):
        copies(state)


@part
class WithoutSignals(Adversarial):
    """The same training, of which nothing is told."""

    def signals(self, turn: Turn) -> Signals:
        return {}


def test_signals_do_not_change_what_is_trained():
    recipe = MODULES["dogs"].recipe()
    other = recipe.but(method=WithoutSignals(recipe.method.order, recipe.method.real_logits))
    assert_same_bits(copies(cycles(begin(other), other, 2)), copies(cycles(begin(recipe), recipe, 2)))


def test_real_logits_from_earlier_need_a_move_of_the_discriminator_on_the_same_batch():
    first = (Move("generator"), Move("discriminator", real="same"))
    with pytest.raises(RecipeError, match=r"method.real_logits: there are none from earlier where the generator moves before"):
        MODULES["dogs"].recipe().but(method=Adversarial(first, "earlier"))


def test_noisy_targets_are_drawn_once_a_batch():
    recipe = MODULES["dogs"].recipe()
    piece = data(recipe)(0, recipe.phase(0))[0]
    turns = [
        Turn(recipe, player, 0, 8, recipe.phase(0), piece, {}, {}, Draw(0, number, piece.rows, piece.real))
        for number, player in enumerate(["discriminator", "generator", "generator"])
    ]
    first, *others = [recipe.targets(turn).real for turn in turns]
    assert all(torch.equal(first, other) for other in others)


@part
class LateMemory(Adversarial):
    """Remembers something that it did not announce."""

    def remember(self, memory: Memory, turns: list[Turn], means: Signals) -> Memory:
        return {**memory, "late": torch.ones(())}


def test_what_was_not_announced_cannot_be_remembered():
    recipe = MODULES["lazy_r1"].recipe().but(method=LateMemory())
    with pytest.raises(RecipeError, match="late"):
        cycles(begin(recipe), recipe, 1)
