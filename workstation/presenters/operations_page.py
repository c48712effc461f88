"""The engine room as a page: a verdict on each part in one line, and the parts themselves where there is room.

Nothing is decided here that the engine could decide: a verdict only says which figures a person should look at.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import msgspec

from engine.core.operations import OperationsView
from engine.core.vocabulary import QuoteState
from workstation.formatting import Glyphs, age, clock_time, whole, whole_percent
from workstation.presenters.lines import EMPTY, Line, Span, clean, clip, cut, filled, wrapped
from workstation.presenters.operations_sections import (
    LOG_IN,
    LOGIN_NEEDED,
    MAKE_ROOM,
    account_is_well,
    account_lines,
    capacity_lines,
    connection_is_well,
    connection_lines,
    connection_word,
    engine_lines,
    loop_lag,
    queue_dropped,
    queue_lines,
    quote_lines,
    state_counts,
    tape_lines,
)
from workstation.presenters.sections import Focus, Pager, Section, beside
from workstation.presenters.seen import Seen

SIDE_FROM_WIDTH, SIDE_FROM_HEIGHT = 120, 26
"""From here all parts stand beside each other; below, one at a time."""
THREE_FROM_WIDTH = 180
CONNECTIONS_SHARE = 0.5
"""Of the page, at most, for the table of connections."""
CAPACITY_NOTE = 0.9
QUEUE_NOTE = 0.5
OK, NOTE, ACT = "ok", "note", "ACT"
LEVEL_TONES = {OK: "muted", NOTE: "", ACT: "attention"}

SUMMARY, CONNECTIONS, CAPACITY, QUOTES, QUEUES, TAPE, ACCOUNTS, ENGINE = range(1, 9)
PARTS = {
    SUMMARY: "Summary",
    CONNECTIONS: "Connections",
    CAPACITY: "Capacity",
    QUOTES: "Quotes",
    QUEUES: "Queues",
    TAPE: "Tape",
    ACCOUNTS: "Accounts",
    ENGINE: "Engine",
}
"""The parts by their digits; the next part of the engine room is one more of them."""
TWO_COLUMNS = ((SUMMARY, CAPACITY, QUEUES), (TAPE, QUOTES, ACCOUNTS, ENGINE))
THREE_COLUMNS = ((SUMMARY, CAPACITY), (TAPE, QUOTES), (QUEUES, ACCOUNTS, ENGINE))


class EngineChoice(msgspec.Struct, frozen=True, kw_only=True):
    """What a person has chosen to look at."""

    part: int = SUMMARY
    first: int = 0
    """Lines of the part that are scrolled away."""
    zoomed: bool = False


@dataclass(frozen=True, slots=True)
class Finding:
    """What there is to say of a part in one line."""

    part: int
    level: str
    words: str


def engine_page(
    seen: Seen[OperationsView], choice: EngineChoice, width: int, height: int, glyphs: Glyphs, *, simulated: bool
) -> list[Line]:
    """Title and parts in exactly ``height`` lines of ``width`` cells."""
    pager = Pager(Focus(choice.part, choice.first), glyphs, simulated=simulated)
    head = pager.ruled(_title(seen, glyphs), width)
    room = height - 1
    view = seen.value
    if view is None:
        words = seen.trouble or "the engine has been asked"
        tone = "attention" if seen.trouble else "muted"
        lines: list[Line] = [head, *(((f" {part}", tone),) for part in wrapped(f"{glyphs.unknown} {words}", width - 2))]
        return [filled(line, width) for line in [*lines, *[EMPTY] * height][:height]]
    sections = engine_sections(seen, view, width, glyphs)
    if not shows_all(width, height) or choice.zoomed:
        chosen = sections[choice.part]
        body = [pager.tabs(list(sections.values()), width), *pager.alone(chosen, width, room - 1)]
        return [head, *body][:height]
    table = sections[CONNECTIONS]
    top = min(1 + len(table.lines(width)), max(2, int(room * CONNECTIONS_SHARE)))
    columns = THREE_COLUMNS if width >= THREE_FROM_WIDTH else TWO_COLUMNS
    sizes = [width // len(columns)] * len(columns)
    sizes[0] += width - sum(sizes)
    below = [
        pager.column([sections[part] for part in parts], size, room - top, joined=place > 0)
        for place, (parts, size) in enumerate(zip(columns, sizes, strict=True))
    ]
    return [head, *pager.column([table], width, top), *beside(below)][:height]


def shows_all(width: int, height: int) -> bool:
    """Whether all parts fit beside each other."""
    return width >= SIDE_FROM_WIDTH and height >= SIDE_FROM_HEIGHT


def engine_sections(
    seen: Seen[OperationsView], view: OperationsView, page_width: int, glyphs: Glyphs
) -> dict[int, Section]:
    """The parts by their digits."""
    late_s = seen.age_s or 0.0
    found = findings(view, late_s, glyphs)
    # Beside other parts on a page of middle size, the sentences would take the room of the figures they are about.
    narrow, wide = page_width < SIDE_FROM_WIDTH, page_width >= THREE_FROM_WIDTH
    sentences = why_sentences(seen, glyphs) if narrow or wide else []
    lines: dict[int, Callable[[int], list[Line]]] = {
        SUMMARY: partial(_summary_lines, found, sentences, glyphs),
        CONNECTIONS: lambda width: connection_lines(view, late_s, width, glyphs),
        CAPACITY: lambda width: capacity_lines(view, width, glyphs),
        QUOTES: lambda width: quote_lines(view, width, glyphs),
        QUEUES: lambda width: queue_lines(view, width, glyphs),
        TAPE: lambda width: tape_lines(view, width, glyphs),
        ACCOUNTS: lambda width: account_lines(view, width, glyphs),
        ENGINE: lambda width: engine_lines(view, width, glyphs),
    }
    levels = {item.part: item.level for item in found}
    return {part: Section(part, name, lines[part], calls=levels.get(part) == ACT) for part, name in PARTS.items()}


def findings(view: OperationsView, late_s: float, glyphs: Glyphs) -> tuple[Finding, ...]:
    """A verdict on every part, in the order of their digits."""
    return (
        _connections(view, late_s, glyphs),
        _capacity(view, glyphs),
        _quotes(view),
        _queues(view, glyphs),
        _tape(view),
        _accounts(view),
        _engine(view, glyphs),
    )


def why_sentences(seen: Seen[OperationsView], glyphs: Glyphs) -> list[str]:
    """In full, everything that is not as it should be, with what to do."""
    sentences = []
    if seen.trouble:
        sentences.append(f"The engine room cannot be read: {seen.trouble}")
    elif seen.is_stale:
        sentences.append(f"The last answer is {age(seen.age_s, glyphs)} old and a newer one has not come.")
    view = seen.value
    if view is None:
        return sentences or ["The engine has been asked and has not answered yet."]
    for item in view.connections:
        if not connection_is_well(item) or item.message:
            reason = item.message or "nothing is known of it"
            sentences.append(f"Connection {item.number} of {item.account} is {connection_word(item)}: {reason}.")
    for refused in view.refused:
        named = ", ".join(refused.instruments)
        sentences.append(f"No room for {whole(refused.count)} instruments of {refused.consumer}: {named}. {MAKE_ROOM}")
    sentences += [
        f"The queue {queue.name} holds {whole(queue.waiting)} of {whole(queue.limit)} and dropped "
        f"{whole(queue.dropped)}: {queue.policy}."
        for queue in view.queues
        if queue_dropped(queue)
    ]
    if view.recorder is not None and view.recorder.message:
        sentences.append(f"Recorder: {view.recorder.message}")
    if view.gaps.message:
        sentences.append(f"Gaps: {view.gaps.message}")
    for account in view.accounts:
        if not account_is_well(account):
            advice = f" {LOG_IN.format(account=account.account)}" if account.state == LOGIN_NEEDED else ""
            error = f" {account.last_error}" if account.last_error else ""
            sentences.append(f"Account {account.account}: {account.state}.{error}{advice}")
    if view.instruments_note:
        sentences.append(f"Instruments: {view.instruments_note}")
    sentences += view.degraded
    return sentences or ["Nothing is amiss: every part is as it should be."]


def _title(seen: Seen[OperationsView], glyphs: Glyphs) -> list[Line]:
    parts: list[Line] = [(("Engine room", "title"),)]
    if seen.value is not None:
        parts.append(((f"as of {clock_time(seen.value.at)}", "muted"),))
        acting = sum(1 for item in findings(seen.value, seen.age_s or 0.0, glyphs) if item.level == ACT)
        words = f"{acting} to act on" if acting else "nothing to act on"
        parts.append(((words, "attention" if acting else "muted"),))
    if seen.is_stale:
        parts.append(((f"~ {age(seen.age_s, glyphs)} old", "attention"),))
    if seen.trouble:
        parts.append(((clean(seen.trouble), "attention"),))
    return parts


def _summary_lines(found: tuple[Finding, ...], sentences: list[str], glyphs: Glyphs, width: int) -> list[Line]:
    lines: list[Line] = []
    for item in found:
        tone = LEVEL_TONES[item.level]
        name = f"{PARTS[item.part]:<12}"
        spans: list[Span] = [
            (f" {item.level:<5}", tone),
            (name, "bold"),
            (item.words, "" if item.level == OK else tone),
        ]
        lines.append(cut(spans, width) if len(item.words) + 18 <= width else _shortened(spans, width, glyphs))
    for sentence in sentences:
        first, *others = wrapped(sentence, max(1, width - 4))
        lines += [((f" {glyphs.leads} ", "muted"), (first, "")), *((("   ", ""), (part, "")) for part in others)]
    return lines


def _shortened(spans: list[Span], width: int, glyphs: Glyphs) -> Line:
    *lead, (words, tone) = spans
    room = width - sum(len(text) for text, _ in lead)
    return (*lead, (clip(words, room, glyphs), tone))


def _connections(view: OperationsView, late_s: float, glyphs: Glyphs) -> Finding:
    needed = [item for item in view.connections if item.subscribed or item.up]
    up = sum(1 for item in needed if item.up)
    ages = [item.byte_age_s for item in needed if item.byte_age_s is not None]
    newest = age(min(ages) + late_s, glyphs) if ages else glyphs.unknown
    bad = sum(item.bad_frames + item.unknown_packets for item in view.connections)
    ill = [item for item in view.connections if not connection_is_well(item)]
    words = f"{up} of {len(needed)} up, newest byte {newest}"
    if ill:
        named = ", ".join(f"{item.number} {connection_word(item)}" for item in ill)
        return Finding(CONNECTIONS, ACT, f"{words}; {named}")
    if bad:
        return Finding(CONNECTIONS, NOTE, f"{words}; {whole(bad)} damaged or unknown")
    return Finding(CONNECTIONS, OK if needed else NOTE, words if needed else "no connection is needed yet")


def _capacity(view: OperationsView, glyphs: Glyphs) -> Finding:
    share = view.subscribed / view.capacity if view.capacity else None
    words = f"{whole(view.subscribed)} of {whole(view.capacity)}, {whole_percent(share, glyphs)}"
    refused = sum(item.count for item in view.refused)
    if refused:
        return Finding(CAPACITY, ACT, f"{words}; no room for {whole(refused)}")
    return Finding(CAPACITY, NOTE if share is not None and share >= CAPACITY_NOTE else OK, words)


def _quotes(view: OperationsView) -> Finding:
    counts = state_counts(view.states)
    words = ", ".join(f"{whole(count)} {word}" for word, count, _ in counts if count) or "none subscribed"
    if view.states.get(QuoteState.STALE.name):
        return Finding(QUOTES, ACT, words)
    return Finding(QUOTES, NOTE if any(amiss for _, _, amiss in counts) else OK, words)


def _queues(view: OperationsView, glyphs: Glyphs) -> Finding:
    dropped = sum(item.dropped for item in view.queues)
    shares = [item.waiting / item.limit for item in view.queues if item.limit > 0]
    fullest = whole_percent(max(shares), glyphs) if shares else glyphs.unknown
    words = f"fullest {fullest}, dropped {whole(dropped)}" if view.queues else "none in use"
    if any(queue_dropped(item) for item in view.queues):
        return Finding(QUEUES, ACT, words)
    return Finding(QUEUES, NOTE if shares and max(shares) >= QUEUE_NOTE else OK, words)


def _tape(view: OperationsView) -> Finding:
    item, gaps = view.recorder, view.gaps
    missing = max(0, gaps.minutes - gaps.filled)
    gap_words = f"; {whole(missing)} minutes missing" if missing else "; no gaps"
    if item is None:
        return Finding(TAPE, NOTE if missing else OK, f"none is kept here{gap_words}")
    words = f"{'recording' if item.recording else 'not recording'}{gap_words}"
    if item.dropped or item.message:
        return Finding(TAPE, ACT, f"{words}; {item.message or f'{whole(item.dropped)} frames dropped'}")
    return Finding(TAPE, NOTE if missing or gaps.message else OK, words)


def _accounts(view: OperationsView) -> Finding:
    ill = [item for item in view.accounts if not account_is_well(item)]
    if not ill:
        return Finding(ACCOUNTS, OK, f"{len(view.accounts)} of {len(view.accounts)} ok")
    words = ", ".join(f"{clean(item.account)} {item.state}" for item in ill)
    return Finding(ACCOUNTS, NOTE if all(item.state == "limited" for item in ill) else ACT, words)


def _engine(view: OperationsView, glyphs: Glyphs) -> Finding:
    lag, late = loop_lag(view, glyphs)
    words = f"loop lag {lag}, {whole(view.instruments_rows)} instruments"
    if view.degraded:
        return Finding(ENGINE, ACT, f"{len(view.degraded)} degraded; {words}")
    return Finding(ENGINE, NOTE if late or view.instruments_note else OK, words)
