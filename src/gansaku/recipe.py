"""The recipe: everything that decides what is computed, and the checks of what may not be combined, and why."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from typing import Any, Literal

import tomli_w

from gansaku.contract import (
    AdversarialLoss,
    Augmentation,
    Growth,
    Method,
    Move,
    Phase,
    Player,
    Prior,
    Remembers,
    Targets,
    Term,
)
from gansaku.errors import RecipeError
from gansaku.latents import Gaussian
from gansaku.losses import Logistic
from gansaku.methods.adversarial import Adversarial
from gansaku.parts import changed, decode, encode, part, require
from gansaku.replay import Replay
from gansaku.targets import Hard

# No training needs more; beyond them numbers overflow or memory ends before anybody can say which setting it was.
MOST_SAMPLES = 10**15
LARGEST_BATCH = 1 << 20
LARGEST_SIDE = 1 << 14
MOST_CHANNELS = 1 << 12
LARGEST_LATENT = 1 << 20
LARGEST_SEED = 1 << 63


@part
class Recipe:
    """All settings of a training. Immutable; a variant is `recipe.but(loss=Hinge())`."""

    shape: tuple[int, ...]  # (C, *S) of one sample
    generator: Player
    discriminator: Player
    length: int  # real samples to see
    loss: AdversarialLoss | None = Logistic()  # None for methods with losses of their own
    method: Method = Adversarial()
    latent: Prior = Gaussian()
    targets: Targets = Hard()
    augment: Augmentation | None = None
    replay: Replay | None = None
    growth: Growth | None = None
    batch: int = 64  # real samples in one global batch
    micro: int | None = None  # how many of them at once; None: all
    mirror: bool = False  # half of the real samples are mirrored left to right
    classes: int = 0  # 0: labels are not used
    fake_labels: Literal["same", "uniform"] = "same"
    seed: int = 0
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    fast: Literal["all", "none"] = "all"  # "none" turns off every path that is fast but not the plainest
    name: str = "custom"

    def __post_init__(self) -> None:
        check(self)

    def but(self, settings: Mapping[str, Any] | None = None, /, **fields: Any) -> Recipe:
        """The same recipe with some settings replaced: fields by name, or dotted paths: `but({"generator.lr": 1e-3})`."""
        return changed(self, {**(settings or {}), **fields})

    @property
    def players(self) -> dict[str, Player]:
        return self.method.players(self)

    @property
    def cycle(self) -> tuple[Move, ...]:
        return self.method.cycle(self)

    def phase(self, seen: int) -> Phase:
        """What training looks like after `seen` samples."""
        size, fade, batch = self.shape[1:], 1.0, self.batch
        if self.growth is not None:
            size, fade, batch = self.growth.at(seen, self.shape, self.batch)
        return Phase(size, fade, batch, min(self.micro or batch, batch))

    def remembering(self) -> list[Remembers]:
        """The parts that may keep something between turns."""
        terms = [weighted.term for player in self.players.values() for weighted in player.terms]
        return [self.method, *[one for one in (self.augment, self.replay) if one is not None], *terms]


def check(recipe: Recipe) -> None:
    """Raises RecipeError at the first setting that is out of range or does not go with the others."""
    samples = "is no number of samples; use 1 or more"
    require(recipe.batch >= 1, "batch", f"{recipe.batch} {samples}")
    require(recipe.length >= 1, "length", f"{recipe.length} {samples}")
    require(recipe.micro is None or recipe.micro >= 1, "micro", f"{recipe.micro} {samples}, or none")
    require(recipe.classes >= 0, "classes", f"{recipe.classes} is no number of classes; use 0 or more")
    check_limits(recipe)
    check_networks(recipe)
    check_shapes(recipe)
    check_growth(recipe)
    check_loss(recipe)
    check_cycle(recipe.players, recipe.cycle)
    for name, player in recipe.players.items():
        for i, weighted in enumerate(player.terms):
            check_term(recipe, name, f"{path_of(name)}.terms.{i}", weighted.term)
    for remembering in recipe.remembering():
        remembering.check(recipe)
    check_classes(recipe)


def path_of(player: str) -> str:
    """Where a player's settings stand: a third one is its method's."""
    return player if player in ("generator", "discriminator") else f"method.{player}"


def check_limits(recipe: Recipe) -> None:
    """No number is so large that it could only end in an overflow or without memory."""
    limits = {"batch": (recipe.batch, LARGEST_BATCH), "length": (recipe.length, MOST_SAMPLES),
              "classes": (recipe.classes, LARGEST_BATCH), "latent.size": (recipe.latent.size, LARGEST_LATENT),
              "seed": (abs(recipe.seed), LARGEST_SEED)}  # fmt: skip
    for field, (value, most) in limits.items():
        require(value <= most, field, f"{value if value < 10**30 else 'the number'} is too large; at most {most:,}")
    channels, *space = recipe.shape or (0,)
    sides = bool(space) and all(1 <= side <= LARGEST_SIDE for side in space)
    require(
        1 <= channels <= MOST_CHANNELS and sides,
        "shape",
        f"{recipe.shape} is no (channels, sides …): channels are 1 to {MOST_CHANNELS:,}, sides 1 to {LARGEST_SIDE:,}",
    )


def check_term(recipe: Recipe, player: str, where: str, term: Term) -> None:
    """A term stands where it does something, and sees what it means to see."""
    name, meant = type(term).__name__, term.players
    judge = player if player in meant else "discriminator"  # whose slope it looks at
    require(not meant or player in meant, where, f"{name} does nothing for the {player}; it is for the {' and '.join(meant)}")
    network = recipe.players[judge].network
    norm = getattr(network, "norm", "none") == "batch"
    cure = f"set {path_of(judge)}.network.norm=none or spectral" if norm else "use another network there, or no such term"
    require(
        not (term.per_sample and network.ties_samples),
        where,
        f"{name} looks at the slope for each sample, and {type(network).__name__} of the {judge} ties it to the others (batch "
        f"norm, minibatch discrimination); {cure}",
    )
    require(
        not term.looks_across or at_once(recipe),
        "micro",
        f"{name} looks at the whole batch, which micro-batches do not see; set micro=none",
    )


def at_once(recipe: Recipe) -> bool:
    """Whether every batch is taken whole, those of a growth's sizes too."""
    batches = [recipe.batch, *[level.batch for level in getattr(recipe.growth, "levels", ())]]
    return recipe.micro is None or recipe.micro >= max(batches)


def check_networks(recipe: Recipe) -> None:
    """A discriminator has logits, and who looks at the whole batch, or at groups of it, gets them whole."""
    logits = getattr(recipe.discriminator.network, "logits", 1)
    require(logits > 0, "discriminator.network.logits", f"{logits}: the discriminator must say something; use 1 or more")
    for name, player in recipe.players.items():
        network, where = player.network, path_of(name)
        meant = f"{type(network).__name__} is a network for the {' or the '.join(network.players)}; use one for the {name}"
        require(not network.players or name in network.players, f"{where}.network", meant)
        group = getattr(network, "group", 0)  # samples that it compares with each other; 0: all of the batch
        what, cure = (f"groups of {group}", f"a multiple of {group}, or none") if group else ("the whole batch", "none")
        require(
            not network.looks_across or at_once(recipe) or (group > 0 and (recipe.micro or 0) % group == 0),
            "micro",
            f"{type(network).__name__} of the {name} looks at {what}, which micro-batches do not see; set micro={cure}",
        )
        require(
            getattr(network, "norm", "") != "spectral" or player.clip is None,
            f"{where}.clip",
            f"{player.clip} would bound weights that spectral norm divides by their size anyway; set one of both to none",
        )


def check_growth(recipe: Recipe) -> None:
    """Growing samples need networks that follow."""
    if recipe.growth is None:
        return
    recipe.growth.check(recipe.shape)
    for name, player in recipe.players.items():
        network = type(player.network)
        require(network.grows, "growth", f"{network.__name__} of the {name} cannot grow; set growth=none")


def check_shapes(recipe: Recipe) -> None:
    """The generator makes what the discriminator takes, out of the z that the prior gives."""
    for name, player in recipe.players.items():
        shape = getattr(player.network, "shape", recipe.shape)
        require(
            tuple(shape) == recipe.shape,
            f"{name}.network.shape",
            f"{tuple(shape)} is not the samples' shape {recipe.shape}",
        )
    size = getattr(recipe.generator.network, "latent", recipe.latent.size)
    require(
        size == recipe.latent.size,
        "latent.size",
        f"the prior gives {recipe.latent.size} values and the generator takes {size}; set both",
    )


def check_classes(recipe: Recipe) -> None:
    """Networks that read or tell classes know as many as the recipe has; and if it has some, the generator reads them."""
    for name, player in recipe.players.items():
        for field in ("classes", "label_planes"):
            known = getattr(player.network, field, 0)
            where = f"{path_of(name)}.network.{field}"
            require(known in (0, recipe.classes), where, f"{known} is not the recipe's {recipe.classes} classes; set both")
    network = recipe.generator.network
    how = "set generator.network.classes too" if hasattr(network, "classes") else "use 0, or ChainerGenerator with classes"
    deaf = f"{recipe.classes}, and {type(network).__name__} does not read which one is asked for; {how}"
    require(recipe.classes == 0 or network.reads_labels, "classes", deaf)


def check_loss(recipe: Recipe) -> None:
    """Losses, targets and micro-batches that go together."""
    loss, method = recipe.loss, type(recipe.method).__name__
    if not recipe.method.reads_loss:
        require(loss is None, "loss", f"{method} has losses of its own; set loss=none, or another method")
        unread = f"{method} reads no targets, so {type(recipe.targets).__name__} would change nothing; use Hard"
        require(isinstance(recipe.targets, Hard), "targets", unread)
    require(loss is not None or not recipe.method.reads_loss, "loss", f"{method} needs an adversarial loss")
    if loss is None:
        return
    name = type(loss).__name__
    require(
        loss.reads_target or isinstance(recipe.targets, Hard),
        "targets",
        f"{name} reads no targets, so {type(recipe.targets).__name__} would change nothing; use Hard",
    )
    require(
        not loss.looks_across or at_once(recipe),
        "micro",
        f"{name} compares with the mean over the batch, which micro-batches do not see; set micro=none",
    )


def check_cycle(players: Mapping[str, Player], cycle: tuple[Move, ...]) -> None:
    """The first move draws everything; fakes are not used again once the generator that made them has moved."""
    require(bool(cycle), "method", "has no moves")
    made_before_step = False
    for i, move in enumerate(cycle):
        where = f"method.order.{i}"
        known = ", ".join(players)
        require(move.player in players, where, f"there is no player {move.player!r}; the players are {known}")
        if i == 0 or move.real == "new":
            first = "the first move" if i == 0 else "a move with a new batch"
            require(move.real == "new" and move.fake == "new", where, f"{first} must have real=new and fake=new")
        if move.fake == "new":
            made_before_step = False
        if move.player == "generator":
            require(not made_before_step, where, "fake=same after the generator's step: those fakes are stale; use fake=new")
            made_before_step = True
    idle = [name for name in players if all(move.player != name for move in cycle)]
    require(not idle, "method", f"{', '.join(idle)} never moves")


def to_toml(recipe: Recipe) -> str:
    """The recipe as TOML, every setting written out: defaults may change, a stored recipe does not."""
    return tomli_w.dumps(encode(recipe, Recipe))


def from_toml(text: str, where: str = "recipe") -> Recipe:
    """Raises RecipeError with line and column for a syntax error, with the path for a setting that does not fit."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(where, f"is no TOML: {error}", "TOML") from None
    except (ValueError, RecursionError):
        raise RecipeError(where, "holds a number of thousands of digits, or brackets nested as deeply", "TOML") from None
    recipe = decode(data, Recipe, where)
    assert isinstance(recipe, Recipe)
    return recipe
