"""Denoising feature matching: G also learns from a network that tells where the features of real samples are dense."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import field
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn

from gansaku.contract import Move, Player, Signals, Turn
from gansaku.methods.adversarial import Adversarial
from gansaku.parts import part, require

if TYPE_CHECKING:
    from gansaku.recipe import Recipe


@part
class DenoisingFeatureMatching(Adversarial):
    """G's loss + `weight` · |f - r(f)|² / F, f D's features of a fake and r the denoiser, whose word is held constant.

    r learns |r(f + `noise` · N(0, 1)) - f|² / F on D's features f of real samples; what it adds to f points to where those
    are dense. Warde-Farley & Bengio 2017 (OpenReview S1X7nhsxl), sec. 3; the numbers are chainer-gan-lib's, which takes all
    three gradients from the networks before the iteration: hence the order G, denoiser, D on one batch and the same fakes.
    In G's turn r is in test mode, as there; its running statistics, unlike there, do not hold this very batch yet.

    D's part says how many features it gives, as `features`, and the denoiser's part how many it takes. Raises RecipeError
    when these differ.
    """

    order: tuple[Move, ...] = (
        Move("generator"),
        Move("denoiser", real="same", fake="same"),
        Move("discriminator", real="same", fake="same"),
    )
    weight: float = 0.03
    noise: float = 1.0  # its standard deviation
    denoiser: Player = field(kw_only=True)

    def __post_init__(self) -> None:
        require(self.weight >= 0, "weight", f"{self.weight:g} must not be negative")
        require(self.noise > 0, "noise", f"{self.noise:g} must be above 0: without noise there is nothing to learn")

    def check(self, recipe: Recipe) -> None:
        judge = recipe.discriminator.network
        given = getattr(judge, "features", None)
        taken = getattr(self.denoiser.network, "features", given)
        silent = f"{type(judge).__name__} does not say how many features it gives the denoiser; FeatureDiscriminator does"
        require(given is not None, "discriminator.network", silent)
        differ = f"the denoiser takes {taken} features and the discriminator gives {given}; set this to {given}"
        require(given == taken, "method.denoiser.network.features", differ)

    def players(self, recipe: Recipe) -> dict[str, Player]:
        return {**super().players(recipe), "denoiser": self.denoiser}

    def losses(self, turn: Turn) -> Signals:
        if turn.player == "denoiser":
            clean = features(turn, "real").detach()
            noisy = clean + self.noise * turn.draw.normal("noise", clean.shape[1])
            return {"denoising": (denoised(turn, noisy) - clean).square().mean(1)}
        losses = super().losses(turn)
        if turn.player == "generator":
            fake = features(turn, "fake")
            with in_test_mode(turn.nets["denoiser"]), torch.no_grad():
                wanted = denoised(turn, fake)
            losses["features"] = self.weight * (fake - wanted).square().mean(1)
        return losses


def features(turn: Turn, which: Literal["real", "fake"]) -> Tensor:
    """(N, F): what D makes of the samples."""
    found = turn.verdict(which).features
    assert found is not None, "the discriminator returned no features"
    return found


def denoised(turn: Turn, x: Tensor) -> Tensor:
    """(N, F) -> (N, F): what the denoiser makes of features, in their dtype also beside bf16 networks."""
    labels = turn.piece.fake_labels if turn.player == "generator" else turn.labels
    made: Tensor = turn.nets["denoiser"](x, labels, turn.phase).features
    return made


@contextmanager
def in_test_mode(network: nn.Module) -> Iterator[None]:
    """The network with its running statistics, and afterwards every layer as it was."""
    before = {module: module.training for module in network.modules()}
    network.eval()
    try:
        yield
    finally:
        for module, training in before.items():
            module.training = training
