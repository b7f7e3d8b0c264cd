"""Looks at trainings: of every method under the contract, in 2D and 3D, and they leave no trace."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from fixtures import methods
from fixtures.tiny import BATCH, LATENT, PICTURES, VOXELS, Toys, copies, data, discriminator, generator
from gansaku import ranks
from gansaku.contract import AdversarialLoss
from gansaku.extractors import registry as extractors
from gansaku.health import registry
from gansaku.health.asking import Real, outputs
from gansaku.health.contract import Signal
from gansaku.health.looking import Looker
from gansaku.health.updates import updates, weights
from gansaku.latents import Gaussian
from gansaku.losses import Logistic
from gansaku.optimizers import SGD
from gansaku.parts import part
from gansaku.recipe import Recipe
from gansaku.training.state import begin
from gansaku.training.step import cycle

MODULES = methods()
every_fixture = pytest.mark.parametrize(
    ("name", "shape"), [(name, shape) for name in MODULES for shape in (PICTURES, VOXELS)],
    ids=lambda x: x if isinstance(x, str) else f"{len(x) - 1}d",
)  # fmt: skip
both = pytest.mark.parametrize("shape", [(3, 16, 16), (1, 16, 16, 16)], ids=["2d", "3d"])


def looker(
    recipe: Recipe,
    held_out: bool = True,
    signals: tuple[Signal, ...] | None = None,
    toys: Toys | None = None,
    features: bool = True,
) -> Looker:
    toys = toys or Toys(recipe.shape)
    name = f"random-{len(recipe.shape) - 1}d"
    extractor = extractors.find(name, None, "fp32", torch.device("cpu"), recipe.shape) if features else None
    others = Toys(recipe.shape)
    others.real = others.real.flip(0)
    return Looker(recipe, Real(toys, 64), Real(others, 20) if held_out else None, extractor, signals or registry.known())


@every_fixture
def test_the_final_weights_are_the_same_with_and_without_looks(name, shape):
    """Every tensor of the state, whatever layers move when they are used: and torch's random numbers go on where they were."""
    recipe = MODULES[name].recipe(shape)
    watched, alone, source = begin(recipe), begin(recipe), data(recipe)
    look = looker(recipe, features=False)  # of samples that are made by then
    modes = {player: [module.training for module in net.modules()] for player, net in watched.nets.items()}
    for i in range(6):
        cycle(watched, recipe, source)
        if i in (0, 4):  # before a sample grows, where one does, and after it
            before = torch.get_rng_state()
            numbers, problems = look.numbers(watched)
            assert problems == []
            assert "sensitivity" in numbers
            assert torch.equal(before, torch.get_rng_state())
    for _ in range(6):
        cycle(alone, recipe, source)
    assert {player: [module.training for module in net.modules()] for player, net in watched.nets.items()} == modes
    ours, theirs = copies(watched), copies(alone)
    assert ours.keys() == theirs.keys()
    assert [tensor for tensor in ours if not torch.equal(ours[tensor], theirs[tensor])] == []


@pytest.mark.parametrize("name", ["ada", "batch_norm", "cramer", "dropout", "spectral"])
def test_a_look_at_the_same_state_is_the_same(name):
    recipe = MODULES[name].recipe()
    state, look = begin(recipe), looker(recipe, features=False)
    cycle(state, recipe, data(recipe))
    torch.manual_seed(1)
    one = look.look(state)
    torch.manual_seed(2)
    other = look.look(state)
    assert torch.equal(one.fake, other.fake)
    assert [torch.equal(a, b) for a, b in zip(one.outputs[:3], other.outputs[:3], strict=True)] == [True] * 3


def small(shape, classes=0, **settings) -> Recipe:
    return Recipe(shape, generator(shape, classes=classes), discriminator(shape), 160, latent=Gaussian(LATENT), batch=BATCH,
                  classes=classes, **settings)  # fmt: skip


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_is_looked_at(precision):
    recipe = MODULES["batch_norm"].recipe().but(precision=precision)
    numbers, problems = looker(recipe).numbers(begin(recipe))
    assert problems == []
    assert {"real_accuracy", "diversity", "overfitting"} <= numbers.keys()


def test_without_held_out_samples_nothing_is_said_of_them():
    recipe = small(PICTURES)
    numbers, _ = looker(recipe, held_out=False).numbers(begin(recipe))
    assert "real_accuracy" in numbers
    assert not {"held_out_accuracy", "accuracy_gap", "overfitting"} & numbers.keys()


def test_voxels_and_pictures_have_signals_of_their_own():
    flat, solid = (looker(small(shape)).numbers(begin(small(shape)))[0] for shape in ((3, 16, 16), (1, 16, 16, 16)))
    assert flat.keys() - solid.keys() == {"colour_shift", "colour_spread", "checkerboard", "checkerboard_real"}
    assert solid.keys() - flat.keys() == {"occupancy", "occupancy_real", "occupancy_outside", "empty", "full", "pieces",
                                          "pieces_real", "periodicity", "periodicity_real"}  # fmt: skip


@pytest.mark.parametrize("classes", [4, 40])
def test_classes_are_looked_at_one_by_one(classes):
    """With many classes some more samples are made, so that there are four of each class that is looked at."""
    recipe = small(PICTURES, classes=classes)
    look = looker(recipe).look(begin(recipe))
    seen = look.by_class or look.generated
    counts = seen.labels.unique(return_counts=True)
    assert len(counts[0]) == min(classes, 16)
    assert counts[1].min() >= 4
    assert looker(recipe).numbers(begin(recipe))[0]["class_diversity"] > 0


def test_what_the_discriminator_says_is_what_its_step_would_say():
    """The same batch, latents and networks: the numbers of the method's own signals, chunk by chunk."""
    recipe = MODULES["batch_norm"].recipe()
    state, toys = begin(recipe), Toys(recipe.shape)
    said = outputs(state, recipe, Real(toys, 64), None, 5)
    assert (len(said.train), len(said.fake), said.held_out) == (64, 64, None)
    d = state.nets["discriminator"]
    expected = [
        d(toys(5 + 8 * i, 0, 8)[0], torch.zeros(8, dtype=torch.int64), recipe.phase(0)).logits.mean(1) for i in range(8)
    ]
    assert said.train.tolist() == pytest.approx(torch.cat(expected).tolist(), abs=1e-6)


def test_a_small_held_out_set_makes_both_sides_small():
    recipe = small(PICTURES)
    said = outputs(begin(recipe), recipe, Real(Toys(PICTURES), 64), Real(Toys(PICTURES), 5), 0)
    assert (len(said.train), len(said.held_out), len(said.fake)) == (5, 5, 5)


def test_growth_is_looked_at_at_its_size():
    recipe = MODULES["growth"].recipe()
    state, look = begin(recipe), looker(recipe)
    assert look.look(state).fake.shape[2:] == (4, 4)
    assert "checkerboard" not in look.numbers(state)[0]
    state.seen = 160
    assert look.look(state).fake.shape[2:] == (8, 8)
    assert "checkerboard" in look.numbers(state)[0]


def test_with_many_ranks_no_other_rank_is_called(monkeypatch):
    """Batch norm and minibatch discrimination would wait for ranks that do not look."""

    def waits(*given, **more):
        raise AssertionError("a message in a look")

    for name in ("all_reduce", "all_gather", "broadcast", "get_rank"):
        monkeypatch.setattr(ranks.distributed, name, waits)
    monkeypatch.setattr(ranks, "everyone", lambda: 2)
    for name in ("batch_norm", "minibatch", "relativistic_average"):
        recipe = MODULES[name].recipe()
        numbers, problems = looker(recipe).numbers(begin(recipe))
        assert problems == []
        assert "diversity" in numbers
        assert "real_accuracy" in numbers


def test_a_signal_that_fails_does_not_take_the_others_with_it():
    class Broken(Signal):
        gives = {}  # noqa: RUF012

        def __call__(self, look, reference):
            raise ZeroDivisionError("no number today")

    recipe = small(PICTURES)
    numbers, problems = looker(recipe, signals=(Broken(), *registry.known())).numbers(begin(recipe))
    assert problems == ["signal Broken: ZeroDivisionError: no number today"]
    assert "diversity" in numbers


# Broken trainings


@part
class Swapped(AdversarialLoss):
    """D is told that real samples are fake."""

    def discriminator(self, real, fake, target):
        return Logistic().discriminator(fake, real, target)

    def generator(self, real, fake, target):
        return Logistic().generator(real, fake, target)


@both
def test_a_discriminator_with_swapped_labels_is_seen(shape):
    found = {}
    for loss in (Logistic(), Swapped()):
        recipe = small(shape, loss=loss)
        state, source = begin(recipe), data(recipe)
        for _ in range(12):
            cycle(state, recipe, source)
        found[loss] = looker(recipe, features=False).numbers(state)[0]
    assert found[Swapped()]["logit_gap"] < -0.5 < 0.5 < found[Logistic()]["logit_gap"]
    assert found[Swapped()]["real_accuracy"] < 0.3 < 0.7 < found[Logistic()]["real_accuracy"]


class Stub(nn.Module):
    """A generator that gives what it is told to."""

    def __init__(self, give):
        super().__init__()
        self.give, self.one = give, nn.Parameter(torch.zeros(()))

    def forward(self, z, labels, phase):
        return self.give(z)


def seen_of(shape, give) -> dict[str, float]:
    recipe = small(shape)
    state, toys = begin(recipe), Toys(recipe.shape)
    if len(shape) == 4:
        toys.real = (toys.real > 0.8).float() * 2 - 1
    state.nets["generator"] = Stub(give)
    numbers, problems = looker(recipe, toys=toys).numbers(state)
    assert problems == []
    return numbers


@both
def test_a_generator_with_one_mode_is_seen(shape):
    one = 2 * torch.rand(1, *shape) - 1
    found = seen_of(shape, lambda z: one.expand(len(z), *shape))
    assert (found["diversity"], found["diversity_pixels"], found["duplicates"], found["sensitivity"]) == (0, 0, 1, 0)


@both
def test_saturated_samples_are_seen(shape):
    draw = torch.Generator().manual_seed(0)
    found = seen_of(shape, lambda z: torch.randn(len(z), *shape, generator=draw).sign())
    assert found["saturation"] == 1
    assert found["saturation"] > 50 * found["saturation_real"] or len(shape) == 4


@both
def test_a_checkerboard_is_seen(shape):
    places = torch.meshgrid(*map(torch.arange, shape[1:]), indexing="ij")
    board = (sum(places) % 2).float() * 2 - 1
    found = seen_of(shape, lambda z: board.expand(len(z), *shape) * z.mean(1).view(-1, *[1] * len(shape)).sign())
    name = "checkerboard" if len(shape) == 3 else "periodicity"
    assert found[name] > 20
    assert found[name] > 5 * found[f"{name}_real"]


def test_all_empty_voxels_are_seen():
    shape = (1, 16, 16, 16)
    found = seen_of(shape, lambda z: torch.full((len(z), *shape), -1.0))
    assert (found["empty"], found["occupancy"], found["occupancy_outside"], found["pieces"]) == (1, 0, 1, 0)
    assert found["occupancy_real"] > 0.05


# How far weights move


@both
def test_the_update_is_the_change_of_one_cycle_over_the_weights(shape):
    recipe = small(shape)
    state, source = begin(recipe), data(recipe)
    before = weights(state)
    cycle(state, recipe, source)
    for player, found in updates(before, state).items():
        old = torch.cat([w.flatten() for w in before[player.partition("/")[0]]])
        new = torch.cat([w.detach().flatten() for w in state.trained[player.partition("/")[0]].values()])
        assert float(found) == pytest.approx(float((new - old).norm() / new.norm()), rel=1e-5)
    assert list(updates(before, state)) == ["generator/update", "discriminator/update"]


@both
def test_a_frozen_generator_has_no_update_and_its_discriminator_has(shape):
    still = replace(generator(shape), optimizer=SGD(), lr=1e-30)
    recipe = replace(small(shape), generator=still)
    state, source = begin(recipe), data(recipe)
    cycle(state, recipe, source)
    before = weights(state)
    cycle(state, recipe, source)
    found = updates(before, state)
    assert float(found["generator/update"]) == 0
    assert float(found["discriminator/update"]) > 1e-4
