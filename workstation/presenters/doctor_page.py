"""The doctor as a page: one line per check with its outcome as a word, and what to do where it blocks."""

from __future__ import annotations

from engine.core.views import Check, DoctorView
from workstation.formatting import Glyphs, full_time
from workstation.presenters.lines import EMPTY, Line, Span, clean, filled, rule, wrapped
from workstation.presenters.seen import Seen

OK, NOTE, BLOCK = "ok", "note", "block"
TONES = {OK: "muted", NOTE: "attention", BLOCK: "danger"}
OUTCOME_WIDTH = 7
NAME_WIDTH = 16
RUNNING = "running: every check asks the engine, and some of them the broker"


def doctor_page(
    seen: Seen[DoctorView],
    width: int,
    height: int,
    glyphs: Glyphs,
    *,
    simulated: bool,
    running: bool,
    first: int,
) -> list[Line]:
    """Title and checks in exactly ``height`` lines, scrolled by ``first`` as far as there is more."""
    head = rule(_title(seen.value, running=running), width, glyphs, simulated=simulated)
    lines = doctor_lines(seen, width, glyphs, running=running)
    room = max(0, height - 1)
    place = min(first, max(0, len(lines) - room))
    shown = lines[place : place + room]
    below = len(lines) - place - room
    if below > 0 and shown:
        shown[-1] = ((f" {glyphs.ellipsis} {below + 1} more lines: j", "muted"),)
    return [filled(line, width) for line in [head, *shown, *[EMPTY] * height][:height]]


def doctor_lines(seen: Seen[DoctorView], width: int, glyphs: Glyphs, *, running: bool) -> list[Line]:
    """Every check, blocking ones first; the order within an outcome is the engine's."""
    lines: list[Line] = []
    if seen.trouble:
        lines += [((f" {part}", "attention"),) for part in wrapped(seen.trouble, width - 2)]
    view = seen.value
    if view is None:
        words = RUNNING if running else "" if seen.trouble else "r runs every check"
        return [*lines, *(((f" {glyphs.unknown} {part}", "muted"),) for part in wrapped(words, width - 4) if part)]
    order = {BLOCK: 0, NOTE: 1}
    for check in sorted(view.checks, key=lambda check: order.get(check.outcome, 2)):
        lines += _check(check, width)
    return lines or [((" no check was made", "muted"),)]


def counts(view: DoctorView) -> tuple[int, int, int]:
    """How many pass, note and block; an outcome that is not known blocks."""
    passed = sum(check.outcome == OK for check in view.checks)
    noted = sum(check.outcome == NOTE for check in view.checks)
    return passed, noted, len(view.checks) - passed - noted


def _title(view: DoctorView | None, *, running: bool) -> list[Line]:
    parts: list[Line] = [(("Doctor", "title"),)]
    if view is not None:
        passed, noted, blocked = counts(view)
        parts.append(((full_time(view.at), "muted"),))
        words: list[Span] = [(f"{passed} pass  {noted} note  ", ""), (f"{blocked} block", "danger" if blocked else "")]
        parts.append(tuple(words))
    if running:
        parts.append((("running", "attention"),))
    return parts


def _check(check: Check, width: int) -> list[Line]:
    outcome = check.outcome if check.outcome in TONES else clean(check.outcome)[: OUTCOME_WIDTH - 2]
    tone = TONES.get(check.outcome, TONES[BLOCK])
    first, *others = wrapped(check.message, max(1, width - OUTCOME_WIDTH - NAME_WIDTH - 1))
    blank = " " * (OUTCOME_WIDTH + NAME_WIDTH)
    name = f"{clean(check.name)[: NAME_WIDTH - 1]:<{NAME_WIDTH}}"
    lead: list[Span] = [(" ", ""), (outcome, tone), (" " * (OUTCOME_WIDTH - 1 - len(outcome)), "")]
    return [(*lead, (name, "bold"), (first, "")), *(((blank, ""), (part, "")) for part in others)]
