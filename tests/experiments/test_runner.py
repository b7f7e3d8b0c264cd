"""The order of work, by jobs that are numbers on a clock: nothing here starts a process or waits."""

import pytest

from gansaku.errors import DiskError, UsageError
from gansaku.experiments import runner
from gansaku.experiments.runner import RETRIES, SETTLED, Runner


class World:
    """A clock, jobs that end at their time with their code, and memory."""

    def __init__(self, takes=None, codes=None, free=100, holds=10, stop_at=None, jobs=2):
        self.time, self.takes, self.codes, self.jobs = 0.0, takes or {}, codes or {}, jobs
        self.memory, self.holds, self.stop_at = free, holds, stop_at
        self.results, self.said, self.begun, self.at_once, self.ended = set(), [], [], [], []
        self.running = []

    def runner(self):
        return Runner(
            start=self.start, done=lambda one: one in self.results, said=lambda one: f"{one} fell",
            room=self, stop=lambda: self.stop_at is not None and self.time >= self.stop_at, say=self.said.append,
            jobs=self.jobs, clock=lambda: self.time, nap=self.nap,
        )  # fmt: skip

    def nap(self, seconds):
        self.time += 1.0

    def free(self):
        return self.memory

    def held(self, job):
        return self.holds

    def start(self, one):
        tries = self.begun.count(one)
        self.begun.append(one)
        codes = self.codes.get(one, [0])
        job = Fake(self, one, self.time + self.takes.get(one, 30), codes[min(tries, len(codes) - 1)])
        self.running.append(job)
        self.at_once.append(sum(job.poll() is None for job in self.running))
        return job


class Fake:
    def __init__(self, world, one, end, code):
        self.world, self.one, self.end, self.code, self.asked = world, one, end, code, False

    def poll(self):
        if self.asked and self.world.time < self.end:
            return 143
        if self.world.time < self.end:
            return None
        if self.code == 0:
            self.world.results.add(self.one)
        return self.code

    def terminate(self):
        self.asked = True
        self.world.ended.append(self.one)

    kill = terminate


def test_everything_is_done_in_order_and_so_many_at_once():
    world = World()
    assert world.runner().work_down(list("abcde")) == 0
    assert world.begun == list("abcde")
    assert max(world.at_once) == 2


def test_what_has_a_result_is_not_done_again():
    world = World()
    world.results = {"a", "c"}
    world.runner().work_down(list("abc"))
    assert world.begun == ["b"]


def test_a_training_that_fell_goes_on_before_anything_new_begins():
    world = World(codes={"a": [1, 0]}, jobs=1)
    made = world.runner()
    assert made.work_down(list("abc")) == 0
    assert world.begun == list("aabc")
    assert made.given_up == {}
    assert "a: a fell; going on from its last checkpoint, 1 of 2 tries" in world.said


def test_one_that_always_falls_is_given_up_and_the_others_go_on():
    """It has no result: nobody knows what its training would have come to."""
    world = World(codes={"a": [1], "b": [-9]}, jobs=1)
    made = world.runner()
    assert made.work_down(list("abc")) == 2
    assert world.begun == ["a"] * (1 + RETRIES) + ["b"] * (1 + RETRIES) + ["c"]
    assert made.given_up == {"a": "a fell", "b": "b fell"}
    assert world.results == {"c"}


@pytest.mark.parametrize(("code", "error"), [(2, UsageError), (3, DiskError)])
def test_what_another_try_would_not_change_ends_it_all_and_says_why(code, error):
    world = World(codes={"b": [code]}, takes={"b": 40})
    with pytest.raises(error, match="b: cannot be trained: b fell"):
        world.runner().work_down(list("abcd"))
    assert world.ended == ["c"]  # asked to save


def test_asked_to_stop_all_save_and_the_next_time_goes_on():
    world = World(stop_at=45)
    assert world.runner().work_down(list("abcd")) == 3
    assert set(world.ended) == {"b", "c"}
    world.stop_at = None
    assert world.runner().work_down(list("abcd")) == 0


def test_a_second_one_waits_until_it_is_known_what_the_first_one_takes():
    world = World()
    begun = []
    world.start = lambda one, start=world.start: begun.append((one, world.time)) or start(one)
    world.runner().work_down(list("abc"))
    assert dict(begun)["b"] == SETTLED
    assert dict(begun)["c"] < SETTLED + 30  # from then on it is known


@pytest.mark.parametrize(("free", "holds", "most"), [(100, 10, 3), (12, 10, 1), (13, 10, 3), (None, 10, 3), (5, None, 3)])
def test_no_more_begin_than_there_is_memory_for(free, holds, most):
    """A quarter more than the largest one holds must be free. Where the system says nothing, as many as are allowed."""
    world = World(free=free, holds=holds, jobs=3, takes=dict.fromkeys("abc", 100))
    world.runner().work_down(list("abc"))
    assert max(world.at_once) == most


def test_one_that_does_not_end_when_it_is_asked_is_ended():
    class Stubborn(Fake):
        def poll(self):
            return None if not self.killed else -9

        killed = False

        def terminate(self):
            pass

        def kill(self):
            self.killed = True
            self.world.ended.append(self.one)

    world = World(stop_at=5)
    world.start = lambda one: Stubborn(world, one, 0, 0)
    assert world.runner().work_down(["a"]) == 1
    assert world.ended == ["a"]
    assert world.time >= runner.PATIENCE
