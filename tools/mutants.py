"""Mutants of the code that keeps a training safe. Each must turn a test red, or the tests show less than they say.

    python tools/mutants.py [--only WORD] [--jobs 1] [--root FOLDER]

The tree is copied to a temporary folder; there one piece of code at a time is broken, and the tests named beside it run
until one fails. Exit code 1 when a mutant survives, or when its code is no longer there to be broken.
"""

from __future__ import annotations

import argparse
import os
import queue
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

CHECKPOINT, DISK, POWER = "tests/runs/test_checkpoint.py", "tests/runs/test_disk.py", "tests/runs/test_power_loss.py"
DAMAGE, RETENTION, LOG = "tests/runs/test_damage.py", "tests/runs/test_retention.py", "tests/runs/test_log.py"
SECONDS = 300  # for the tests of one mutant; a mutant that hangs is found, too


class Mutant(NamedTuple):
    """`old` in `file` becomes `new`; one of `tests` (a file, then words of the names) fails."""

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, str]


# what a checkpoint brings back

STATE = "training/state.py"
CONTINUED = (DAMAGE, "continued_from_its_checkpoint")
NAMED = 'if not name.startswith(("memory/", "optimizer/"))'
SLOTS = "    for slot, value in stored.items():\n"
COUNTS = 'numbers["seen"], numbers["turns"], numbers.get("rollbacks", 0)'
PLACES = 'tuple(numbers["size"]), dict(numbers["moves"])'


def unloaded(what: str, condition: str) -> Mutant:
    return Mutant(f"{what} not loaded", STATE, NAMED, f"{NAMED} and not ({condition})", CONTINUED)


def zeroed(slot: str) -> Mutant:
    new = f"{SLOTS}        value = value * 0 if slot == {slot!r} else value\n"
    return Mutant(f"{slot} reset", STATE, SLOTS, new, CONTINUED)


def counted(what: str, old: str, new: str) -> Mutant:
    return Mutant(what, STATE, old, new, CONTINUED)


LOADED = [
    unloaded("weights of the generator", "name.startswith('net/generator/') and name.endswith(('weight', 'bias', 'original'))"),
    unloaded("weights of the discriminator", "name.startswith('net/disc') and name.endswith(('weight', 'bias', 'original'))"),
    unloaded("running statistics of batch norm", "name.startswith('net/') and 'running_' in name"),
    unloaded("batch norm's count", "name.startswith('net/') and 'num_batches' in name"),
    unloaded("vectors of spectral norm", "name.startswith('net/') and name.endswith('._v')"),
    unloaded("weight average", "name.startswith('ema/') and 'running_' not in name"),
    unloaded("buffers of the weight average", "name.startswith('ema/') and 'running_' in name"),
    unloaded("vectors of the average's spectral norm", "name.startswith('ema/') and name.endswith('._v')"),
    zeroed("exp_avg"),
    zeroed("exp_avg_sq"),
    zeroed("step"),
    Mutant("moments not loaded", STATE, "    if not stored:\n        return\n    mine", "    return\n    mine", CONTINUED),
    Mutant("moments of one player not loaded", STATE, "restore_slots(optimizer, parameter, slots(",
           "player == 'generator' or restore_slots(optimizer, parameter, slots(", CONTINUED),
    Mutant("memory not loaded", STATE,
           'state.memory = {name: stored[f"memory/{name}"].to(state.device) for name in state.memory}', "pass", CONTINUED),
    Mutant("memory not saved", STATE,
           'found: dict[str, Tensor] = {f"memory/{name}": value for name, value in state.memory.items()}',
           "found: dict[str, Tensor] = {}", CONTINUED),
    Mutant("weight average not saved", STATE, 'for kind, nets in (("net", state.nets), ("ema", state.ema)):',
           'for kind, nets in (("net", state.nets),):', CONTINUED),
    Mutant("moments not saved", STATE, "for slot, value in optimizer.state.get(parameter, {}).items():",
           "for slot, value in {}.items():", CONTINUED),
    counted("seen not loaded", COUNTS, COUNTS.replace('numbers["seen"]', "0")),
    counted("turns not loaded", COUNTS, COUNTS.replace('numbers["turns"]', "0")),
    counted("one turn too many", COUNTS, COUNTS.replace('numbers["turns"]', 'numbers["turns"] + 1')),
    counted("rollbacks not loaded", COUNTS, COUNTS.replace('numbers.get("rollbacks", 0)', "0")),
    counted("size not loaded", PLACES, PLACES.replace('tuple(numbers["size"])', "state.size")),
    counted("moves not loaded", PLACES, PLACES.replace('dict(numbers["moves"])', "state.moves")),
    Mutant("moments contiguous", STATE, "torch.empty_like(parameter, requires_grad=False)", "torch.empty(parameter.shape)",
           (CHECKPOINT, "memory_order")),
]  # fmt: skip

# how it is written

FILES, SAVE, MANIFEST = "files.py", "runs/checkpoint.py", "runs/manifest.py"
RECORDER, OPENING, FOLDER = "runs/recorder.py", "runs/opening.py", "runs/folder.py"
SWEEP = (DISK, "full_disk_at_any_operation")
REPLAY = (POWER, "power_loss_at_any_moment")
SEQUENCES = (RETENTION, "whatever_is_saved")

WRITTEN = [
    Mutant("older ones deleted before writing", SAVE, "    with files.replacing(path, size(held) + len(numbers))",
           "    for older in manifest.found(folder):\n        files.remove(older)\n"
           "    with files.replacing(path, size(held) + len(numbers))", SEQUENCES),
    Mutant("written under its own name", FILES, '    temporary = path.with_name(f"{TEMPORARY}{os.getpid()}-{path.name}")\n',
           '    temporary = path.with_name(f"{TEMPORARY}{os.getpid()}-{path.name}") if path.suffix else path\n', SEQUENCES),
    Mutant("temporary files in /tmp", FILES, '    temporary = path.with_name(f"{TEMPORARY}{os.getpid()}-{path.name}")\n',
           '    temporary = Path("/tmp", f"{TEMPORARY}{os.getpid()}-{path.name}")\n', (DISK, "outside_the_run_and_the_cache")),
    Mutant("no file is synced", FILES, "                os.fsync(opened.fileno())\n", "                pass\n",
           (POWER, "said_to_be_synced")),
    Mutant("no file is said to be synced", FILES, '                faults.reached("fsync", file)\n', "                pass\n",
           REPLAY),
    Mutant("no folder is synced", FILES, "            os.fsync(descriptor)\n", "            pass\n", (POWER,
           "said_to_be_synced")),
    Mutant("the folder above is not synced", FILES, "        synchronize_folder(path.parent)\n    finally:", "    finally:",
           REPLAY),
    Mutant("nothing is synced before the rename", FILES, "        synchronize(temporary)\n", "", REPLAY),
    Mutant("what failed is left there", FILES,
           "        with suppress(DiskError):  # what cannot be removed now is swept at the next start\n"
           "            remove(temporary)\n", "        pass\n", (DISK, "whatever_operation_fails")),
    Mutant("a write that was done in part is not carried on", FILES, "            while done < len(part):\n",
           "            if done < len(part):\n", (DISK, "in_part")),
    Mutant("the error names the temporary file", FILES, "    where, reason = str(final(path)),",
           "    where, reason = str(path),",
           SWEEP),
    Mutant("a refused write has another exit code", "errors.py", '"""A file could not be written."""\n\n    exit_code = 3',
           '"""A file could not be written."""\n\n    exit_code = 1', (DISK, "tried_three_times")),
    Mutant("nobody asks for room", FILES, "    if there is not None and there < needs:", "    if False:",
           (DISK, "cannot_fit or no_room_to_continue")),
    Mutant("an unknown room is none", FILES, "    if there is not None and there < needs:",
           "    if there is None or there < needs:",
           (DISK, "does_not_say_what_is_free")),
    Mutant("leftovers are not swept", FILES, '    for leftover in folder.glob(f"{TEMPORARY}*"):\n', "    for leftover in ():\n",
           (DISK, "killed_writers")),
    Mutant("the manifest is removed last", FILES, "        for inner in sorted(path.iterdir()):",
           "        for inner in sorted(path.iterdir(), reverse=True):", SEQUENCES),
    Mutant("a new folder is not synced", FILES, "        path.mkdir(exist_ok=True)\n    synchronize_folder(path.parent)\n",
           "        path.mkdir(exist_ok=True)\n", REPLAY),
    Mutant("what HDF5 could not write is forgotten", FILES, "    if file.failure is not None:\n", "    if False:\n",
           (DISK, "whatever_operation_fails or may_not_grow")),
    Mutant("run.json before the recipe", FOLDER,
           "        files.write_text(self.recipe, recipe_toml)\n        files.write_json(self.about, about)",
           "        files.write_json(self.about, about)\n        files.write_text(self.recipe, recipe_toml)", REPLAY),
    Mutant("a damaged one of the same name is kept", SAVE, "        if manifest.sound(path) and ", "        if ", REPLAY),
    Mutant("the data's rows are written in place", "data/store.py", "    with files.replacing(path) as temporary:\n",
           "    import contextlib\n    with contextlib.nullcontext(path) as temporary:\n", (DISK, "whatever_operation_fails")),
]  # fmt: skip

# how it is read and kept

READ = [
    Mutant("no digest is compared", MANIFEST, "        if describe(path / name) != ",
           "        if False and describe(path / name) != ",
           (DAMAGE, "truncation or flipped")),
    Mutant("only the size is compared", MANIFEST,
           '"sha256": hashlib.file_digest(opened, "sha256").hexdigest()}',
           '"sha256": json.loads((file.parent / MANIFEST).read_text())["files"].get(file.name, {}).get("sha256")}',
           (DAMAGE, "flipped")),
    Mutant("loaded without being checked", SAVE, "    manifest.check(path)\n", "", (DAMAGE, "truncation or flipped")),
    Mutant("a damaged one is used without a word", MANIFEST, "            sentences.append(str(error))\n",
           "            return path, []\n", (DAMAGE, "not_its_own or same_command")),
    Mutant("a damaged one is passed over without a word", MANIFEST, "            sentences.append(str(error))\n",
           "            pass\n", (DAMAGE, "not_its_own or same_command")),
    Mutant("the manifest's own digest is not compared", MANIFEST, '!= digest(manifest):', '!= digest(manifest) and False:',
           (DAMAGE, "flipped")),
    Mutant("a renamed one is used", MANIFEST, '    if manifest.get("seen", seen(path)) != seen(path):', "    if False:",
           (DAMAGE, "renamed")),
    Mutant("where all are damaged it begins anew", OPENING, "    if newest is None and damaged:", "    if False:",
           (DAMAGE, "no_sound_checkpoint")),
    Mutant("notes that cannot be read pin nothing", MANIFEST, "        return Notes(pinned=True)", "        return Notes()",
           (DAMAGE, "damaged_notes")),
    Mutant("a newer layout is damage", MANIFEST, '            if error.code == "CKPT_VERSION":', '            if False:',
           (DAMAGE, "newer_program")),
    Mutant("another run's is loaded", SAVE, '    if run and numbers.get("run", run) not in ("", run):', "    if False:",
           (DAMAGE, "another_run")),
    Mutant("nobody listens to what was damaged", OPENING, 'listener.say(f"{sentence}; the one', 'str(f"{sentence}; the one',
           (DAMAGE, "same_command")),
    Mutant("sorted as text", MANIFEST, " (p / MANIFEST).is_file()), key=seen)", " (p / MANIFEST).is_file()), key=str)",
           (RETENTION, "by_number")),
    Mutant("sorted by time", MANIFEST, " (p / MANIFEST).is_file()), key=seen)",
           " (p / MANIFEST).is_file()), key=lambda p: p.stat().st_mtime)", (RETENTION, "by_number")),
    Mutant("pruned before the newest is verified", MANIFEST, "    if not there or not sound(there[-1]):", "    if not there:",
           (DAMAGE, "nothing_is_pruned")),
    Mutant("one less is kept", MANIFEST, "*places[-max(1, newest) :]", "*places[-max(1, newest - 1) :]",
           (RETENTION, "each_score_stay")),
    Mutant("one more is kept", MANIFEST, "*places[-max(1, newest) :]", "*places[-max(1, newest + 1) :]",
           (RETENTION, "each_score_stay")),
    Mutant("none may be kept", MANIFEST, "*places[-max(1, newest) :]", "*(places[-newest:] if newest else ())",
           (RETENTION, "each_score_stay")),
    Mutant("pinned ones go", MANIFEST, ", *[i for i in places if noted[i].pinned]}", "}", (RETENTION, "each_score_stay")),
    Mutant("the worst is the best", MANIFEST, "stay.add(min(good)[1])", "stay.add(max(good)[1])", (RETENTION,
           "each_score_stay")),
    Mutant("higher is never better", MANIFEST, "(s.value if s.lower else -s.value, i)", "(s.value, i)",
           (RETENTION, "each_score_stay")),
    Mutant("NaN is the best", MANIFEST, " for s, i in scored if not math.isnan(s.value)]", " for s, i in scored]",
           (RETENTION, "each_score_stay or fifty")),
    Mutant("the lock is not taken", "runs/lock.py", "        if not taken:\n", "        if False:\n", (DISK,
           "another_training")),
]  # fmt: skip

# what goes on when something fails

GOING_ON = [
    Mutant("a checkpoint is never tried again", RECORDER, "        for wait in (*WAITS, None):", "        for wait in (None,):",
           (DISK, "tried_three_times or other_error")),
    Mutant("a checkpoint is tried for ever", RECORDER, "                if wait is None or self._asked():",
           "                wait = wait or 0.0\n                if len(self._told) > 99:", (DISK, "tried_three_times")),
    Mutant("a checkpoint that cannot be written is forgotten", RECORDER,
           "                if wait is None or self._asked():\n                    raise\n",
           "                if wait is None or self._asked():\n                    break\n", (DISK, "tried_three_times")),
    Mutant("an old one that cannot be removed ends it", RECORDER, "        with suppress(DiskError, RunError):",
           "        with suppress(RunError):", SWEEP),
    Mutant("a failing log ends it", RECORDER, '        self._logged(lambda log: log.write(seen, numbers))\n',
           '        Log(self._folder.log).write(seen, numbers)\n', (DISK, "log_sheets_or_report")),
    Mutant("whatever fails ends it", RECORDER, '            self._tell(what, f"{error}; training goes on")\n',
           "            raise\n",
           (DISK, "log_sheets_or_report")),
    Mutant("a sheet that cannot be written ends it", RECORDER,
           '        self._careful("sheet", lambda: files.write_bytes(self._folder.sheet(seen), make()))\n',
           "        files.write_bytes(self._folder.sheet(seen), make())\n", (DISK, "log_sheets_or_report")),
    Mutant("a report that cannot be written ends it", RECORDER, '        self._careful("report", self._report.write)\n',
           "        self._report.write()\n", (DISK, "log_sheets_or_report")),
    Mutant("it complains each time", RECORDER, "        if now - self._told.get(what, -TOLD) >= TOLD:", "        if True:",
           (DISK, "log_sheets_or_report")),
    Mutant("a state that is not finite is saved", RECORDER, "        check_sound(state)\n        started", "        started",
           (DISK, "never_saved")),
    Mutant("a start that the log did not take is forgotten", RECORDER, "                    if self._log.attempt != before:",
           "                    if True:", (DISK, "did_not_take")),
    Mutant("a start that no log was there for is forgotten", RECORDER, "            if self._starting is not None:",
           "            if self._starting is not None and self._log.attempt:", (DISK, "cannot_be_begun")),
    Mutant("rows that wait for a disk are lost", "runs/log.py", "        self._waiting.extend(statements)\n",
           "        self._waiting.clear()\n        self._waiting.extend(statements)\n", (DISK, "every_row")),
    Mutant("rows that were overtaken are shown", "runs/log.py", "not exists (select 1 from attempts a",
           "exists (select 1 from attempts a",
           (LOG, "overtook")),
    Mutant("rows of every attempt are shown", "runs/log.py",
           "not exists (select 1 from attempts a where a.attempt > t.attempt and a.start < t.seen)", "1 = 1", (LOG,
           "overtook")),
]  # fmt: skip

MUTANTS = [*LOADED, *WRITTEN, *READ, *GOING_ON]


class Outcome(NamedTuple):
    """How it went: `caught`, `survived`, or why it was no mutant; the test that failed, and seconds."""

    what: str
    by: str
    seconds: float


def copied(root: Path, folder: Path) -> Path:
    """A copy of what the tests need."""
    for name in ("src", "tests"):
        shutil.copytree(root / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(root / "pyproject.toml", folder)
    return folder


def run(tree: Path, tests: tuple[str, str]) -> tuple[int, str]:
    """The exit code of pytest and what it said; 1: a test failed."""
    environment = {**os.environ, "PYTHONPATH": str(tree / "src"), "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    flags = ["-x", "-q", "--tb=no", "-rfE", "-p", "no:cacheprovider"]
    command = [sys.executable, "-m", "pytest", *flags, tests[0], "-k", tests[1]]
    try:
        done = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return 1, "FAILED ::no end within the time"
    return done.returncode, done.stdout + done.stderr


def tried(mutant: Mutant, tree: Path) -> Outcome:
    """Break the code in the tree, run the tests, mend it."""
    started = time.monotonic()
    path = tree / "src" / "gansaku" / mutant.file
    sound = path.read_text()
    if sound.count(mutant.old) != 1:
        return Outcome(f"its code is there {sound.count(mutant.old)} times", "", 0.0)
    try:
        path.write_text(sound.replace(mutant.old, mutant.new))
        code, said = run(tree, mutant.tests)
    finally:
        path.write_text(sound)
    failed = re.search(r"^(?:FAILED|ERROR) \S*?::(.*?)(?: - .*)?$", said, re.M)
    if code == 1 and failed:
        return Outcome("caught", failed[1], time.monotonic() - started)
    if code == 0:
        return Outcome("SURVIVED", "", time.monotonic() - started)
    return Outcome(f"no test could tell: pytest ended with {code}", said.strip()[-300:], time.monotonic() - started)


def sound_tests(tree: Path, mutants: Sequence[Mutant]) -> list[str]:
    """Those of the tests that fail although nothing is broken: they would show nothing."""
    wanted: dict[str, list[str]] = {}
    for mutant in mutants:
        wanted.setdefault(mutant.tests[0], []).append(mutant.tests[1])
    found = {file: run(tree, (file, " or ".join(dict.fromkeys(words)))) for file, words in wanted.items()}
    return [f"{file}: {said.strip()[-500:]}" for file, (code, said) in found.items() if code != 0]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="mutants with this word in their name, or the one of this number")
    parser.add_argument("--jobs", type=int, default=1, help="how many at a time, each in a tree of its own")
    parser.add_argument("--root", type=Path, default=Path(__file__).resolve().parents[1], help="the tree to copy")
    given = parser.parse_args()
    chosen = {i: m for i, m in enumerate(MUTANTS, 1) if given.only in m.name or given.only == str(i)}
    started, alive = time.monotonic(), []
    with tempfile.TemporaryDirectory(prefix="mutants-") as name, ThreadPoolExecutor(given.jobs) as pool:
        trees: queue.Queue[Path] = queue.Queue()
        for i in range(given.jobs):
            trees.put(copied(given.root, Path(name, str(i))))

        def one(mutant: Mutant) -> Outcome:
            tree = trees.get()
            try:
                return tried(mutant, tree)
            finally:
                trees.put(tree)

        tree = trees.get()
        red = sound_tests(tree, list(chosen.values()))
        trees.put(tree)
        if red:
            print("red although nothing is broken:", *red, sep="\n")
            return 1
        print(f"{'':3} {'mutant':52} {'s':>4}  caught by")
        for (number, mutant), outcome in zip(chosen.items(), pool.map(one, chosen.values()), strict=True):
            told = outcome.by if outcome.what == "caught" else f"{outcome.what} {outcome.by}"
            print(f"{number:3} {mutant.name:52} {outcome.seconds:4.0f}  {told}", flush=True)
            if outcome.what != "caught":
                alive.append(mutant.name)
    print(f"{len(chosen) - len(alive)} of {len(chosen)} caught in {time.monotonic() - started:.0f} s")
    return 1 if alive else 0


if __name__ == "__main__":
    sys.exit(main())
