"""The contract that every method fits: what players, moves, turns, losses, terms and networks are.

A **cycle** is all the moves of a method once. A **move** is one optimizer step of one player, as the method plans it;
a **turn** is the same as it is carried out, and all that losses and terms may see. Nothing here trains: the step does.
Shapes: N batch (my rows of it), C channels, S space, M logits per sample, Z latent, K classes, F features.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

import torch
from torch import Tensor, nn

from gansaku.draws import Draw, Rows
from gansaku.errors import RecipeError
from gansaku.parts import part, require

if TYPE_CHECKING:  # a recipe holds parts, and parts read the recipe: this one name points up, for the types alone
    from gansaku.recipe import Recipe

Signals = dict[str, Tensor]
Memory = dict[str, Tensor]


# What networks take and give


class Phase(NamedTuple):
    """What training looks like after some samples: growth is a change of phase."""

    size: tuple[int, ...]  # of space, the sample's sides now
    fade: float = 1.0  # of the newest level, 0 (not there) to 1 (all there)
    batch: int = 1  # samples in one global batch
    micro: int = 1  # of these, how many at once


class Verdict(NamedTuple):
    """What a discriminator-like network returns; only what it has."""

    logits: Tensor | None = None  # (N, M)
    classes: Tensor | None = None  # (N, K)
    features: Tensor | None = None  # (N, F)


class Network(ABC):
    """A part that builds a module called as `net(x, labels, phase)`: x is z (N, Z) or samples (N, C, *S).

    A generator returns samples (N, C, *S) in [-1, 1]; every other network a Verdict.
    """

    @abstractmethod
    def build(self) -> nn.Module: ...

    grows: ClassVar[bool] = False  # the module follows `phase.size` and `phase.fade`
    players: ClassVar[tuple[str, ...]] = ()  # who it can be the network of; empty: it does not say, and is believed

    @property
    def ties_samples(self) -> bool:
        """Whether one sample's output depends on the others in the batch, as with batch normalization."""
        return False

    @property
    def looks_across(self) -> bool:
        """Whether it compares the samples of the batch with each other, gathered over ranks: then no micro-batches."""
        return False

    @property
    def reads_labels(self) -> bool:
        """Whether its output depends on the labels; of a network that does not say so it is believed."""
        return True

    @property
    def piecewise_linear(self) -> bool:
        """Whether the module has `slope(x, labels, phase)`, its logits' gradient without double backward."""
        return False


class Optimizer(ABC):
    """A part that builds a torch optimizer. `fused` asks for the fused kernel where there is one."""

    @abstractmethod
    def build(self, parameters: Iterable[nn.Parameter], lr: float, fused: bool) -> torch.optim.Optimizer: ...

    def at(self, seen: int) -> dict[str, Any]:
        """What its parameter groups have after so many samples, beside the learning rate: what changes over time."""
        return {}


class Rate(ABC):
    """The factor on a learning rate, a pure function of the samples seen and the run's length in samples."""

    @abstractmethod
    def at(self, seen: int, length: int) -> float: ...


class Average(ABC):
    """How much of a weight average is kept: a pure function of samples seen before and after a cycle, in [0, 1]."""

    @abstractmethod
    def keep(self, before: int, after: int) -> float: ...


class Growth(ABC):
    """Samples seen -> sides of the sample, fade and batch size."""

    @abstractmethod
    def at(self, seen: int, shape: tuple[int, ...], batch: int) -> tuple[tuple[int, ...], float, int]: ...

    @abstractmethod
    def check(self, shape: tuple[int, ...]) -> None:
        """Raises RecipeError when these samples cannot be reached."""

    def rate(self, size: tuple[int, ...]) -> float:
        """The factor on all learning rates while samples have this size."""
        return 1.0


class Fakes:
    """The generated samples of one deal: made when first asked for, kept while moves say "same".

    `make(i, graph)` draws the i-th independent set. With `graph` set, a generator's move to come will go back through
    what another player's move makes now; everybody but the generator gets them detached.
    """

    def __init__(self, make: Callable[[int, bool], Tensor], graph: bool):
        self._make, self._graph = make, graph
        self._made: dict[int, Tensor] = {}

    def __call__(self, i: int, attached: bool) -> Tensor:
        if i not in self._made:
            self._made[i] = self._make(i, attached or self._graph)
        return self._made[i] if attached else self._made[i].detach()

    def release(self) -> None:
        """Let go of the graphs: after the generator's step they belong to weights that are gone."""
        self._made = {i: x.detach() for i, x in self._made.items()}


@dataclass
class Piece:
    """My rows of one batch of real samples, with the fakes dealt for it. Lives as long as moves say "same"."""

    rows: Rows
    real: Tensor  # (N, C, *S) in [-1, 1]
    labels: Tensor  # (N,) int64
    columns: Mapping[str, Tensor]  # (N,) each: flags and other per-sample numbers of the dataset
    fakes: Fakes = field(init=False)
    fake_labels: Tensor = field(init=False)
    earlier: dict[tuple[str, int], Verdict] = field(default_factory=dict)
    arrived: dict[str, Tensor] = field(default_factory=dict)  # what the sentinel has not looked at yet


# What a recipe is made of


class Remembers:
    """What a part keeps between turns: a flat dictionary of tensors, saved in checkpoints. Names must not clash."""

    def check(self, recipe: Recipe) -> None:
        """Raises RecipeError for a recipe that it does not go with."""

    def memory(self, recipe: Recipe) -> Memory:
        """The memory at the start."""
        return {}

    def remember(self, memory: Memory, turns: list[Turn], means: Signals) -> Memory:
        """The memory after a turn, taken in `turns` (one per micro-batch). `means` are over the global batch."""
        return memory

    def derived(self, turns: list[Turn], means: Signals) -> Signals:
        """Numbers worth recording, one value each, made of the turn's means over the global batch and of what is remembered."""
        return {}


class Prior(ABC):
    """The distribution of the latent z. Its `size` is Z."""

    size: int

    @abstractmethod
    def sample(self, draw: Draw, purpose: str) -> Tensor:
        """z (N, Z)."""

    def truncated(self, z: Tensor, threshold: float) -> Tensor:
        """z moved to where no value is further than `threshold` standard deviations from 0."""
        raise RecipeError("truncation", f"{type(self).__name__} cannot be truncated; a Gaussian can", "TRUNCATION")


class Target(NamedTuple):
    """What the discriminator is to say, (N, 1) each: 1 and 0 unless the recipe's targets say otherwise."""

    real: Tensor
    fake: Tensor


class Targets(ABC):
    """The rule that gives the targets of a turn: hard, soft, noisy, times a column."""

    @abstractmethod
    def __call__(self, turn: Turn) -> Target: ...


class AdversarialLoss(ABC):
    """Two pure functions of logits: (N, M) real, fake and (N, 1) targets -> one loss per logit, (N, M)."""

    reads_real: ClassVar[bool] = False  # the generator's loss looks at the real samples' logits
    reads_target: ClassVar[bool] = False
    looks_across: ClassVar[bool] = False  # at the other samples of the batch: logits are gathered over ranks first
    # What D's output says: a logit (σ of it is a probability), only its distance to the other kind's, or a plain value.
    reading: ClassVar[Literal["logit", "relative", "value"]] = "logit"
    boundary: ClassVar[float] = 0.0  # above it a sample counts as judged real; unused where it is relative
    only_differences: ClassVar[bool] = False  # a number added to all of D's outputs changes nothing

    @abstractmethod
    def discriminator(self, real: Tensor, fake: Tensor, target: Target) -> Tensor: ...

    @abstractmethod
    def generator(self, real: Tensor | None, fake: Tensor, target: Target) -> Tensor: ...


class Term(Remembers, ABC):
    """A weighted extra part of one player's loss: (N,) per turn."""

    per_sample: ClassVar[bool] = False  # it means something only if D judges each sample by itself (no batch norm)
    looks_across: ClassVar[bool] = False  # at the other samples of the batch, gathered over ranks: no micro-batches
    players: ClassVar[tuple[str, ...]] = ()  # whose loss it may be part of; empty: anybody's

    @abstractmethod
    def __call__(self, turn: Turn) -> Tensor: ...


@part
class Weighted:
    """A term with its weight; `every` n-th move only, then multiplied by n (lazy regularization, StyleGAN2 sec. 3.1)."""

    weight: float
    term: Term
    every: int = 1
    rate: Rate | None = None  # the factor on the weight over time; None: constant

    def __post_init__(self) -> None:
        require(self.weight >= 0, "weight", f"{self.weight:g} would reward what the term is to lower; use 0 or more")
        require(self.every >= 1, "every", f"{self.every} is not a number of moves; use 1 or more")


class Augmentation(Remembers, ABC):
    """Changes what the discriminator sees, differentiably: (N, C, *S) -> the same shape.

    Real, fake and penalty points all pass here. `purpose` names the draw: real and fake get numbers of their own.
    """

    @abstractmethod
    def __call__(self, x: Tensor, turn: Turn, purpose: str) -> Tensor: ...


@part
class Gate:
    """Step only while the mean of a signal of this very turn is below a bound, as 3D-GAN's accuracy gate."""

    signal: str = "accuracy"
    below: float = 0.8


@part
class Move:
    """One optimizer step of one player, as planned: on a new batch or the same, with new latents or the same fakes."""

    player: str
    real: Literal["new", "same"] = "new"
    fake: Literal["new", "same"] = "new"
    gate: Gate | None = None


@part
class Player:
    """A network with its optimizer, learning rate and terms."""

    network: Network
    optimizer: Optimizer
    lr: float
    rate: Rate | None = None  # None: constant
    terms: tuple[Weighted, ...] = ()
    clip: float | None = None  # weights are kept in [-clip, clip]
    ema: Average | None = None
    frozen: int = 0  # how many of its lowest layers stay as they begin

    def __post_init__(self) -> None:
        require(self.frozen >= 0, "frozen", f"{self.frozen} is no number of layers; use 0 or more")
        require(self.lr > 0, "lr", f"{self.lr:g} must be above 0")
        require(self.clip is None or self.clip > 0, "clip", f"{self.clip} must be above 0, or none")


class Method(Remembers, ABC):
    """The players, the order of their moves, and their losses."""

    reads_loss: ClassVar[bool] = True  # the recipe's adversarial loss; methods with their own refuse one
    gives: ClassVar[tuple[str, ...]] = ()  # signals of D's turn that others may count on: `sign`, of D's word on real samples

    def players(self, recipe: Recipe) -> dict[str, Player]:
        """By name. A method with more players has them as its own fields."""
        return {"generator": recipe.generator, "discriminator": recipe.discriminator}

    @abstractmethod
    def cycle(self, recipe: Recipe) -> tuple[Move, ...]: ...

    @abstractmethod
    def losses(self, turn: Turn) -> Signals:
        """The moving player's losses by name, (N,) each; they are added up."""

    def signals(self, turn: Turn) -> Signals:
        """Numbers worth recording, (N,) each, detached."""
        return {}

    def logit(self, turn: Turn, x: Tensor, labels: Tensor) -> Tensor:
        """(N,): the number whose slope by x penalties look at; the sum of a sample's logits."""
        logits = turn.judge(x, labels, "logit").logits
        assert logits is not None
        return logits.sum(1)

    def sums_logits(self, turn: Turn) -> bool:
        """Whether in this turn `logit` is that sum, so that D's own slope may be taken for its gradient."""
        return type(self).logit is Method.logit and turn.player == "discriminator"


# All that losses and terms see


@dataclass(frozen=True, eq=False)
class Turn:
    """One player's move while it is carried out, on my rows of the batch."""

    recipe: Recipe
    player: str
    index: int  # moves of this player so far
    seen: int  # real samples, this batch included
    phase: Phase
    piece: Piece
    nets: Mapping[str, nn.Module]
    memory: Memory
    draw: Draw
    verdicts: dict[tuple[str, int], Verdict] = field(default_factory=dict)
    notes: Signals = field(default_factory=dict)  # numbers that a method's losses leave for its signals, (N,) each

    @property
    def real(self) -> Tensor:
        return self.piece.real

    @property
    def labels(self) -> Tensor:
        return self.piece.labels

    @property
    def columns(self) -> Mapping[str, Tensor]:
        return self.piece.columns

    def fake(self, i: int = 0) -> Tensor:
        """Independent fakes 0, 1, …; attached to the generator in its own turn, detached for everybody else."""
        return self.piece.fakes(i, self.player == "generator")

    def judge(self, x: Tensor, labels: Tensor, purpose: str) -> Verdict:
        """The discriminator on augmented x. Logits come in the samples' dtype, also beside bf16 networks."""
        augment = self.recipe.augment
        x = x if augment is None else augment(x, self, purpose)
        verdict: Verdict = self.nets["discriminator"](x, labels, self.phase)
        return Verdict(*[None if part is None else part.to(self.real.dtype) for part in verdict])

    def verdict(self, which: Literal["real", "fake"], i: int = 0) -> Verdict:
        """The discriminator on the real samples or on fakes i; computed once in a turn."""
        if (which, i) not in self.verdicts:
            x, labels = (self.real, self.labels) if which == "real" else (self.fake(i), self.piece.fake_labels)
            self.verdicts[which, i] = self.judge(x, labels, f"{which}{i}")
        return self.verdicts[which, i]

    def logits(self, which: Literal["real", "fake"], i: int = 0) -> Tensor:
        """(N, M): the logits of `verdict`."""
        logits = self.verdict(which, i).logits
        assert logits is not None, "the discriminator returned no logits"
        return logits

    def earlier(self, which: Literal["real", "fake"], i: int = 0) -> Verdict | None:
        """`verdict`, detached, as the last move on this batch saw it; None if none did."""
        return self.piece.earlier.get((which, i))

    def slope(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """(N, C, *S): the gradient of the method's logit by x, differentiable by the weights. Labels: real ones' if None."""
        labels, x = self.labels if labels is None else labels, x.detach().requires_grad_()
        method, network = self.recipe.method, self.recipe.discriminator.network
        plain = self.recipe.augment is None and method.sums_logits(self)
        with torch.autocast(x.device.type, torch.bfloat16, enabled=self.recipe.precision == "bf16"):  # fp16 would underflow
            if self.recipe.fast == "all" and plain and network.piecewise_linear:
                module: Any = self.nets["discriminator"]
                explicit: Tensor = module.slope(x, labels, self.phase)
                return explicit.to(x.dtype)
            logit = method.logit(self, x, labels)
        (gradient,) = torch.autograd.grad(logit.sum(), x, create_graph=True)
        return gradient
