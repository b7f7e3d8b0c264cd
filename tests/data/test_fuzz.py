"""A thousand damaged files keep the law: a sound result or an error of this program's own, in bounded time and memory.

The same inputs each time; `make fuzz` goes on with others for as long as one likes.
"""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tools"))
import fuzz  # noqa: E402

INPUTS = 100  # for each target


def test_damaged_files_are_read_or_refused_and_nothing_else(tmp_path):
    command = [sys.executable, str(ROOT / "tools" / "fuzz.py"), "--inputs", str(INPUTS), "--keep", str(tmp_path / "kept")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    *told, summary = done.stdout.splitlines()
    assert summary == f"{INPUTS * len(fuzz.TARGETS):,} inputs, 0 of them broke the law"
    assert all(line.endswith(", in libhdf5") for line in told), told


def test_each_way_of_breaking_the_law_is_seen(monkeypatch, tmp_path):
    """A target that does what it may not with the numbers it is given; the fuzz goes on after each."""

    def read(content, folder):
        kind = content[0] % 4
        if kind == 1:
            raise KeyError("an exception of another kind")
        if kind == 2:
            bytearray(b"\1") * (100 << 20)
        if kind == 3:
            while True:
                pass

    target = fuzz.Target(lambda: [bytes([kind]) for kind in range(4)], read)
    monkeypatch.setitem(fuzz.TARGETS, "broken", target)
    monkeypatch.setattr(fuzz, "SECONDS", 0.5)
    monkeypatch.setattr(fuzz, "MOST_MEMORY", 50 << 20)
    monkeypatch.setattr(fuzz, "input_of", lambda name, seed, number: bytes([number]))
    fuzz.seeds_of.cache_clear()
    found = list(fuzz.tried("broken", 0, 0, 8))
    assert [one.number for one in found] == [1, 2, 3, 5, 6, 7]
    assert ["KeyError" in found[0].why, "MiB" in found[1].why, "too long" in found[2].why] == [True] * 3


def test_an_input_can_be_made_again():
    for name in ("binvox", "recipe", "tensors"):
        inputs = [fuzz.input_of(name, 3, number) for number in range(20)]
        assert inputs == [fuzz.input_of(name, 3, number) for number in range(20)]
        assert len(set(inputs)) > 10
