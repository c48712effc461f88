"""What the parts of the engine room say, each as lines of its own. An unknown figure is the unknown sign.

Ages were true when the engine answered; the age of the answer is added to them, so that they go on while it is shown.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from engine.core.operations import (
    AccountHealth,
    ConnectionView,
    GapView,
    OperationsView,
    QueueView,
    RecorderView,
    RefusedView,
)
from engine.core.vocabulary import QuoteState
from workstation.formatting import (
    Glyphs,
    age,
    clock_time,
    countdown,
    data_size,
    decimal_text,
    expiry_day,
    india,
    known,
    milliseconds,
    whole,
    whole_percent,
)
from workstation.presenters.lines import Line, Span, clean, clip, filled, left, right, wrapped
from workstation.presenters.names import STATE_WORDS

WIDE_FROM = 120
"""Cells from which headings are words and totals have columns."""
GAUGE_MOST = 40
GAUGE_LEAST = 10
NAME_MOST = 40
LAG_NOTE_MS = 20.0
"""A loop that is later than a frame's half was kept from its work."""
LAG_TENTHS_BELOW_MS = 10.0
MAKE_ROOM = "Show fewer chains, or give another account the role `data`: its key brings three connections more."
LOG_IN = "Run `workstation login {account}`, then L takes it."
LOGIN_NEEDED = "login needed"
STATES_FINE = frozenset({QuoteState.LIVE, QuoteState.CLOSED})
STATE_ORDER = tuple(
    state.name
    for state in (
        QuoteState.LIVE,
        QuoteState.ONE_SIDED,
        QuoteState.CROSSED,
        QuoteState.FROZEN,
        QuoteState.CLOSED,
        QuoteState.STALE,
        QuoteState.UNKNOWN,
    )
)
THOUSAND = 1000


def worded(text: str, tone: str, width: int, indent: str = " ") -> list[Line]:
    """A sentence in as many lines as it needs."""
    return [((indent, ""), (part, tone)) for part in wrapped(text, max(1, width - len(indent) - 1))]


def connection_word(view: ConnectionView) -> str:
    """The state of a connection: LIVE, STALE (up and silent), DOWN, CLOSED, IDLE (nothing needs it) or NOT UP."""
    if view.state is QuoteState.UNKNOWN:
        return "NOT UP" if view.subscribed else "IDLE"
    if view.state is QuoteState.STALE and not view.up:
        return "DOWN"
    return STATE_WORDS[view.state]


def connection_is_well(view: ConnectionView) -> bool:
    """Whether nothing has to be done about it."""
    return view.state in STATES_FINE or (view.state is QuoteState.UNKNOWN and not view.subscribed)


@dataclass(frozen=True, slots=True)
class Column:
    """One figure of the connections."""

    short: str
    long: str
    width: int
    wide: int
    text: Callable[[ConnectionView, float, Glyphs, int], str]
    """Its text, given the age of the answer and the cells there are."""


COLUMNS = (
    Column("byte", "last byte", 5, 9, lambda view, late, glyphs, _: age(_later(view.byte_age_s, late), glyphs)),
    Column("packet", "last packet", 6, 11, lambda view, late, glyphs, _: age(_later(view.packet_age_s, late), glyphs)),
    Column("carries", "carries", 11, 11, lambda view, _late, _glyphs, size: _carried(view, size)),
    Column("pk/s", "packets/s", 6, 9, lambda view, _, glyphs, size: _count(view.packets_per_s, size, glyphs)),
    Column("bytes", "bytes", 8, 8, lambda view, _late, glyphs, _size: data_size(view.bytes, glyphs)),
    Column("bad", "damaged", 4, 7, lambda view, _, glyphs, size: _count(view.bad_frames, size, glyphs)),
    Column("unkn", "unknown", 4, 7, lambda view, _, glyphs, size: _count(view.unknown_packets, size, glyphs)),
    Column("rec", "reconnects", 4, 10, lambda view, _, glyphs, size: _count(view.reconnects, size, glyphs)),
    Column("repl", "replaced", 4, 8, lambda view, _, glyphs, size: _count(view.silent_replaced, size, glyphs)),
)
"""Damaged frames, unknown packets, reconnections, and times it was silent and replaced are since the engine began."""
PACKETS = Column("packets", "packets", 7, 11, lambda view, _, glyphs, size: _count(view.packets, size, glyphs))
STATE_WIDTH = 6
ACCOUNT_WIDTH = 8


def connection_lines(view: OperationsView, late_s: float, width: int, glyphs: Glyphs) -> list[Line]:
    """A row for each connection, and below it why it is not as it should be."""
    wide = width >= WIDE_FROM
    columns = (*COLUMNS[:3], PACKETS, *COLUMNS[3:]) if wide else COLUMNS
    account = ACCOUNT_WIDTH
    heads = "".join(
        f" {column.long if wide else column.short:>{column.wide if wide else column.width}}" for column in columns
    )
    head = f"  # {'account':<{account}} {'state':<{STATE_WIDTH}}{heads}"
    lines: list[Line] = [filled(((head, "header"),), width, "header")]
    for item in view.connections:
        tone = "" if connection_is_well(item) else "attention"
        spans: list[Span] = [
            (f" {item.number:>2} ", "muted"),
            (f"{left(clean(item.account), account, glyphs)} ", ""),
            (
                f"{connection_word(item):<{STATE_WIDTH}}",
                tone or ("muted" if item.state is not QuoteState.LIVE else "bold"),
            ),
        ]
        for column in columns:
            size = column.wide if wide else column.width
            spans.append((f" {right(column.text(item, late_s, glyphs, size), size)}", tone))
        lines.append(filled(spans, width))
        if item.message:
            lines += worded(f"{glyphs.leads} {item.message}", "attention", width, "    ")
    if not view.connections:
        lines += worded("There is no connection: nothing is asked of the feed yet.", "muted", width)
    return lines


def capacity_lines(view: OperationsView, width: int, glyphs: Glyphs) -> list[Line]:
    """The gauge, what was refused by name with what to do, and who wants how many."""
    lines = [gauge("subscribed", view.subscribed, view.capacity, width, glyphs)]
    for item in view.refused:
        lines += _refused(item, width, glyphs)
    if view.refused:
        lines += worded(MAKE_ROOM, "", width, "   ")
    if view.consumers:
        lines.append(_pair("wanted by, most important first", "instruments", "header", width, glyphs))
    lines += [_pair(name, whole(count), "", width, glyphs) for name, count in view.consumers]
    return lines


def state_counts(states: dict[str, int]) -> list[tuple[str, int, bool]]:
    """Word, count, and whether it asks to be looked at; in an order that puts what is fine first."""
    found = []
    for name in sorted(states, key=lambda name: STATE_ORDER.index(name) if name in STATE_ORDER else len(STATE_ORDER)):
        state = QuoteState.__members__.get(name)
        word = STATE_WORDS[state] if state is not None else clean(name)
        amiss = state in {QuoteState.STALE, QuoteState.UNKNOWN, None} and states[name] > 0
        found.append((word, states[name], amiss))
    return found


def quote_lines(view: OperationsView, width: int, glyphs: Glyphs) -> list[Line]:
    """How many quotes are in which state, with their share."""
    total = sum(view.states.values())
    lines: list[Line] = []
    for word, count, amiss in state_counts(view.states):
        share = whole_percent(count / total if total else None, glyphs)
        text = f" {left(word, 10, glyphs)}{right(whole(count), 9)}{right(share, 6)}"
        lines.append(filled(((text, "attention" if amiss else ""),), width))
    return lines or worded("No instrument is subscribed.", "muted", width)


def queue_lines(view: OperationsView, width: int, glyphs: Glyphs) -> list[Line]:
    """Each queue with its bound, what it dropped, and what happens beyond the bound."""
    lines: list[Line] = []
    for item in view.queues:
        lines.append(gauge(item.name, item.waiting, item.limit, width, glyphs, dropped=item.dropped))
        tone = "attention" if queue_dropped(item) else "muted"
        lines += worded(f"beyond it: {item.policy}", tone, width, "   ")
        if item.message:
            lines += worded(item.message, "muted", width, "   ")
    return lines or worded("No queue is in use.", "muted", width)


def queue_dropped(item: QueueView) -> bool:
    """Whether something was lost, or is about to be."""
    return item.dropped > 0 or (item.limit > 0 and item.waiting >= item.limit)


def tape_lines(view: OperationsView, width: int, glyphs: Glyphs) -> list[Line]:
    """The recorder, then what is missing in the stored minutes."""
    return [*_recorder(view.recorder, width, glyphs), *gap_lines(view.gaps, width, glyphs)]


def _recorder(item: RecorderView | None, width: int, glyphs: Glyphs) -> list[Line]:
    if item is None:
        return worded("No tape is kept here: this engine only looks, or it plays one.", "muted", width)
    if not item.recording:
        lines = [_fact("recording", "off; T begins a tape", "", width, glyphs)]
        return [*lines, *(worded(item.message, "attention", width) if item.message else [])]
    since = f"ON since {clock_time(item.since)}" if item.since is not None else "ON"
    lines = [
        _fact("recording", since, "bold", width, glyphs),
        _fact("tape", item.path, "", width, glyphs),
        _fact("size", f"{data_size(item.bytes, glyphs)} in {_counted(item.segments, 'segment')}", "", width, glyphs),
        _fact("frames", whole(item.frames, glyphs), "", width, glyphs),
        _fact("to disk", f"{age(item.lag_s, glyphs)} behind", "", width, glyphs),
        _fact("dropped", whole(item.dropped, glyphs), "attention" if item.dropped else "", width, glyphs),
    ]
    return [*lines, *(worded(item.message, "attention", width) if item.message else [])]


def gap_lines(gaps: GapView, width: int, glyphs: Glyphs) -> list[Line]:
    """Minutes that are missing, and how far their filling has come."""
    missing = max(0, gaps.minutes - gaps.filled)
    words = f"{_counted(missing, 'minute')} missing, {whole(gaps.filled)} filled" if gaps.minutes else "none known"
    lines = [_fact("gaps", words, "attention" if missing else "", width, glyphs)]
    if gaps.minutes:
        lines.append(_fact("", f"of {_counted(gaps.instruments, 'instrument')}", "muted", width, glyphs))
    if gaps.waiting:
        eta = f", {countdown(gaps.eta_s, glyphs)} left" if known(gaps.eta_s) else f", {glyphs.unknown} left"
        lines.append(_fact("filling", f"{_counted(gaps.waiting, 'request')} to make{eta}", "", width, glyphs))
    return [*lines, *(worded(gaps.message, "attention", width) if gaps.message else [])]


def account_lines(view: OperationsView, width: int, glyphs: Glyphs) -> list[Line]:
    """Each broker account: what it is used for, whether its session holds, what it was asked."""
    lines: list[Line] = []
    for item in view.accounts:
        tone = "" if account_is_well(item) else "attention"
        name = f" {clean(item.account)}"
        lines.append(
            filled(
                (
                    (name, "bold"),
                    (f" {item.state if item.state == 'ok' else item.state.upper()}", tone or "bold"),
                    (
                        clip(f"  {', '.join(item.roles)}", max(0, width - len(name) - len(item.state) - 2), glyphs),
                        "muted",
                    ),
                ),
                width,
            )
        )
        over = item.state == LOGIN_NEEDED
        until = f"until {india(item.token_until):%a %H:%M}" if item.token_until is not None else "does not end"
        lines.append(_fact("session", "over" if over else until, tone if over else "", width, glyphs))
        counts = f"{whole(item.reads)}  failed {whole(item.failures)}  limited {whole(item.limited)}"
        lines.append(_fact("reads", counts, "", width, glyphs))
        if item.last_error:
            lines += worded(f"last error: {item.last_error}", tone or "muted", width, "   ")
        if over:
            lines += worded(LOG_IN.format(account=clean(item.account)), "attention", width, "   ")
    return lines or worded("No account is known.", "muted", width)


def account_is_well(item: AccountHealth) -> bool:
    """Whether nothing has to be done about it."""
    return item.state == "ok"


def engine_lines(view: OperationsView, width: int, glyphs: Glyphs) -> list[Line]:
    """Instruments of the day, the loop's delay, and every service that does not run as it should."""
    rows = f"{whole(view.instruments_rows)} rows of {expiry_day(view.instruments_day, spaced=True)}"
    lines = [_fact("dump", rows, "", width, glyphs)]
    if view.instruments_note:
        lines += worded(view.instruments_note, "attention", width, "   ")
    lag, late = loop_lag(view, glyphs)
    lines.append(_fact("loop lag", f"{lag} at worst", "attention" if late else "", width, glyphs))
    for journal in view.journals:
        away = "written" if journal.away_since is None else f"AWAY since {clock_time(journal.away_since)}"
        state = "back, not compared yet" if journal.is_behind and journal.away_since is None else away
        words = f"{journal.account} {state}, spool {whole(journal.spooled)}"
        lines.append(_fact("journal", words, "attention" if journal.is_behind else "", width, glyphs))
    for sentence in view.degraded:
        lines += worded(f"! {sentence}", "attention", width)
    if not view.degraded:
        lines += worded("every service runs", "muted", width)
    return lines


def loop_lag(view: OperationsView, glyphs: Glyphs) -> tuple[str, bool]:
    """The loop's worst delay, and whether that is too much."""
    lag = view.loop_lag_ms
    if lag is None or not known(lag):
        return glyphs.unknown, False
    text = milliseconds(lag, glyphs) if lag >= LAG_TENTHS_BELOW_MS else f"{decimal_text(lag, 1)}ms"
    return text, lag > LAG_NOTE_MS


def gauge(name: str, used: int, limit: int, width: int, glyphs: Glyphs, *, dropped: int | None = None) -> Line:
    """``subscribed [####------] 642 of 9,000  7%``; the share in figures too."""
    share = used / limit if limit > 0 else None
    figures = f"{whole(used)} of {whole(limit)} {right(whole_percent(share, glyphs), 4)}"
    if dropped is not None:
        figures += f"  dropped {whole(dropped)}"
    label = f" {clip(clean(name), max(1, min(NAME_MOST, width - len(figures) - 2)), glyphs)} "
    tone = "attention" if dropped or (share is not None and share >= 1) else ""
    room = min(width - len(label) - len(figures) - 4, GAUGE_MOST)
    if room < GAUGE_LEAST:
        return filled(((label, "muted"), (figures, tone)), width)
    full = 0 if share is None else min(room, round(room * share))
    full = max(full, 1) if used else full
    bar: list[Span] = [("[", "muted"), ("#" * full, tone or "key"), ("-" * (room - full), "faint"), ("] ", "muted")]
    return filled(((label, "muted"), *bar, (figures, tone)), width)


def _refused(item: RefusedView, width: int, glyphs: Glyphs) -> list[Line]:
    named = ", ".join(clean(name) for name in item.instruments)
    more = item.count - len(item.instruments)
    rest = f" and {whole(more)} more" if more > 0 else ""
    words = f"! no room for {whole(item.count)} of {clean(item.consumer)}: {named}{rest}"
    return worded(words, "attention", width)


def _fact(name: str, value: str, tone: str, width: int, glyphs: Glyphs) -> Line:
    """A name and what there is to say of it."""
    label = f" {name:<10}"
    return filled(((label, "muted"), (clip(clean(value), max(0, width - len(label)), glyphs), tone)), width)


def _pair(name: str, value: str, tone: str, width: int, glyphs: Glyphs) -> Line:
    """A name at the left, a figure in a column of its own, both within sight of each other."""
    room = min(width - 13, NAME_MOST)
    return filled(((f" {left(clean(name), max(1, room), glyphs)}{right(value, 11)}", tone),), width, tone)


def _counted(count: int, word: str) -> str:
    return f"{whole(count)} {word}{'' if count == 1 else 's'}"


def _count(value: float, size: int, glyphs: Glyphs) -> str:
    """A count in at most ``size`` cells: in thousands, or millions, where it does not fit."""
    text = whole(value, glyphs)
    for unit in ("k", "M"):
        if len(text) <= size or not known(value):
            break
        value /= THOUSAND
        text = f"{whole(int(value))}{unit}"
    return text


def _carried(view: ConnectionView, size: int) -> str:
    """Subscribed of capacity; where both do not fit, what it carries."""
    text = f"{whole(view.subscribed)}/{whole(view.capacity)}"
    return text if len(text) <= size else whole(view.subscribed)


def _later(seconds: float | None, late_s: float) -> float | None:
    return None if seconds is None else seconds + late_s
