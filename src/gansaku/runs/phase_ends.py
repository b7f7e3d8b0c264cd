"""What happens when a stable phase of a growth ends: its sheet, its score at its own size, and the gate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from gansaku import files, ranks
from gansaku.contract import Signals
from gansaku.errors import Stopped
from gansaku.metrics.passport import Score
from gansaku.recipe import Recipe
from gansaku.runs import log
from gansaku.runs.folder import Folder
from gansaku.runs.live import Live
from gansaku.runs.phase_verdicts import Found, number, of_phases
from gansaku.runs.phases import SHEETS, Span, ends, named, sheet_name, spans
from gansaku.runs.watchers import check_sound, sheet_png
from gansaku.schedules import Levels
from gansaku.training.loop import Watcher
from gansaku.training.state import State

if TYPE_CHECKING:
    from gansaku.runs.recorder import Recorder

LONGER = 2  # times that a gate lengthens a phase by its own length
ENDED, ALARM = "phase", "alarm"  # kinds of events
CURE = "a larger batch or a lower learning rate at this size, or longer phases, may help"


class Lengthened(Exception):
    """A gate has made a phase longer and has stored the recipe; the training goes on with it."""

    def __init__(self, recipe: Recipe):
        super().__init__(recipe.name)
        self.recipe = recipe


class PhaseEnds:
    """Looks at each stable phase of a run when it ends. Where a start finds one that nobody has looked at, it does so then."""

    def __init__(
        self, recorder: Recorder, recipe: Recipe, folder: Folder, live: Live | None, name: str, classes: Sequence[str]
    ):
        self._recorder, self._recipe, self._folder, self._live = recorder, recipe, folder, live
        self._name, self._classes = name, classes
        self._spans = spans(recipe)
        self._looked = 0  # samples seen up to which every end was looked at

    def watcher(self, state: State) -> Watcher:
        """Acts when a phase has ended. The training stands at `state`."""
        self._looked = state.seen
        missed = self._missed(state.seen)
        if missed is not None:
            with ranks.alone():  # as all watchers act
                self._look(state, missed)

        def act(state: State, signals: Signals) -> None:
            span = self._ended(self._looked, state.seen)
            self._looked = state.seen
            if span is not None:
                self._look(state, span)

        return Watcher(lambda before, after: self._ended(before, after) is not None, act)

    def _ended(self, before: int, after: int) -> Span | None:
        """The stable phase that ended between two moments; the last one of several."""
        return next((span for span in reversed(ends(self._spans)) if before < span.stop <= after), None)

    def _missed(self, seen: int) -> Span | None:
        """The stable phase that ended with the cycle that led here, if nobody has looked at it: a start ended just then."""
        batches = sum(move.real == "new" for move in self._recipe.cycle)
        span = next((s for s in ends(self._spans) if s.stop <= seen < s.stop + batches * s.batch), None)
        if span is None:
            return None
        happened = log.events(self._folder.log)
        looked = any(span.stop <= e.seen <= seen and e.sentence.startswith(ends_after(span.size, e.seen)) for e in happened)
        return None if looked else span

    def _look(self, state: State, span: Span) -> None:
        """Sheet, scores, verdict. Raises Stopped or Lengthened where the gate says so."""
        check_sound(state)
        if self._recorder.asked():  # somebody wants to stop; the next start looks at it
            return
        phase = self._recipe.phase(span.stop - 1)
        path = self._folder.path / SHEETS / sheet_name(span.size)

        def draw() -> None:
            files.make_folder(path.parent)
            files.write_bytes(path, sheet_png(self._recipe, state, self._name, self._classes, phase))

        self._recorder.careful("sheet", draw)
        found: list[Found] = []
        if self._live is not None:
            self._recorder.careful("score", lambda: found.append(self._scored(state, span)))
            if self._recorder.asked():
                return
        sentence = told(found[0] if found else Found(span), state.seen)
        if found and found[0].verdict is not None and found[0].verdict.word == "worse":
            self._closed(state, span, sentence)
        else:
            self._tell(state.seen, ENDED, sentence)

    def _closed(self, state: State, span: Span, sentence: str) -> None:
        """What the gate does about a phase that is worse."""
        assert self._live is not None
        if self._live.gate == "extend":
            longer = lengthened(self._recipe, span)
            if longer is not None:
                added = longer.length - self._recipe.length
                self._recorder.save(state)  # first: what depends on the run's length has not changed before this moment
                self._recorder.store(longer)
                self._tell(state.seen, ALARM, f"{sentence}; it goes on for another {added:,} samples")
                raise Lengthened(longer)
            sentence = f"{sentence}; it was lengthened {LONGER} times already"
        self._tell(state.seen, ALARM, sentence)
        if self._live.gate == "stop":
            self._recorder.save(state)
            advice = "everything is saved; the same command goes on all the same"
            raise Stopped(str(self._folder.path), f"{sentence}; {advice}", "GROWTH_GATE")

    def _tell(self, seen: int, kind: str, sentence: str) -> None:
        self._recorder.event(seen, kind, sentence)
        self._recorder.say(sentence)

    def _scored(self, state: State, span: Span) -> Found:
        """Scores that go to the log, and what it has of the phase before."""
        assert self._live is not None
        phase = self._recipe.phase(span.stop - 1)
        last = next((one for one in reversed(ends(self._spans)) if one.stop <= span.start), None)
        made: list[Score] = []
        for size in (span.size, *([] if last is None else [last.size])):
            score = self._live.at_end(state, phase, size)
            if score is None:
                return Found(span)
            self._recorder.keep(state, [score])
            made.append(score)
        before = next((one.own for one in of_phases(self._spans, log.scores(self._folder.log)) if one.span == last), None)
        return Found(span, made[0]) if last is None else Found(span, made[0], before, made[1], last)


def told(found: Found, seen: int) -> str:
    """What a person reads of a phase that has ended after so many samples."""
    ended, verdict, own, after, before = ends_after(found.span.size, seen), found.verdict, found.own, found.after, found.before
    if own is None:
        return ended
    sentence = f"{ended} with {own.name} {number(own)}"
    if after is None:
        return sentence
    if verdict is None or before is None:
        return f"{sentence}; shrunk, {after.name} {number(after)}, and there is none from before to compare it with"
    than = "" if found.last is None else f" than {named(found.last.size)}"
    compared = f"{after.name} {number(after)} when shrunk, {number(before)} a phase before: {verdict.word}{than}"
    return f"{sentence}; {compared}{f'; {CURE}' if verdict.word == 'worse' else ''}"


def ends_after(size: tuple[int, ...], seen: int) -> str:
    """How each verdict begins, by which it is known again: an alarm about the samples may fall on the same moment."""
    return f"{named(size)} ends after {seen:,} samples"


def lengthened(recipe: Recipe, span: Span) -> Recipe | None:
    """The recipe with a stable phase longer by what it was planned to be; None where it is three times that already."""
    assert isinstance(recipe.growth, Levels)
    place = next(i for i, level in enumerate(recipe.growth.levels) if level.side == min(span.size))
    added = recipe.growth.levels[place].added
    planned = span.samples - added
    if added >= LONGER * planned:
        return None
    return recipe.but({f"growth.levels.{place}.added": added + planned, "length": recipe.length + planned})
