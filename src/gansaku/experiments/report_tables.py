"""The lower half of a report: what differs, what it cost, what broke, and how to repeat it."""

from __future__ import annotations

from collections.abc import Iterable

from gansaku.experiments.report_reading import Side, Told
from gansaku.experiments.report_sentences import number
from gansaku.experiments.results import Result
from gansaku.listener import duration
from gansaku.parts import shown
from gansaku.runs.report_words import code, e, plain

PRINTED = 16  # digits of a fingerprint


def differences(told: Told) -> str:
    """What every arm has otherwise than the baseline: what was declared, and what comes along with it."""
    rows = "".join(
        changed(side, path, before, after, own) for side in told.sides[1:] for path, before, after, own in told_changes(side)
    )
    head = "<tr><th>Arm</th><th>Setting</th><th>Baseline</th><th>Here</th><th></th></tr>"
    table = f'<div class="scroll"><table class="differ"><thead>{head}</thead><tbody>{rows}</tbody></table></div>'
    base = told.sides[0]
    lead = f"The baseline is <b>{e(base.name)}</b>. Nothing but this differs; what was not declared comes along with what was."
    same = ", ".join(f"{path} = {value}" for path, value in told.settings.items())
    note = f'<p class="note">Set in all arms: <code>{e(same)}</code>.</p>' if same else ""
    none = "" if rows else '<p class="lead">What differs is not known.</p>'
    return f'<section id="differences"><h2>What differs</h2><p class="lead">{lead}</p>{table if rows else none}{note}</section>'


def told_changes(side: Side) -> list[tuple[str, str, str, bool]]:
    """Setting, in the baseline, here, and whether the plan names it."""
    return [(c.path, shown(c.before), shown(c.after), is_declared(c.path, side.declared)) for c in side.changes]


def is_declared(path: str, declared: Iterable[str]) -> bool:
    """Whether the plan names this setting, or the part that it belongs to."""
    return any(path == own or path == f"{own}.part" for own in declared)


def changed(side: Side, path: str, before: str, after: str, own: bool) -> str:
    return (
        f'<tr><td class="name"><i class="dot s{side.colour}"></i>{e(side.name)}</td><td><code>{e(path)}</code></td>'
        f"<td><code>{e(before)}</code></td><td><code>{e(after)}</code></td>"
        f'<td class="said"><small>{"declared" if own else "comes along"}</small></td></tr>'
    )


def cost(told: Told) -> str:
    """Weights and time of each arm."""
    players = list(dict.fromkeys(player for side in told.sides for player in side.parameters))
    head = "".join(f'<th class="number">Weights, {e(player)}</th>' for player in players)
    rows = "".join(
        f'<tr><td class="name"><i class="dot s{side.colour}"></i>{e(side.name)}</td>'
        + "".join(f'<td class="number">{weights(told, side, player)}</td>' for player in players)
        + "".join(f'<td class="number">{value}</td>' for value in spent(side))
        + "</tr>"
        for side in told.sides
    )
    head += "".join(f'<th class="number">{name}</th>' for name in ("Samples seen", "Time each", "Samples/s", "Starts"))
    lead = (
        "Means over an arm's trainings. Time holds the scores on the way, and trainings that ran side by side share a machine."
    )
    return (
        f'<section id="cost"><h2>Size and cost</h2><p class="lead">{lead}</p><div class="scroll"><table class="cost"><thead>'
        f"<tr><th>Arm</th>{head}</tr></thead><tbody>{rows}</tbody></table></div></section>"
    )


def weights(told: Told, side: Side, player: str) -> str:
    count, base = side.parameters.get(player), told.sides[0].parameters.get(player)
    if count is None:
        return "–"
    more = f" <small>{100 * (count / base - 1):+.1f} %</small>".replace("-", "−") if base and count != base else ""
    return f"{count:,}{more}"


def spent(side: Side) -> list[str]:
    """Samples seen, time, samples per second, and starts of a training, on average."""
    own = [result for result in side.results.values() if result.seconds]
    if not own:
        return ["–"] * 4
    seen, seconds = sum(result.seen for result in own), sum(result.seconds for result in own)
    whole = [result for result in own if result.seen]
    speed = number(sum(r.seen for r in whole) / sum(r.seconds for r in whole), 3) if whole else "–"
    starts = number(sum(result.attempts for result in own) / len(own), 2)
    return [f"{seen / len(own):,.0f}", duration(seconds / len(own)), speed, starts]


def broken(told: Told) -> str:
    """Which runs broke, when and why; nothing where none did."""
    found = [(side, result) for side in told.sides for result in side.broken]
    if not found:
        return ""
    rows = "".join(
        f'<tr><td class="name"><i class="dot s{side.colour}"></i>{e(side.name)}</td><td class="number">{result.seed}</td>'
        f'<td class="number">{when(result)}</td><td class="sentence">{e(result.broken)}</td></tr>'
        for side, result in found
    )
    head = '<tr><th>Arm</th><th class="number">Seed</th><th>When</th><th>Why</th></tr>'
    lead = "They count as worse than every run that did not break, and are never left out."
    return (
        f'<section id="broken"><h2>Runs that broke</h2><p class="lead">{lead}</p><div class="scroll"><table class="broken">'
        f"<thead>{head}</thead><tbody>{rows}</tbody></table></div></section>"
    )


def when(result: Result) -> str:
    """After how many samples, as far as that is known, and on which day."""
    last = max([result.seen, *(points[-1][0] for points in result.curves.values() if points)])
    return ", ".join(part for part in (f"after {last:,}" if last else "", e(result.date)) if part) or "unknown"


def repeat(told: Told) -> str:
    """The command, the plan, and what it ran on."""
    source = " and lay the files beside it that it names" if "./" in told.plan else ""
    steps = (
        f'<p class="step">Save the plan below as plan.toml{source}, then</p>{code(told.command)}'
        f'<p class="step">plan.toml</p>{code(told.plan)}'
        if told.command
        else '<p class="lead">These runs were trained one by one: each one\'s own report says how to repeat it.</p>'
    )
    facts = "".join(f"<div><dt>{e(name)}</dt><dd>{e(value)}</dd></div>" for name, value in environment(told))
    return (
        f'<section id="repeat"><h2>How to repeat it</h2>{steps}'
        + (f'<h3 class="more">Where it ran</h3><dl class="list">{facts}</dl>' if facts else "")
        + "</section>"
    )


def environment(told: Told) -> list[tuple[str, str]]:
    """Versions, machine, data and days, each with every value that occurs among the results."""
    found: dict[str, dict[str, None]] = {"gansaku": {told.version: None} if told.version else {}}
    for result in told.results:
        for name, value in result.machine.items():
            found.setdefault(name, {})[plain(value)] = None
        for name, value in (("data fingerprint", result.fingerprint[:PRINTED]), ("day", result.date)):
            found.setdefault(name, {})[value] = None
    found["data"] = {told.data: None}
    return [(name, ", ".join(filter(None, values))) for name, values in found.items() if any(values)]
