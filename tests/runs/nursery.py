"""Commands that can be killed by the dozen, and what must be true of a training that was.

Importing torch takes seconds. `Nursery` keeps a process that has imported Gansaku and computed nothing; every command is a
fork of it, in a session, a working folder and an environment of its own, and from there on goes the way of
`python -m gansaku`: the same handlers, the same main, the same exit code.

`Case` is a training of a few cycles, `Straight` what it leaves when nobody disturbs it, `lived` the same one killed.
"""

from __future__ import annotations

import functools
import gc
import hashlib
import importlib
import json
import os
import random
import re
import select
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

TESTS = Path(__file__).parents[1]
ASKING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Child:
    """A command that runs, or has ended, as the process that asked for it sees it."""

    def __init__(self, nursery: Nursery, pid: int, folder: Path, said: Path):
        self._nursery, self.pid, self.folder, self._said = nursery, pid, folder, said
        self.code: int | None = None

    def wait(self, seconds: float = 120.0) -> int:
        """Its exit code; -9 when it was killed. Raises AssertionError when it still runs after so many seconds."""
        if self.code is None:
            self.code = self._nursery.ask({"wait": self.pid, "seconds": seconds})
        assert self.code is not None, f"still running after {seconds} s; it said: {self.said[-500:]}"
        return self.code

    @property
    def running(self) -> bool:
        if self.code is None:
            self.code = self._nursery.ask({"wait": self.pid, "seconds": 0})
        return self.code is None

    def send(self, number: int) -> None:
        os.kill(self.pid, number)

    def kill(self) -> int:
        """Kill it and all that it has started."""
        os.killpg(self.pid, signal.SIGKILL)
        return self.wait()

    @property
    def said(self) -> str:
        """Standard error."""
        return self._said.read_text()

    def paused(self, seconds: float = 60.0) -> None:
        """Wait until it stands at its pause."""
        until(lambda: (self.folder / "paused").exists() or not self.running, seconds)
        assert self.running, f"ended with {self.code} before its pause: {self.said[-500:]}"

    def go_on(self) -> None:
        (self.folder / "paused").unlink(missing_ok=True)

    @property
    def family(self) -> list[int]:
        """The processes of its session that live."""
        return [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if alive_in(pid, self.pid)]


def alive_in(pid: int, session: int) -> bool:
    try:
        state, _, _, own = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()[:4]
    except (OSError, ValueError):
        return False
    return int(own) == session and state != "Z"


def until(true: Any, seconds: float) -> None:
    """Wait until it is true."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"not so after {seconds} s"
        time.sleep(0.005)


class Nursery:
    """A context: the process that all commands are forked from. None of them outlives it."""

    def __enter__(self) -> Nursery:
        environment = {name: value for name, value in os.environ.items() if name != "GANSAKU_FAULTS"}
        self._process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**environment, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        self._count = 0
        assert self._process.stdout.readline() == "ready\n"
        return self

    def __exit__(self, *error: object) -> None:
        self._process.stdin.close()
        self._process.wait(30)

    def ask(self, order: dict[str, Any]) -> Any:
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def start(
        self,
        *arguments: str,
        folder: Path,
        faults: str = "",
        seconds: float = 0.0,
        record: str = "",
        pause: tuple[str, int] | None = None,
        sheet: int = 2,
    ) -> Child:
        """`gansaku ARGUMENTS` in this folder, with a cache of its own there.

        A checkpoint is due every `seconds`: with 0 after each cycle. `record` is a file that every operation on the disk
        is written to. `pause` is a function (`module:name`) and at which call of it to wait until told to go on. A sheet
        has few samples: sixty-four voxel grids take seconds to draw.
        """
        self._count += 1
        said = folder / f"said-{self._count}"
        order = {
            "arguments": arguments, "folder": str(folder), "said": str(said), "seconds": seconds, "record": record,
            "pause": pause, "sheet": sheet, "environment": {"GANSAKU_FAULTS": faults, "GANSAKU_CACHE": "cache"},
        }  # fmt: skip
        return Child(self, self.ask(order), folder, said)


def serve() -> None:
    """The nursery's own life: fork when asked to, and say how a child ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C at the tests: they close us
    sys.path.insert(0, str(TESTS))  # where a user's file finds the methods of `fixtures`
    for name in ("api", "cli", "__main__", "runs.lock", "runs.summary", "terminal"):
        importlib.import_module(f"gansaku.{name}")
    importlib.import_module("torch._dynamo")  # the first optimizer imports it
    importlib.import_module("gansaku.recipes.registry").recipes()
    importlib.import_module("PIL.Image").init()
    gc.freeze()  # or each fork copies what its first collection touches
    living: set[int] = set()
    os.write(1, b"ready\n")
    for line in sys.stdin:
        order = json.loads(line)
        if "wait" in order:
            answer = ended(order["wait"], order["seconds"])
            living -= {order["wait"]} if answer is not None else set()
        else:
            answer = born(order)
            living.add(answer)
        os.write(1, json.dumps(answer).encode() + b"\n")
    for pid in living:
        os.killpg(pid, signal.SIGKILL)


def born(order: dict[str, Any]) -> int:
    """Fork; the process number, once the child has its own session."""
    ready, there = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.setsid()
        os.close(there)
        live(order)
    os.close(there)
    os.read(ready, 1)
    os.close(ready)
    return pid


def ended(pid: int, seconds: float) -> int | None:
    """The exit code, or minus the signal; None when it still runs."""
    descriptor = os.pidfd_open(pid)
    try:
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        if not poll.poll(1000 * seconds):
            return None
    finally:
        os.close(descriptor)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def live(order: dict[str, Any]) -> None:
    """The child: become `python -m gansaku ARGUMENTS`, and end as it ends."""
    code = 1
    try:
        os.chdir(order["folder"])
        os.environ.update(order["environment"])
        said = os.open(order["said"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        for descriptor, target in ((os.open(os.devnull, os.O_RDWR), (0, 1)), (said, (2,))):
            for number in target:
                os.dup2(descriptor, number)
        for number in ASKING:
            signal.signal(number, signal.SIG_DFL)
        arrange(order)
        sys.argv = ["gansaku", *order["arguments"]]
        code = importlib.import_module("gansaku.__main__").main()
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def arrange(order: dict[str, Any]) -> None:
    """What the order wants to be otherwise than on the command line."""
    from gansaku import faults
    from gansaku.runs import recorder, watchers

    faults._fault, faults._count = faults.parsed(os.environ["GANSAKU_FAULTS"]), 0
    recorder.CHECKPOINT_SECONDS = order["seconds"]
    watchers.SHEET = order["sheet"]
    if order["record"]:
        faults.watcher = recorder_of(order["record"])
    if order["pause"]:
        stop_at(*order["pause"])


def recorder_of(file: str) -> Any:
    """A watcher that writes each operation down, with the size of what is written and all of the file's digest so far."""
    out, digests = open(file, "a", buffering=1), {}  # noqa: SIM115

    def watch(operation: str, path: Path, content: bytes | Path | None) -> None:
        size, digest = 0, ""
        if isinstance(content, bytes):
            digests.setdefault(path, hashlib.sha256()).update(content)
            size, digest = len(content), digests[path].hexdigest()
        out.write(json.dumps([operation, str(path), size, digest]) + "\n")

    return watch


def stop_at(where: str, number: int) -> None:
    """Let the n-th call of a function wait, with the file `paused` beside it, until that is gone."""
    module, _, names = where.partition(":")
    owner: Any = importlib.import_module(module)
    *inner, name = names.split(".")
    for part in inner:
        owner = getattr(owner, part)
    original, calls = getattr(owner, name), 0

    @functools.wraps(original)
    def waiting(*arguments: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == number:
            mark = Path("paused").absolute()
            mark.touch()
            while mark.exists():
                time.sleep(0.005)
        return original(*arguments, **named)

    setattr(owner, name, waiting)


@dataclass(frozen=True)
class Case:
    """A training of eight cycles or so: by a recipe, or by a method of `fixtures` in a file of the user's own."""

    name: str
    data: str  # pictures or voxels
    settings: tuple[str, ...] = ()
    method: str = ""
    recipe: str = "auto"

    def command(self, sources: Path) -> list[str]:
        recipe = str(user_file(sources, self.method)) if self.method else self.recipe
        widths = [] if self.method else [f"{player}.network.width=4" for player in ("generator", "discriminator")]
        data = str(source(sources, self.data))
        return ["train", recipe, "--data", data, "--run", "run", "--set", *widths, "batch=4", "length=32", *self.settings]


CASES = [
    Case("pictures", "pictures", ("precision=fp32",)),
    Case("voxels", "voxels", ("precision=fp32",)),
    Case("pictures, the fast path", "pictures", ("precision=bf16", "fast=all")),
    Case("voxels, the fast path", "voxels", ("precision=bf16", "fast=all")),
    Case("pictures, the exact path", "pictures", ("precision=fp32", "fast=none")),
    Case("voxels, the exact path", "voxels", ("precision=fp32", "fast=none")),
    Case("an augmentation that adapts", "pictures", method="ada"),
    Case("dropout", "voxels", method="dropout"),
    Case("batch norm and a weight average", "voxels", method="batch_norm"),
    Case("three critic steps", "pictures", ("length=96",), method="wgan_gp"),
]


def source(folder: Path, name: str) -> Path:
    """24 pictures of 16 × 16, or voxel grids of 16³."""
    path = folder / f"{name}.npy"
    if not path.exists():
        draw = np.random.default_rng(0)
        pictures = draw.integers(0, 256, (24, 16, 16, 3), np.uint8)
        np.save(path, pictures if name == "pictures" else (draw.random((24, 16, 16, 16)) < 0.3).astype(np.uint8))
    return path


def user_file(folder: Path, method: str) -> Path:
    """A file as a user would write it; the networks of `batch_norm` make samples twice as large as asked for."""
    path = folder / f"my_{method}.py"
    path.write_text(f"""\
import gansaku
from fixtures import {method}


@gansaku.recipe_function()
def my_{method}(facts):
    made = {method}.recipe(facts.shape)
    return made if made.shape == facts.shape else {method}.recipe((facts.shape[0], *[n // 2 for n in facts.shape[1:]]))
""")
    return path


class Operation(NamedTuple):
    """What was about to be done to the disk; the bytes of a write, and the SHA-256 of its file with them."""

    name: str
    path: str
    size: int
    digest: str

    @property
    def text(self) -> str:
        return f"{self.name} {self.path}"

    @property
    def kind(self) -> str:
        """Such as `rename a checkpoint`: what it is, wherever it is."""
        last, above = self.path.rsplit("/", 1)[-1], self.path.split("/")[-2:-1]
        roles = {"checkpoints": "a checkpoint", "sheets": "a sheet", "cache": "the cache"}
        return f"{self.name} {roles.get(''.join(above), re.sub(r'^[.]part-[0-9]+-', '', last))}"


@dataclass(frozen=True)
class Straight:
    """What a training leaves that nobody disturbs."""

    seconds: float  # that it took
    operations: list[Operation]
    end: dict[str, str]  # every tensor of the last checkpoint, and its counts
    ticks: dict[str, list[tuple[int, float]]]

    @property
    def saved(self) -> dict[int, str]:
        """The SHA-256 of every checkpoint's tensors, by samples seen."""
        return self._written(r"run/checkpoints/[.]part-\d+-(\d+)/tensors.safetensors")

    @property
    def sheets(self) -> dict[int, str]:
        """The SHA-256 of every sheet, by samples seen."""
        return self._written(r"run/sheets/[.]part-\d+-(\d+)[.]png")

    def _written(self, pattern: str) -> dict[int, str]:
        found = [(re.fullmatch(pattern, o.path), o.digest) for o in self.operations if o.name == "write"]
        return {int(match.group(1)): digest for match, digest in found if match}

    @property
    def interval(self) -> int:
        """Samples between two checkpoints."""
        return min(self.saved)


def straight(nursery: Nursery, case: Case, sources: Path, place: Path, **how: Any) -> Straight:
    """Train it undisturbed in this folder, which is new."""
    place.mkdir(parents=True)
    started = time.monotonic()
    child = nursery.start(*case.command(sources), folder=place, record="operations", **how)
    assert child.wait() == 0, child.said
    seconds = time.monotonic() - started
    operations = [Operation(*json.loads(line)) for line in (place / "operations").read_text().splitlines()]
    return Straight(seconds, operations, end_of(place / "run"), ticks_of(place / "run"))


def end_of(run: Path) -> dict[str, str]:
    """SHA-256 of every tensor of the newest checkpoint, read as the bytes that they are, and the counts."""
    from gansaku.runs import manifest

    path = manifest.at(run / "checkpoints", None)
    content = (path / manifest.TENSORS).read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    found = {"counts": (path / manifest.NUMBERS).read_text()}
    for name, about in json.loads(content[8:start]).items():
        first, last = (start + offset for offset in about["data_offsets"])
        found[name] = f"{about['dtype']} {about['shape']} {hashlib.sha256(content[first:last]).hexdigest()}"
    return found


def ticks_of(run: Path) -> dict[str, list[tuple[int, float]]]:
    """The log's curves but for those that the clock decides: how fast it was, and when there was time for a look."""
    from gansaku.runs import log

    found = log.curves(run / "log.sqlite")
    found.pop("samples_per_second", None)
    return {name: points for name, points in found.items() if not name.startswith("health/")}


class Kill(NamedTuple):
    """A kill at a share of the undisturbed training's time, or by a failpoint. `kind` is what it is counted as."""

    kind: str
    share: float = 0.0
    fault: str = ""


TEARS = {"nothing": "0", "one byte": "1", "4096 bytes": "4096", "half": "", "all but a byte": "-1"}


def at_random(draw: random.Random) -> Kill:
    """At any time from the command's first moment to its end."""
    return Kill("at a random time", draw.random())


def torn(straight: Straight, draw: random.Random, done: str) -> Kill:
    """While a checkpoint's tensors are written, after this much of one write."""
    there = [o for o in straight.operations if "tensors" in o.text]
    ranks = [i for i, o in enumerate(there, 1) if o.name == "write" and o.size > (4096 if done == "4096 bytes" else 1)]
    return Kill(f"a write torn after {done}", fault=f"TEAR {draw.choice(ranks)} {TEARS[done]} on tensors")


def before(straight: Straight, draw: random.Random, kind: str) -> Kill:
    """Just before an operation of a kind; counted are the operations on its part of the run, which time does not change."""
    operation = draw.choice([o for o in straight.operations if o.kind == kind][: 1 if "report" in kind else None])
    words = ("checkpoints", "sheets", "log.sqlite", "recipe.toml", "run.json", "report.html", "lock", ".h5", "cache", "run")
    word = next((word for word in words if word in operation.path), operation.text)
    there = [o for o in straight.operations if word in o.text]
    rank = next(i for i, o in enumerate(there, 1) if o is operation)
    return Kill(f"before: {kind}", fault=f"KILL {rank} on {word}")


def continued(draw: random.Random) -> Kill:
    """In the first checkpoint that a continued training writes."""
    return Kill("in a continued training's checkpoint", fault=f"KILL {draw.randint(1, 20)} on checkpoints")


def lived(
    nursery: Nursery, case: Case, straight: Straight, sources: Path, place: Path, kills: Sequence[Kill], seconds: float = 0.0
) -> list[Kill]:
    """Start a training in a new folder, kill it, start it again, … and then leave it alone until it has ended.

    Returns the kills that it did not end before. Raises AssertionError when it did not end as the undisturbed one.
    """
    place.mkdir(parents=True)
    delivered = []
    for kill in kills:
        child = nursery.start(*case.command(sources), folder=place, faults=kill.fault, seconds=seconds)
        if struck(child, kill, straight.seconds * remaining(place / "run", straight)) == 0:
            break
        assert child.code == -signal.SIGKILL, f"ended with {child.code}: {child.said[-800:]}"
        check_killed(place / "run", straight, every_cycle=seconds == 0)
        delivered.append(kill if kill.fault else kill._replace(kind=f"{kill.kind}, {moment(place / 'run')}"))
    child = nursery.start(*case.command(sources), folder=place, seconds=seconds)
    assert child.wait() == 0, child.said[-800:]
    check_ended(place / "run", straight)
    return delivered


def struck(child: Child, kill: Kill, expected: float) -> int:
    """Wait for the kill, or do it. Returns the exit code."""
    if kill.fault:
        return child.wait()
    time.sleep(kill.share * expected)
    return child.kill()


def moment(run: Path) -> str:
    """What a killed training was about, as its folder shows it."""
    if not (run / "run.json").exists():
        return "before the run was there"
    if list(run.rglob(".part-*")):
        return "writing"
    return "between writes" if list((run / "checkpoints").iterdir()) else "before a checkpoint"


def remaining(run: Path, straight: Straight) -> float:
    """The share of the time that is left; a start alone takes a fifth of it."""
    from gansaku.runs import manifest

    there = manifest.found(run / "checkpoints")
    return 1 - 0.8 * (manifest.seen(there[-1]) / max(straight.saved)) if there else 1.0


def check_killed(run: Path, straight: Straight, every_cycle: bool) -> None:
    """What a kill leaves: nothing that is called a checkpoint and is none, and no more lost than one interval."""
    from gansaku.runs import log, manifest

    there = manifest.listed(run / "checkpoints")
    damaged = [c for c in there if c["state"] != "good"]
    assert damaged == [], f"listed as checkpoints: {damaged}"
    for checkpoint in there:
        path = run / "checkpoints" / f"{checkpoint['seen']:012d}"
        digest = hashlib.sha256((path / manifest.TENSORS).read_bytes()).hexdigest()
        assert digest == straight.saved[checkpoint["seen"]], f"{path} is not what was saved there"
    logged = max((points[-1][0] for points in log.curves(run / "log.sqlite").values()), default=0)
    newest = max((checkpoint["seen"] for checkpoint in there), default=0)
    told = [event.seen for event in log.events(run / "log.sqlite") if event.kind == "save"]
    assert newest >= max(told, default=0), "a checkpoint that was there is gone"
    if every_cycle:
        assert logged - newest <= straight.interval, f"lost what was between {newest} and {logged} samples"


def check_ended(run: Path, straight: Straight) -> None:
    """All that the undisturbed training leaves, with the same bits; nothing that should not be there."""
    end = end_of(run)
    different = sorted(name for name in end.keys() | straight.end.keys() if end.get(name) != straight.end.get(name))
    assert different == [], f"other bits in {different}"
    ticks = ticks_of(run)
    wrong = sorted(name for name in ticks.keys() | straight.ticks.keys() if ticks.get(name) != straight.ticks.get(name))
    assert wrong == [], f"other ticks: {[(name, ticks.get(name), straight.ticks.get(name)) for name in wrong[:2]]}"
    sheets = {int(path.stem): hashlib.sha256(path.read_bytes()).hexdigest() for path in (run / "sheets").iterdir()}
    other = sorted(seen for seen, digest in straight.sheets.items() if sheets.get(seen) != digest)
    assert other == [], f"sheets after {other} samples are missing or others; there are {sorted(sheets)}"
    left = [str(path) for path in run.rglob(".part-*")]
    assert left == [], f"left behind: {left}"
    assert (run / "report.html").read_text().rstrip().endswith("</html>")


if __name__ == "__main__":
    serve()
