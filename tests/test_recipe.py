"""A recipe is a value: variants differ by what was changed, and what does not go together is refused with the reason."""

from dataclasses import replace

import pytest

from gansaku.contract import Gate, Move, Player, Weighted
from gansaku.data.store import Facts
from gansaku.errors import RecipeError, UsageError
from gansaku.latents import Gaussian
from gansaku.losses import Hinge, Logistic, RelativisticAverage, Wasserstein
from gansaku.methods.adversarial import FRESH, SHARED, Adversarial, critic
from gansaku.methods.began import BEGAN
from gansaku.methods.cramer import Cramer
from gansaku.methods.denoising import DenoisingFeatureMatching
from gansaku.networks.chainer_gan_lib import ChainerDiscriminator, ChainerGenerator
from gansaku.networks.dcgan import DCGANDiscriminator, DCGANGenerator
from gansaku.optimizers import Adam
from gansaku.parts import difference
from gansaku.recipe import Recipe, from_toml, to_toml
from gansaku.recipes.registry import entry, find, recipes
from gansaku.targets import Noisy, Soft
from gansaku.terms import R1, Dragan, GradientPenalty

SHAPE = (3, 32, 32)
ADAM = Adam()
BASE = Recipe(
    shape=SHAPE,
    generator=Player(DCGANGenerator(SHAPE), ADAM, 2e-4),
    discriminator=Player(DCGANDiscriminator(SHAPE, norm="none"), ADAM, 2e-4),
    length=1000,
)


def test_a_variant_differs_by_exactly_what_was_changed():
    assert [str(c) for c in difference(BASE, BASE.but(loss=Hinge()))] == ["loss.part: Logistic → Hinge"]
    assert [str(c) for c in difference(BASE, BASE.but({"generator.lr": 1e-3}))] == ["generator.lr: 0.0002 → 0.001"]
    assert BASE.but(loss=Hinge()).but(loss=Logistic()) == BASE


def test_a_recipe_cannot_be_changed_in_place():
    with pytest.raises(AttributeError):
        BASE.batch = 3


@pytest.mark.parametrize(
    ("settings", "where", "says"),
    [
        ({"batch": 0}, "batch", "use 1 or more"),
        ({"length": -1}, "length", "use 1 or more"),
        ({"latent": Gaussian(64)}, "latent.size", "the generator takes 128; set both"),
        ({"generator.network.shape": [3, 64, 64]}, "generator.network.shape", "not the samples' shape"),
        ({"loss": Hinge(), "targets": Soft()}, "targets", "Hinge reads no targets"),
        ({"loss": "none"}, "loss", "needs an adversarial loss"),
        ({"loss": RelativisticAverage(), "micro": 8}, "micro", "micro-batches do not see"),
        ({"method": Adversarial((Move("generator"),))}, "method", "discriminator never moves"),
        ({"method": Adversarial(())}, "method", "has no moves"),
        ({"method": Adversarial((Move("critic"),))}, "method.order.0", "no player 'critic'; the players are generator, disc"),
        ({"method": Adversarial((Move("discriminator", fake="same"),))}, "method.order.0", "the first move must"),
        (
            {"method": Adversarial((*SHARED, Move("generator", real="same", fake="same")))},
            "method.order.2",
            "those fakes are stale",
        ),
        ({"method": Adversarial((*SHARED, Move("discriminator", fake="same")))}, "method.order.2", "a move with a new batch"),
    ],
)
def test_what_does_not_go_together_is_refused_where_it_was_set(settings, where, says):
    with pytest.raises(RecipeError, match=says) as caught:
        BASE.but(settings)
    assert caught.value.where.startswith(where)


def test_a_gradient_penalty_beside_batch_norm_in_the_discriminator_is_refused():
    penalty = (Weighted(10.0, GradientPenalty()),)
    BASE.but({"discriminator.terms": penalty})
    with pytest.raises(RecipeError, match=r"set discriminator\.network\.norm=none or spectral"):
        BASE.but({"discriminator.network.norm": "batch"}).but({"discriminator.terms": penalty})


@pytest.mark.parametrize("order", [SHARED, FRESH, critic(5), (*FRESH, Move("generator", real="same"))])
def test_the_usual_orders_are_accepted(order):
    assert BASE.but(method=Adversarial(order)).cycle == order


def test_every_kind_of_setting_comes_back_from_toml():
    rich = BASE.but(
        loss=RelativisticAverage("hinge"),
        method=Adversarial((Move("discriminator", gate=Gate("accuracy", 0.7)), Move("generator", real="same"))),
    ).but({"discriminator.terms": (Weighted(1.0, R1(), 16),), "discriminator.clip": 0.01, "augment": "Noise"})
    assert from_toml(to_toml(rich)) == rich
    noisy = BASE.but(targets=Noisy(0.2, ("classes", "aspect")))
    assert from_toml(to_toml(noisy)) == noisy


def test_toml_mistakes_are_named_with_line_or_path():
    with pytest.raises(RecipeError, match=r"at line 2"):
        from_toml("batch = 3\nbatch = = 4", "mine.toml")
    with pytest.raises(RecipeError, match="Cannot overwrite a value") as caught:
        from_toml("batch = 3\nbatch = 4", "mine.toml")
    assert caught.value.where == "mine.toml"
    with pytest.raises(RecipeError, match="did you mean 'batch'") as caught:
        from_toml(to_toml(BASE).replace("batch =", "bacth ="), "mine.toml")
    assert caught.value.where == "mine.toml.bacth"


FITTING = {"generator.network": ChainerGenerator(SHAPE, classes=3), "classes": 3}
UNFIT = [
    ({"classes": 3}, "DCGANGenerator does not read which one is asked for"),
    ({"generator.network": ChainerGenerator(SHAPE), "classes": 3}, "set generator.network.classes too"),
    ({"generator.network": ChainerGenerator(SHAPE, classes=3)}, "3 is not the recipe's 0 classes; set both"),
    ({**FITTING, "classes": 5}, "generator.network.classes: 3 is not the recipe's 5 classes"),
    (
        {**FITTING, "discriminator.network": ChainerDiscriminator(SHAPE, label_planes=2)},
        "label_planes: 2 is not the recipe's 3",
    ),
    ({"discriminator.network": ChainerDiscriminator(SHAPE, logits=0, classes=3)}, "the discriminator must say something"),
    ({"discriminator.network": ChainerDiscriminator(SHAPE, kernels=4), "micro": 8}, "looks at the whole batch"),
    ({"discriminator.terms": (Weighted(10.0, Dragan()),), "micro": 8}, "Dragan looks at the whole batch"),
    ({"discriminator.network.norm": "spectral", "discriminator.clip": 0.01}, "spectral norm divides by their size anyway"),
    (
        {"discriminator.network": DCGANGenerator(SHAPE)},
        "discriminator.network: DCGANGenerator is a network for the generator; use one for the discriminator",
    ),
    (
        {"generator.network": ChainerDiscriminator(SHAPE)},
        "generator.network: ChainerDiscriminator is a network for the discriminator or the classifier; use one for the gen",
    ),
    (
        {"method": DenoisingFeatureMatching(denoiser=Player(ChainerDiscriminator(SHAPE), ADAM, 1e-4))},
        "method.denoiser.network: .* use one for the denoiser",
    ),
    ({"method": BEGAN(), "loss": "none"}, "discriminator.network: DCGANDiscriminator reconstructs nothing"),
    ({"method": Cramer(), "loss": "none", "targets": Soft()}, "Cramer reads no targets, so Soft would change nothing"),
    (
        {
            "discriminator.network": ChainerDiscriminator(SHAPE, norm="none", kernels=4),
            "discriminator.terms": (Weighted(1.0, R1()),),
        },
        "ties it to the others .batch norm, minibatch discrimination.; use another network there",
    ),
]


@pytest.mark.parametrize(("settings", "says"), UNFIT)
def test_what_would_silently_train_something_else_is_refused(settings, says):
    with pytest.raises(RecipeError, match=says):
        BASE.but(settings)


def test_a_negative_weight_is_refused():
    with pytest.raises(RecipeError, match="-1 would reward what the term is to lower"):
        Weighted(-1.0, R1())


def test_networks_and_recipe_with_the_same_classes_go_together():
    assert BASE.but(FITTING).classes == 3


PICTURES, VOXELS = Facts("pictures", (3, 64, 64), 5000, ()), Facts("voxels", (1, 32, 32, 32), 800, ())


@pytest.mark.parametrize("name", recipes())
class TestEveryRecipe:
    """A new recipe is picked up here by being registered."""

    def facts(self, name):
        entry = recipes()[name]
        return replace(VOXELS if len(entry.shape) == 4 else PICTURES, classes=entry.facts.classes)

    def test_survives_its_own_file(self, name):
        made = find(name, self.facts(name))
        assert from_toml(to_toml(made)) == made
        assert made.name == name

    def test_says_how_to_run_it_where_it_comes_from_and_what_to_expect(self, name):
        entry = recipes()[name]
        assert "gansaku train" in entry.text
        assert entry.source
        assert "Expect:" in entry.text

    def test_adapts_its_batch_to_few_samples(self, name):
        assert find(name, replace(self.facts(name), count=10)).batch <= 10

    def test_makes_voxels_too(self, name):
        facts = replace(VOXELS, classes=self.facts(name).classes)
        assert find(name, facts).shape == VOXELS.shape

    def test_needs_classes_exactly_if_it_is_listed_with_some(self, name):
        if not recipes()[name].classes:
            assert find(name, self.facts(name)).classes == 0
            return
        with pytest.raises(RecipeError, match=r"needs classes, and .* has none; class folders make some"):
            find(name, replace(self.facts(name), classes=()))


@pytest.mark.parametrize("name", ["auto", "dcgan"])
def test_one_recipe_serves_pictures_and_voxels(name):
    for facts in (PICTURES, VOXELS):
        assert find(name, facts).shape == facts.shape


def test_3d_gan_is_refused_for_pictures_and_an_unknown_name_gets_the_nearest():
    with pytest.raises(RecipeError, match="is for voxels"):
        find("gan3d", PICTURES)
    with pytest.raises(RecipeError, match="did you mean 'dcgan'"):
        find("dcgna", PICTURES)


def test_a_yaml_recipe_is_refused_by_name():
    with pytest.raises(RecipeError, match="recipes are TOML"):
        find("mine.yaml", PICTURES)


def test_a_users_file_adds_a_loss_a_network_and_a_recipe(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(USERS_FILE)
    made = find(str(file), PICTURES)
    assert made.name == "my-own"
    assert from_toml(to_toml(made)) == made
    assert type(made.loss).__name__ == "Doubled"
    assert find("my-own", PICTURES) == made


USERS_FILE = '''
import gansaku
from gansaku.losses import Wasserstein


@gansaku.part
class Doubled(Wasserstein):
    """Twice the Wasserstein loss."""

    times: float = 2.0

    def discriminator(self, real, fake, target):
        return self.times * (fake - real)


@gansaku.recipe_function()
def my_own(facts):
    """DCGAN with my loss."""
    return gansaku.get_recipe("dcgan", facts.shape, facts.count, loss=Doubled())
'''


def test_a_users_file_is_found_again_and_its_mistakes_are_named_by_line(tmp_path):
    again = tmp_path / "again.py"
    again.write_text(USERS_FILE.replace("Doubled", "Tripled").replace("my_own", "my_other"))
    assert [find(str(again), PICTURES).name for _ in range(2)] == ["my-other"] * 2
    wrong = tmp_path / "wrong.py"
    wrong.write_text("import gansaku\n\ngansaku.nothing\n")
    with pytest.raises(UsageError, match=r"wrong\.py: line 3: AttributeError: module 'gansaku' has no name 'nothing'"):
        find(str(wrong), PICTURES)
    clash = tmp_path / "clash.py"
    clash.write_text("import gansaku\n\n@gansaku.recipe_function()\ndef dcgan(facts):\n    return None\n")
    with pytest.raises(RecipeError, match="there is a recipe of this name"):
        find(str(clash), PICTURES)


def test_a_file_without_a_recipe_says_what_is_missing(tmp_path):
    (tmp_path / "empty.py").write_text("")
    with pytest.raises(RecipeError, match="holds no recipe"):
        find(str(tmp_path / "empty.py"), PICTURES)


def test_wasserstein_is_in_the_recipes_file_by_name():
    assert 'part = "Wasserstein"' in to_toml(BASE.but(loss=Wasserstein()))


class TestARecipeOfSeveralSizes:
    facts = Facts("pictures", (3, 64, 64), 1000, ())

    def test_is_known_by_its_name_and_size_as_well(self):
        assert find("sngan-64", self.facts) == find("sngan", self.facts).but(name="sngan-64")
        assert entry("sngan-128").shape == (3, 128, 128)
        assert entry("r3gan-32").make is entry("r3gan").make

    def test_refuses_samples_of_another_size_by_that_name(self):
        with pytest.raises(RecipeError, match="sngan-32: is for 32 px, and these samples have 64 × 64; --size 32, or sngan"):
            find("sngan-32", self.facts)

    def test_says_which_sizes_it_has(self):
        with pytest.raises(RecipeError, match="sngan-48: is no recipe; sngan has 32, 64, 128"):
            find("sngan-48", self.facts)
        with pytest.raises(RecipeError, match="dcgan-48: is no recipe; did you mean 'dcgan"):
            find("dcgan-48", self.facts)
