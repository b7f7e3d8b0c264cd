"""What a training leaves in its folder while it runs: log, checkpoints, sheets, report.

Checkpoints matter: when one cannot be written, the training waits, tries again and at last stops, with the previous one
as it was. The rest does not: a log, sheet or report that cannot be written is told of and never stops a training.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial

from gansaku import files
from gansaku.errors import DiskError, GansakuError, RunError
from gansaku.evaluation.flatness import flat
from gansaku.health.updates import weights
from gansaku.listener import Listener
from gansaku.metrics.passport import Score
from gansaku.recipe import Recipe, to_toml
from gansaku.runs import checkpoint, manifest, phases
from gansaku.runs.alarms import Alarms
from gansaku.runs.folder import Folder
from gansaku.runs.live import Abandoned, Live
from gansaku.runs.log import Log
from gansaku.runs.log import scores as scores_of
from gansaku.runs.looks import Looks
from gansaku.runs.phase_ends import PhaseEnds
from gansaku.runs.report import Report
from gansaku.runs.scoring import is_best, note_best
from gansaku.runs.signals import write_meanings
from gansaku.runs.watchers import check_sound, drawing, paced, recording, sheet_moments, tick
from gansaku.training.loop import Watcher, always, every
from gansaku.training.state import State

CHECKPOINT_SECONDS = 120.0
KEPT = 2  # checkpoints, beside the pinned and the best ones
WAITS = (1.0, 2.0, 4.0)  # seconds before a checkpoint is tried again
TOLD = 60.0  # seconds between two complaints about the same thing
REPORT_SHARE = 0.01  # of the time may go into the report


class Recorder:
    """Writes a run's folder. `asked` says whether somebody wants the training to stop: then nobody waits for a disk."""

    def __init__(
        self,
        folder: Folder,
        recipe: Recipe,
        count: int,
        listener: Listener,
        asked: Callable[[], bool] = lambda: False,
        live: Live | None = None,
        looks: Looks | None = None,
    ):
        self._folder, self._recipe, self._count, self._listener = folder, recipe, count, listener
        self._asked, self._live, self._looks = asked, live, looks
        about = folder.read_about()  # the first runs had neither name nor identity
        self._name, self._identity = about.get("name", folder.path.name), about.get("id", "")
        self._classes = about["data"]["classes"]
        self._report = Report(folder)
        self._alarms = Alarms(folder.log)
        self._log: Log | None = None
        self._starting: int | None = None  # samples seen at a start that the log does not know yet
        self._told: dict[str, float] = {}
        self._reported = time.monotonic()
        self.flat = ""  # why training may end, once its score is
        self.costs: dict[str, float] = {}  # seconds that the last checkpoint, sheet and report took

    def begin(self, seen: int, sentence: str) -> None:
        """A new attempt that starts after `seen` samples."""
        self._starting = seen
        self.event(seen, "start", sentence)
        if self._looks is not None:
            self.careful("signals", partial(write_meanings, self._folder, self._looks.meanings))
        if self._recipe.growth is not None:
            self.careful("phases", lambda: phases.write(self._folder, phases.spans(self._recipe)))

    def watchers(self, state: State) -> list[Watcher]:
        """What is to be called while a training that stands at `state` runs."""
        scoring = [] if self._live is None else [self._live.watcher(self.score, self._asked)]
        looking = [] if self._looks is None else [self._watching(self._looks)]
        growing = []
        if self._recipe.growth is not None:
            ends = PhaseEnds(self, self._recipe, self._folder, self._live, self._name, self._classes)
            growing.append(ends.watcher(state))
        return [
            *recording(self._recipe, state.seen, self.tick, start=weights(state)),
            *looking,
            # before the checkpoint: a sheet that a kill prevented is drawn again on the way from the one before
            drawing(self._recipe, sheet_moments(self._count, self._recipe.length), self.draw, self._name, self._classes),
            *growing,
            Watcher(paced(always, CHECKPOINT_SECONDS), lambda state, signals: self.save(state)),
            *scoring,  # last: a checkpoint that is there takes its scores
        ]

    def tick(self, seen: int, numbers: Mapping[str, float]) -> None:
        """Numbers go to the log and to whoever listens; the report is written again where that costs little."""
        self._logged(lambda log: log.write(seen, numbers))
        self._listener.tick(seen, self._recipe.length, numbers)
        if time.monotonic() - self._reported > self.costs.get("report", 0.0) / REPORT_SHARE:
            self.report()

    def _watching(self, looks: Looks) -> Watcher:
        """Looks for signals; what goes wrong in one is told of and stops no training."""

        def tell(seen: int, numbers: dict[str, float], problems: list[str]) -> None:
            self._logged(lambda log: log.write(seen, numbers))
            for problem in problems:
                self._tell(problem.partition(":")[0], f"{problem}; training goes on")
            for told in self._alarms.after(seen, numbers):
                self.event(seen, told.kind, told.sentence)
                self.say(f"{told.kind} after {seen:,} samples: {told.sentence}")

        watcher = looks.watcher(every(tick(self._recipe)), tell, self._asked)
        return Watcher(watcher.due, lambda state, signals: self.careful("signals", partial(watcher.act, state, signals)))

    def asked(self) -> bool:
        """Whether somebody wants the training to stop."""
        return self._asked()

    def say(self, sentence: str) -> None:
        """To whoever listens."""
        self._listener.say(sentence)

    def event(self, seen: int, kind: str, sentence: str) -> None:
        self._logged(lambda log: log.event(seen, kind, sentence))

    def end(self, seen: int, kind: str, sentence: str) -> None:
        """The attempt is over: its last event, and the report."""
        why = "" if self._live is None else self._live.why_none()
        if why:
            self._listener.say(why)
        self.event(seen, kind, f"{sentence}; {why}" if why else sentence)
        self.report()

    def save(self, state: State, prune: bool = True) -> None:
        """A checkpoint of a sound state. Raises Stopped when it is not sound, DiskError when the disk does not take it."""
        check_sound(state)
        started = time.monotonic()
        for wait in (*WAITS, None):
            try:
                checkpoint.save(self._folder.checkpoints, state, self._identity)
                break
            except DiskError as error:
                if wait is None or self._asked():
                    raise
                self._tell("checkpoint", f"{error}; trying again in {wait:.0f} s")
                self._pause(wait)
        with suppress(DiskError, RunError):  # an old one that cannot be removed is removed the next time
            if prune:
                manifest.prune(self._folder.checkpoints, KEPT)
        self.costs["checkpoint"] = time.monotonic() - started
        self.event(state.seen, "save", f"checkpoint after {state.seen:,} samples")

    def rolled_back(self, state: State, why: str) -> None:
        """A new attempt, from where a rollback went to."""
        change = f"learning rates × {0.5**state.rollbacks:g}, other noise"
        sentence = f"back to {state.seen:,} samples, {change}; rollback {state.rollbacks}: {why}"
        self._listener.say(sentence)
        self._starting = state.seen
        self.event(state.seen, "rollback", sentence)
        self._alarms = Alarms(self._folder.log)  # as they stood there

    def score(self, state: State, make: Callable[[], list[Score]]) -> None:
        """Scores go to the log and to whoever listens; the best so far by the first of them gets a checkpoint.

        Raises Stopped when the state is not sound; what else goes wrong stops no training.
        """
        check_sound(state)

        def score() -> None:
            with suppress(Abandoned):
                self._score(state, make())

        self.careful("score", score)

    def _score(self, state: State, scores: list[Score]) -> None:
        if not scores:
            return
        best = self.keep(state, scores)
        told = ", ".join(f"{score.name} {score.value:.4g}" for score in scores)
        self._listener.say(f"after {state.seen:,} samples: {told}{', the best so far' if best else ''}")
        if self._live is not None and self._live.until_flat is not None and self._live.grown(state.seen):
            self.careful("score", partial(self._watch_for_flat, scores[0], self._live.until_flat))
        if self._live is not None:  # the share before this score, which is not over yet
            self._logged(partial(Log.write, seen=state.seen, numbers={"scores/share_of_time": self._live.taken}))

    def keep(self, state: State, scores: list[Score]) -> bool:
        """Scores go to the log; the best so far by the first of them gets a checkpoint. Returns whether it is that."""
        for score in scores:
            self._logged(partial(Log.score, seen=state.seen, score=score))
        path = manifest.place(self._folder.checkpoints, state.seen)
        best = is_best(self._folder.checkpoints, scores[0])
        if best and not manifest.sound(path):
            self.save(state, prune=False)
        if path.is_dir():
            note_best(path, scores)
        return best

    def store(self, recipe: Recipe) -> None:
        """What the run goes on with is another recipe from now on. Raises DiskError."""
        files.write_text(self._folder.recipe, to_toml(recipe))

    def _watch_for_flat(self, score: Score, share: float) -> None:
        """Whether all that the log has of this score says that it will hardly become better."""
        points = [(seen, one.value) for seen, one in scores_of(self._folder.log) if one.name == score.name]
        found = flat(points, score.better, share)
        self.flat = "" if found is None else found.sentence(score.name)

    def draw(self, seen: int, make: Callable[[], bytes]) -> None:
        """A sheet."""
        self.careful("sheet", lambda: files.write_bytes(self._folder.sheet(seen), make()))

    def report(self) -> None:
        """The report, as things stand."""
        self.careful("report", self._report.write)
        self._reported = time.monotonic()

    def closing(self) -> float:
        """Seconds that it will take to leave everything in order."""
        writing = sum(seconds for what, seconds in self.costs.items() if what != "score")
        return writing + (0.0 if self._live is None else self._live.closing())

    def close(self) -> None:
        if self._log is not None:
            self._log.close()

    def _logged(self, act: Callable[[Log], None]) -> None:
        def do() -> None:
            if self._log is None:
                self._log = Log(self._folder.log)
            if self._starting is not None:  # the attempt that could not be noted before
                before = self._log.attempt
                try:
                    self._log.begin(self._starting)
                except DiskError:
                    if self._log.attempt == before:
                        raise
                self._starting = None  # noted, or waiting to be
            act(self._log)

        self.careful("log", do)

    def careful(self, what: str, act: Callable[[], object]) -> None:
        """Do it; when it fails, for whatever reason, say so, at most once a minute for each thing."""
        started = time.monotonic()
        try:
            act()
        except Exception as error:
            said = str(error) if isinstance(error, GansakuError) else f"{what}: {type(error).__name__}: {error}"
            self._tell(what, f"{said}; training goes on")
        self.costs[what] = time.monotonic() - started

    def _tell(self, what: str, sentence: str) -> None:
        now = time.monotonic()
        if now - self._told.get(what, -TOLD) >= TOLD:
            self._told[what] = now
            self._listener.say(sentence)

    def _pause(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end and not self._asked():
            time.sleep(0.05)
