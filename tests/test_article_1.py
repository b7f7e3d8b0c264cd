"""The recipes of article 1's library have that library's numbers (README.md, example.sh and train.py there), as literals."""

import pytest

from gansaku.contract import Move
from gansaku.data.store import Facts
from gansaku.latents import Gaussian, Uniform
from gansaku.losses import Logistic, Wasserstein
from gansaku.methods.cramer import Cramer
from gansaku.recipes.registry import find
from gansaku.terms import Dragan, GradientPenalty

CIFAR = Facts("cifar10", (3, 32, 32), 50_000, ())
G, D = Move("generator"), Move("discriminator")
FRESH = Move("discriminator", real="same", fake="new")
SAME = Move("discriminator", real="same", fake="same")
# name: learning rate, β, the moves of a cycle, loss, penalty, norm of D, real samples in 100,000 iterations of 64
TABLE = {
    "dcgan-chainer": (2e-4, (0.0, 0.9), (G, SAME), Logistic(), None, "batch", 6_400_000),
    "minibatch": (1e-4, (0.0, 0.9), (G, SAME), Logistic(), None, "batch", 6_400_000),
    "wgan-gp": (2e-4, (0.0, 0.9), (G, SAME, D, D, D, D), Wasserstein(), GradientPenalty(1.0), "none", 32_000_000),
    "dragan": (1e-4, (0.0, 0.9), (G, SAME, D), Logistic(), Dragan(0.5, 1.0), "none", 12_800_000),
    "sn-dcgan": (
        2e-4,
        (0.5, 0.999),
        (G, FRESH),
        Logistic(),
        None,
        "spectral",
        6_400_000,
    ),
    "dfm": (1e-4, (0.5, 0.9), (G, Move("denoiser", real="same", fake="same"), SAME), Logistic(), None, None, 6_400_000),
    "cramer": (1e-4, (0.5, 0.9), (G, SAME, D, D, D, D), None, GradientPenalty(1.0), "none", 32_000_000),
    "began": (2e-4, (0.0, 0.9), (G, SAME), None, None, None, 6_400_000),
}


@pytest.mark.parametrize("name", TABLE)
def test_a_row_of_the_librarys_table_has_its_settings(name):
    lr, betas, cycle, loss, penalty, norm, length = TABLE[name]
    made = find(name, CIFAR)
    assert {player.lr for player in made.players.values()} == {lr}
    assert {player.optimizer.betas for player in made.players.values()} == {betas}
    assert (made.cycle, made.loss, made.length, made.batch) == (cycle, loss, length, 64)
    assert [(w.weight, w.term, w.every) for w in made.discriminator.terms] == ([] if penalty is None else [(10.0, penalty, 1)])
    assert getattr(made.discriminator.network, "norm", None) == norm
    assert made.latent == Uniform(128, 1.0)
    assert all(player.ema is None and player.rate is None and player.clip is None for player in made.players.values())


def test_what_is_special_in_a_row_is_there():
    assert find("minibatch", CIFAR).discriminator.network.kernels == 100
    assert find("minibatch", CIFAR).discriminator.network.kernel_size == 5
    assert find("cramer", CIFAR).discriminator.network.logits == 256
    assert find("cramer", CIFAR).method == Cramer()
    assert (find("began", CIFAR).method.gamma, find("began", CIFAR).method.gain) == (0.5, 0.001)
    assert find("began", CIFAR).generator.network.norm == "none"
    assert (find("dfm", CIFAR).method.weight, find("dfm", CIFAR).method.noise) == (0.03, 1.0)


def test_the_residual_recipe_is_wgan_gp_with_other_networks_and_z():
    plain, residual = find("wgan-gp", CIFAR), find("wgan-gp-resnet", CIFAR)
    assert residual.latent == Gaussian(128)
    networks = {"generator.network": plain.generator.network, "discriminator.network": plain.discriminator.network}
    assert residual.but(networks, latent=plain.latent, name=plain.name) == plain


def test_the_first_wgan_has_its_papers_numbers():
    made = find("wgan", CIFAR)
    assert made.cycle == (D, D, D, D, D, Move("generator", real="same", fake="new"))
    assert {player.lr for player in made.players.values()} == {5e-5}
    assert {type(player.optimizer).__name__ for player in made.players.values()} == {"RMSprop"}
    assert (made.discriminator.clip, made.generator.clip) == (0.01, None)
    assert made.length == 32_000_000
