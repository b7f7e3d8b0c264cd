"""Fine-tuning: another run's weights are the beginning, and what fits of them is taken."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import gansaku
from gansaku.cli import main
from gansaku.data.store import Facts
from gansaku.errors import RecipeError, RunError
from gansaku.recipes import registry
from gansaku.runs import manifest
from gansaku.runs.tuning import tuned
from gansaku.training.state import begin
from gansaku.training.transfer import adopt

SMALL = {"length": 192, "batch": 32, "generator.network.width": 4, "discriminator.network.width": 4}
PLAIN = Facts("pictures", (3, 32, 32), 640, ())
LABELLED = Facts("pictures", (3, 16, 16), 640, ("a", "b", "c"))
NARROW = {"generator.network.width": 4, "discriminator.network.width": 4, "precision": "fp32"}


@pytest.fixture(scope="module")
def old(tmp_path_factory):
    """A run on the avatars."""
    return gansaku.train("dcgan", "avatars", tmp_path_factory.mktemp("old") / "old", SMALL)


@pytest.fixture
def others(tmp_path):
    """Other pictures of the same size."""
    random = np.random.default_rng(0)
    (tmp_path / "others").mkdir()
    for i in range(40):
        Image.fromarray(random.integers(0, 255, (32, 32, 3), np.uint8)).save(tmp_path / "others" / f"{i}.png")
    return str(tmp_path / "others")


def recipe_of(name, facts, settings):
    return registry.find(name, facts).but(settings)


def weights(state, player="generator"):
    return dict(state.nets[player].named_parameters())


class TestARunFromAnother:
    def test_begins_with_its_weights_and_its_average_and_new_optimizers(self, old, others, capsys):
        assert main(["train", "--data", others, "--run", "new", "--from", str(old.path), "--set", "length=64"]) == 0
        said = capsys.readouterr().err
        assert (
            f"generator: {sum(v.numel() for v in old.state().nets['generator'].state_dict().values()):,} numbers from" in said
        )
        start = gansaku.load("new", at=0).state()
        for mine, theirs in ((start.nets, old.state().nets), (start.ema, old.state().ema)):
            for player in mine:
                for name, value in mine[player].state_dict().items():
                    assert torch.equal(value, theirs[player].state_dict()[name])
        assert not any(optimizer.state for optimizer in start.optimizers.values())
        assert start.seen == 0
        torch.testing.assert_close(gansaku.load("new", at=0).sample(4), old.sample(4))

    def test_has_its_recipe_at_a_length_for_the_new_data_and_says_where_it_began(self, old, others):
        new = gansaku.train(None, others, "new", {"length": 64}, begins_with=old)
        assert new.recipe.generator.network == old.recipe.generator.network
        assert new.recipe.batch == 32
        about = new.folder.read_about()
        assert (about["from"]["run"], about["from"]["seen"]) == ("old", 192)
        assert tuned(old.recipe, Facts("others", (3, 32, 32), 400, ())).length == 25 * 400

    def test_goes_on_without_being_told_again_and_refuses_another_beginning(self, old, others):
        gansaku.train(None, others, "new", {"length": 64}, begins_with=old)
        assert gansaku.train(None, others, "new", {"length": 96}).state().seen == 96
        assert gansaku.train(None, others, "new", {"length": 128}, begins_with=old).state().seen == 128
        fresh = gansaku.train("dcgan", others, "fresh", {**SMALL, "length": 64})
        with pytest.raises(RunError, match="--from: this run began from old, and goes on; name another --run"):
            gansaku.train(None, others, "new", {"length": 160}, begins_with=fresh)
        with pytest.raises(RunError, match="--from: this run began with new weights, and goes on"):
            gansaku.train(None, others, "fresh", {"length": 160}, begins_with=old)

    def test_has_a_checkpoint_before_its_first_step(self, old, others, monkeypatch):
        def dies(*given):
            raise RunError("here", "is nothing left")

        monkeypatch.setattr("gansaku.api.train_in_folder", dies)
        with pytest.raises(RunError, match="nothing left"):
            gansaku.train(None, others, "new", {"length": 64}, begins_with=old)
        assert [manifest.seen(path) for path in manifest.found(gansaku.load("new").folder.checkpoints)] == [0]
        torch.testing.assert_close(gansaku.load("new").sample(2), old.sample(2))

    def test_of_another_shape_is_refused(self, old, tmp_path):
        Image.fromarray(np.zeros((16, 16, 3), np.uint8)).save(tmp_path / "one.png")
        np.savez(tmp_path / "small.npz", samples=np.zeros((40, 3, 16, 16), np.uint8))
        with pytest.raises(RunError, match=r"--from: was trained on \(3, 32, 32\), and small is \(3, 16, 16\)"):
            gansaku.train(None, str(tmp_path / "small.npz"), "new", {"length": 64}, begins_with=old)

    def test_whose_generator_is_of_another_kind_is_refused(self, old, others):
        other = {"length": 64, "generator.network.width": 6, "generator.network.latent": 7, "latent.size": 7}
        with pytest.raises(RunError, match="has a generator of another kind"):
            gansaku.train("dcgan", others, "new", {**other, "generator.network.grow": "resize", "batch": 8}, begins_with=old)
        assert not Path("new").exists()


def test_other_classes_leave_only_what_reads_them_new():
    recipe = recipe_of("cramer-conditional", LABELLED, NARROW)
    other = tuned(recipe, Facts("others", (3, 16, 16), 300, tuple("abcde")))
    assert (other.classes, other.generator.network.classes) == (5, 5)
    state, given = begin(other), begin(recipe.but(seed=7))
    found = adopt(state, given)
    changed = {name for name, value in weights(state).items() if value.shape != weights(given)[name].shape}
    assert changed
    assert set(found["generator"].left) == changed
    for name in weights(state).keys() - changed:
        assert torch.equal(weights(state)[name], weights(given)[name])


def test_a_model_with_classes_wants_data_with_classes():
    recipe = recipe_of("cramer-conditional", LABELLED, NARROW)
    with pytest.raises(RunError, match="was trained with 3 classes, and others has none"):
        tuned(recipe, Facts("others", (3, 16, 16), 300, ()))


def test_the_average_goes_on_where_it_is_and_not_from_the_first_new_weights():
    recipe = tuned(recipe_of("dcgan", PLAIN, NARROW), Facts("others", (3, 32, 32), 4000, ()))
    average = recipe.generator.ema
    assert average.half_life == pytest.approx(0.05 * recipe.length)
    assert average.keep(0, 64) == pytest.approx(0.5 ** (64 / average.half_life))


class TestFrozenLayers:
    def test_stay_while_the_others_move(self, old, others):
        new = gansaku.train(None, others, "new", {"length": 96, "discriminator.frozen": 2}, begins_with=old)
        first, last = (weights(state, "discriminator") for state in (gansaku.load("new", at=0).state(), new.state()))
        same = [torch.equal(first[name], last[name]) for name in first]
        assert same == sorted(same, reverse=True)
        layers = [name for name, value in first.items() if value.ndim > 1]
        assert [torch.equal(first[name], last[name]) for name in layers] == [True, True, *[False] * (len(layers) - 2)]

    @pytest.mark.parametrize("frozen", [4, 9])
    def test_may_not_be_all(self, frozen):
        recipe = recipe_of("dcgan", PLAIN, {**NARROW, "discriminator.frozen": frozen})
        with pytest.raises(RecipeError, match=rf"discriminator.frozen: {frozen} of 4 layers would leave nothing to train"):
            begin(recipe)

    def test_are_a_number(self):
        with pytest.raises(RecipeError, match="-1 is no number of layers"):
            recipe_of("dcgan", PLAIN, {"generator.frozen": -1})
