"""The page on ganhacks: every row of its table is a recipe that builds and trains. And the targets that it needs."""

import re
import shlex
from functools import cache
from pathlib import Path

import pytest
import torch

from fixtures.tiny import copies, data
from gansaku.cli import COMMANDS, main
from gansaku.cli_compare import by_path
from gansaku.cli_values import repeated, setting
from gansaku.contract import Piece, Target, Targets, Turn
from gansaku.data.store import Facts
from gansaku.draws import Draw, Rows
from gansaku.errors import RecipeError
from gansaku.experiments.plan import from_toml
from gansaku.keys import generator as drawn
from gansaku.optimizers import SGD
from gansaku.parts import difference, part
from gansaku.recipes.registry import find
from gansaku.targets import Flipped, Hard, Noisy, Ranged
from gansaku.training.state import begin
from gansaku.training.step import cycle

torch.set_num_threads(1)

PAGE = (Path(__file__).parents[1] / "docs" / "how-to" / "ganhacks.md").read_text("utf-8")
AVATARS = Facts("avatars", (3, 32, 32), 9000, tuple(f"hair {i}" for i in range(11)))
CHAIRS = Facts("chairs", (1, 32, 32, 32), 2000, ())
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.splitlines() if re.match(r"\| \d+ \|", line)]


def commands(cell):
    """What a cell tells to type."""
    return re.findall(r"`([^`]+)`", cell)


def words_of(command):
    """Recipe and settings, as `gansaku train` reads what stands after it."""
    name, *rest = repeated(shlex.split(command))
    assert rest[::2] == ["--set"] * (len(rest) // 2)
    return name, dict(map(setting, rest[1::2]))


@cache
def built(command):
    name, settings = words_of(command)
    return find(name, CHAIRS if name == "gan3d" else AVATARS).but(settings)


def told(cell):
    """The recipes of a cell."""
    return [command for command in commands(cell) if not command.startswith("gansaku ")]


TOLD = sorted({command for row in ROWS for cell in row[2:4] if not cell.startswith("not built") for command in told(cell)})
DCGAN = [command for command in TOLD if command.split()[0] == "dcgan" and command != "dcgan"]


class TestTheTable:
    def test_has_all_seventeen_items_in_order_and_no_empty_one(self):
        assert sorted({int(row[0]) for row in ROWS}) == list(range(1, 18))
        assert [int(row[0]) for row in ROWS] == sorted(int(row[0]) for row in ROWS)
        assert {len(row) for row in ROWS} == {7}
        assert [row[1] for row in ROWS if not commands(row[2]) and not row[2].startswith("not built: ")] == []

    def test_names_two_different_recipes_where_it_says_with_and_without(self):
        same = []
        for row in ROWS:
            ways = [[built(command) for command in told(cell)] for cell in row[2:4] if not cell.startswith("not built")]
            if len(ways) == 2:
                same += [row[1] for ours in ways[0] for theirs in ways[1] if ours.but(name="x") == theirs.but(name="x")]
        assert same == []

    @pytest.mark.parametrize("command", DCGAN)
    def test_a_row_of_dcgan_trains_and_otherwise_than_dcgan_unless_it_is_the_same(self, command):
        end, plain = trained(command), trained("dcgan")
        assert [name for name, value in end.items() if not value.isfinite().all()] == []
        weights = [n for n in plain if n.startswith("net/") and n.endswith("weight")]
        alike = all(n in end and end[n].shape == plain[n].shape and torch.equal(end[n], plain[n]) for n in weights)
        assert alike == (built(command) == built("dcgan"))

    def test_every_other_command_of_the_table_is_one(self, capsys):
        others = {command for row in ROWS for cell in row[2:4] for command in commands(cell) if command.startswith("gansaku ")}
        assert len(others) >= 4
        for command in others:
            _, verb, *rest = command.split()
            assert verb in COMMANDS
            assert main([verb, "--help"]) == 0
            told = capsys.readouterr().out
            assert [word for word in rest if word.startswith("--") and word not in told] == []

    def test_every_setting_in_the_notes_is_one(self):
        notes = PAGE[PAGE.index("\n- **4**") : PAGE.index("## Measuring")]
        found = [span for span in commands(notes) if "=" in span]
        assert len(found) >= 2
        for span in found:
            settings = dict(map(setting, span.split()))
            if "discriminator.optimizer.momentum" in settings:
                settings = {"discriminator.optimizer": "SGD", **settings}
            assert built("dcgan").but(settings) != built("dcgan")


@cache
def trained(command):
    """The state after five cycles of batches of four, with few channels, and what is rare made frequent."""
    small = {"generator.network.width": 2, "discriminator.network.width": 2, "batch": 4, "precision": "fp32", "length": 400}
    name, settings = words_of(command)
    sooner = {"PastSamples": {"replay.size": 4}, "PastPlayers": {"replay.every": 8, "replay.span": 4}}
    recipe = find(name, AVATARS).but({**small, **settings, **sooner.get(str(settings.get("replay")), {})})
    recipe = recipe.but({"targets.share": 0.5}) if "Flipped" in command else recipe
    recipe = recipe.but({"method.order.0.gate.below": 0.1}) if "Gate" in command else recipe
    state, source = begin(recipe), data(recipe)
    for _ in range(5):
        cycle(state, recipe, source)
    return copies(state)


def test_the_comparisons_of_the_page_are_what_compare_takes():
    lines = [line for block in re.findall(r"^```sh\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE) for line in block.splitlines()]
    assert len(lines) >= 3
    for line in lines:
        _, verb, name, *rest = shlex.split(line)
        assert (verb, name) == ("compare", "dcgan")
        ((path, values),) = by_path([rest[rest.index("--vary") + 1]]).items()
        assert len({built("dcgan").but({path: value}) for value in values}) == len(values) >= 2
    (plan,) = re.findall(r"^```toml\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    read = from_toml(plan)
    base = built(read.recipe).but(read.settings)
    assert [str(change) for change in difference(base.but(read.arms[0].changes), base.but(read.arms[1].changes))] == [
        "discriminator.optimizer.part: Adam → SGD",
        "discriminator.lr: 0.0002 → 0.01",
    ]


@part
class Fixed(Targets):
    """Targets that tell samples apart: 10, 11, … and -10, -11, …"""

    def __call__(self, turn: Turn) -> Target:
        real = 10 + torch.arange(turn.piece.rows.start, turn.piece.rows.stop).to(turn.real)[:, None]
        return Target(real, -real)


def turn_of(player, rows=Rows(0, 64, 64), number=3):  # noqa: B008
    n = rows.stop - rows.start
    real = torch.zeros(n, 1, 4, 4, dtype=torch.float64)
    piece = Piece(rows, real, torch.zeros(n, dtype=torch.long), {})
    return Turn(None, player, 0, 64, None, piece, {}, {}, Draw(7, number, rows, real))


class TestFlipped:
    def test_flips_exactly_the_samples_whose_number_is_below_the_share(self):
        given = Flipped(0.3, Fixed())(turn_of("discriminator"))
        for side, mine, other in (("real", 1, -1), ("fake", -1, 1)):
            numbers = torch.rand(64, 1, generator=drawn(7, 3, f"flip/{side}"))
            wanted = [[(other if number < 0.3 else mine) * (10 + i)] for i, (number,) in enumerate(numbers.tolist())]
            assert getattr(given, side).tolist() == wanted

    def test_flips_about_its_share_of_both_kinds_and_not_the_same_places(self):
        rows = Rows(0, 4000, 4000)
        real, fake = Flipped(0.2)(turn_of("discriminator", rows))
        assert real.mean().item() == pytest.approx(0.8, abs=0.02)
        assert fake.mean().item() == pytest.approx(0.2, abs=0.02)
        assert ((real == 0) & (fake == 1)).double().mean().item() == pytest.approx(0.04, abs=0.01)

    def test_flips_nothing_for_the_generator_and_everything_at_a_share_of_one(self):
        wanted = Fixed()(turn_of("generator"))
        assert all(map(torch.equal, Flipped(0.9, Fixed())(turn_of("generator")), wanted))
        assert all(map(torch.equal, Flipped(1.0, Fixed())(turn_of("discriminator")), wanted[::-1]))
        assert all(map(torch.equal, Flipped(0.0, Fixed())(turn_of("discriminator")), wanted))


class TestRanged:
    def test_gives_each_sample_a_number_of_its_own_from_the_whole_range(self):
        real, fake = Ranged()(turn_of("discriminator", Rows(0, 4000, 4000)))
        assert min(len(set(x.flatten().tolist())) for x in (real, fake)) > 3990  # of 2²⁴ that there are
        for x, low, high in ((real, 0.7, 1.2), (fake, 0.0, 0.3)):
            assert low <= x.min() < low + 0.01 * (high - low)
            assert high - 0.01 * (high - low) < x.max() < high
            assert x.mean().item() == pytest.approx((low + high) / 2, abs=0.01)
        assert abs(torch.corrcoef(torch.cat([real, fake], 1).T)[0, 1].item()) < 0.05

    def test_leaves_the_generator_its_one(self):
        assert all(map(torch.equal, Ranged()(turn_of("generator")), Hard()(turn_of("generator"))))


@pytest.mark.parametrize("targets", [Ranged(), Flipped(0.5, Ranged()), Flipped(0.5, Noisy())], ids=str)
def test_targets_are_those_of_one_batch_in_parts_too_and_others_in_the_next_turn(targets):
    whole = targets(turn_of("discriminator"))
    parts = [targets(turn_of("discriminator", Rows(start, start + 16, 64))) for start in range(0, 64, 16)]
    for side in ("real", "fake"):
        assert torch.equal(getattr(whole, side), torch.cat([getattr(one, side) for one in parts]))
        assert not torch.equal(getattr(whole, side), getattr(targets(turn_of("discriminator", number=4)), side))


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Flipped(1.2), "share: 1.2 is no share; use 0 to 1"),
        (lambda: Ranged(real=(1.2, 0.7)), "real: 1.2 to 0.7 is no range; write the smaller number first"),
        (lambda: built("dcgan").but({"loss": "Hinge", "targets": "Flipped"}), "Hinge reads no targets, so Flipped"),
    ],
)
def test_targets_that_mean_nothing_are_refused(make, says):
    with pytest.raises(RecipeError, match=says):
        make()


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_sgd_is_torchs(momentum):
    """A part that builds one, with the momentum there from the start."""
    torch.manual_seed(0)
    start, steps = torch.randn(5, dtype=torch.float64), torch.randn(6, 5, dtype=torch.float64)
    mine, theirs = (torch.nn.Parameter(start.clone()) for _ in range(2))
    optimizers = SGD(momentum).build([mine], 0.1, fused=False), torch.optim.SGD([theirs], 0.1, momentum)
    for gradient in steps:
        for parameter, optimizer in zip((mine, theirs), optimizers, strict=True):
            parameter.grad = gradient.clone()
            optimizer.step()
    assert torch.equal(mine, theirs)
    assert not torch.equal(mine.detach(), start)
