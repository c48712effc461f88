"""The two status lines and the strip.

The venue is the first word and the mode the second. Fields leave from the least important; venue, mode, account, money
and ages never do. Ages go on even if the engine's picture does not change.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

import msgspec

from engine.core.locks import LockKind, LockView
from engine.core.views import DeskView, FeedView, StatusView, StripItem
from engine.core.vocabulary import Mark, Mode, QuoteState, Venue
from workstation.formatting import (
    SECONDS_PER_MINUTE,
    Glyphs,
    age,
    clock_time,
    countdown,
    full_time,
    milliseconds,
    money,
    price,
    signed_percent,
    whole_percent,
)
from workstation.presenters.lines import Line, Span, clean, clip, cut, filled, merged, spread, width_of
from workstation.presenters.names import HALTED, STATE_WORDS, price_state_mark
from workstation.presenters.replay_words import replay_forms
from workstation.presenters.settings import TerminalSettings

MODE_TONES = {Mode.READ: "read", Mode.CONFIRM: "confirm", Mode.HOT: "hot"}
NAME_WIDTH_MAX = 24
AMBER_SHARE = 0.5
"""An age turns amber at this share of its limit."""
END_GAP = 1
"""Blank cells at least between the last field and the one at the right edge."""
ROOMY_FROM_WIDTH = 100
"""From here separators have blanks around them."""


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """The present, as a frame knows it."""

    market_now: datetime
    picture_age_s: float
    """How long the engine's picture has been the same object."""
    screen_lag_ms: float
    frozen_s: float | None = None
    """How long the picture has been frozen by the trader."""
    alone: bool = False
    """One of several accounts is looked at alone."""


class Field(msgspec.Struct, frozen=True):
    """One field of a status line with its forms from long to short; an empty last form means it may leave."""

    forms: tuple[Line, ...]
    order: tuple[int, ...]
    """When each step to the next form is taken: the highest number of all fields goes first."""


def is_simulated(venue: Venue) -> bool:
    """Whether nothing on this venue can reach the exchange."""
    return venue is not Venue.LIVE


def mode_word(status: StatusView, picture_age_s: float = 0.0) -> tuple[str, str]:
    """The mode of this seat and its tone, HOT with what is left of it: ``HOT 12:31``; a terminal of an engine that may
    not send says VIEW. ``picture_age_s`` is how old the figures are.
    """
    if not status.writer:
        return "VIEW", "read"
    word = status.mode.value
    if status.mode is Mode.HOT and status.hot_left_s is not None:
        left = max(0, math.ceil(status.hot_left_s - picture_age_s))
        word += f" {left // SECONDS_PER_MINUTE}:{left % SECONDS_PER_MINUTE:02d}"
    return word, MODE_TONES[status.mode]


def status_lines(
    desk: DeskView, moment: Moment, mark: Mark, *, width: int, glyphs: Glyphs, settings: TerminalSettings
) -> tuple[Line, Line]:
    """Lines 1 and 2."""
    status = desk.status
    separator: Line = ((f" {glyphs.bar} " if width >= ROOMY_FROM_WIDTH else glyphs.bar, "rule"),)
    first = _packed(
        _first_left(status, moment, glyphs, settings, desk.locks),
        Field((((full_time(moment.market_now), ""),), ((clock_time(moment.market_now), ""),)), (90,)),
        separator,
        width,
    )
    second = _packed(_second_left(status, mark, glyphs), Field(_alarms(status, moment), (40,)), separator, width)
    return first, second


def strip_line(items: Sequence[StripItem], width: int, glyphs: Glyphs) -> Line:
    """The index strip; whole figures only, those that do not fit are left out from the right."""
    spans: list[Span] = [(" ", "")]
    used = 1
    for item in items:
        figure: list[Span] = [(f" {glyphs.bar} ", "rule")] if used > 1 else []
        tone = "" if item.state is QuoteState.LIVE else "old"
        value = price(item.last, glyphs) if item.state is not QuoteState.UNKNOWN else glyphs.unknown
        mark = price_state_mark(item.state, glyphs) if item.state is not QuoteState.UNKNOWN else ""
        figure += [(f"{clean(item.label)} ", "muted"), (f"{value}{mark}", tone)]
        if item.change_percent is not None:
            figure.append((f" {signed_percent(item.change_percent, glyphs)}", _sign_tone(item.change_percent)))
        size = width_of(figure)
        if used + size > width:
            break
        spans += figure
        used += size
    return filled(spans, width)


def small_lines(desk: DeskView | None, mark: Mark, width: int, height: int, glyphs: Glyphs) -> list[Line]:
    """What is drawn when the Desk does not fit: day P&L, open strategies, and why."""
    if desk is None:
        return [cut(((" starting", "muted"),), width)]
    word, tone = mode_word(desk.status)
    status = desk.status
    tape = replay_forms(status.replay, glyphs)[-1] if status.venue is Venue.REPLAY else ()
    lines: list[Line] = [
        cut(((f" {status.venue.value.upper()} ", _venue_tone(status)), (f"{word} ", tone), *tape), width),
        cut(((f" Day {mark.value} ", "muted"), *_day_figure(desk.status, mark, glyphs)), width),
    ]
    if desk.locks:
        lines.append(cut(((f" {lock_word(desk.locks)}", "danger"),), width))
    if desk.status.halts:
        lines.append(cut(((f" {HALTED}", "attention bold"),), width))
    if desk.status.unknown_orders:
        lines.append(cut(((f" {desk.status.unknown_orders} unknown", "attention"),), width))
    room = max(0, height - len(lines) - 1)
    open_ones = [value for value in desk.strategies if value.open_legs]
    for value in open_ones[:room]:
        figure = money(value.profit.get(mark), glyphs) + ("p" if value.partial.get(mark) else "")
        name = clip(f" #{value.strategy.number} {clean(value.strategy.name)}", max(0, width - len(figure) - 2), glyphs)
        lines.append(spread(((name, ""),), ((f"{figure} ", _sign_tone(value.profit.get(mark))),), width))
    lines.append(cut(((" too small: needs 80x24", "attention"),), width))
    return lines[:height] if height > 2 else lines[1 : 1 + height]


def _venue_tone(status: StatusView) -> str:
    return "simulated" if is_simulated(status.venue) else "live"


def _accounts_words(status: StatusView, *, alone: bool = False) -> str:
    """The account in view, whose figures these are, and how many there are beside it, or that it is seen alone."""
    others = len(status.accounts) - 1
    beside = " alone" if alone else f" +{others}"
    return clean(status.account) + (beside if others > 0 else "")


def _sign_tone(value: float | Decimal | None) -> str:
    if value is None or value == 0 or value != value:  # noqa: PLR0124 - NaN is the value that differs from itself
        return ""
    return "gain" if value > 0 else "loss"


def lock_word(locks: Sequence[LockView]) -> str:
    """The one word for what keeps new risk out; empty when nothing does."""
    kinds = {lock.kind for lock in locks}
    if LockKind.KILL in kinds:
        return "KILLED"
    if kinds - {LockKind.HOLD}:
        return "LOCKED"
    return "HELD" if kinds else ""


def _first_left(
    status: StatusView, moment: Moment, glyphs: Glyphs, settings: TerminalSettings, locks: Sequence[LockView]
) -> list[Field]:
    venue: Span = (f" {status.venue.value.upper()} ", _venue_tone(status))
    word, tone = mode_word(status, moment.picture_age_s)
    locked = lock_word(locks)
    head: Line = (venue, (" ", ""), (f" {word} ", tone))
    if locked:
        head = (*head, (" ", ""), (f" {locked} ", "danger"))
    name = clip(clean(status.account_name), NAME_WIDTH_MAX, glyphs)
    account = _accounts_words(status, alone=moment.alone)
    plain: Line = (*head, (f" {account}", ""))
    identity: tuple[Line, ...] = ((*head, (f" {name} {account}", "")), plain) if name and name != account else (plain,)
    # Whoever looks at a tape is told so, with its speed and state, at every width.
    tape = [Field(replay_forms(status.replay, glyphs), (38,))] if status.venue is Venue.REPLAY else []
    return [
        Field(identity, (60,)),
        *tape,
        Field(_session(status, moment, glyphs), (70, 45, 35, 10)),
        Field(_ages(status.feed, moment, glyphs, settings), (50,)),
        Field(_budget(status), (80, 55, 40)),
    ]


def _session(status: StatusView, moment: Moment, glyphs: Glyphs) -> tuple[Line, ...]:
    session = status.session
    word = clean(session.state).upper()
    tone = "" if session.state == "open" else "attention"
    if session.extended:
        word += " extended"
    # A tape's speed stands beside its state already.
    speed = "" if session.speed == 1 or status.venue is Venue.REPLAY else f" {session.speed:g}x"
    # A halted market is no dead feed: it is told of the session, and never leaves the line.
    halted: Line = ((" ", ""), (HALTED, "attention bold")) if status.halts else ()
    head: Line = ((f"{word}{speed}", tone), *halted)
    last: Line = halted[1:]
    if session.next_event_at is None:
        return (head, head, head, head, last)
    left = countdown((session.next_event_at - moment.market_now).total_seconds(), glyphs)
    when = f"{clock_time(session.next_event_at)[:5]} "
    event = clean(session.next_event)
    return (
        (*head, (f", {when}{event} in {left}", "")),
        (*head, (f", {event} {left}", "")),
        (*head, (f" {left}", "")),
        head,
        last,
    )


def _ages(feed: FeedView, moment: Moment, glyphs: Glyphs, settings: TerminalSettings) -> tuple[Line, ...]:
    seconds = None if feed.age_s is None else feed.age_s + moment.picture_age_s
    shown = age(seconds, glyphs)
    if feed.connections == 0:
        feed_spans: tuple[Span, ...] = ((f"feed DISCONNECTED {shown}", "attention"),)
        short: tuple[Span, ...] = ((f"feed DOWN {shown}", "attention"),)
    elif feed.state is not QuoteState.LIVE:
        tone = "attention" if feed.state in {QuoteState.STALE, QuoteState.UNKNOWN} else "muted"
        feed_spans = short = ((f"feed {STATE_WORDS[feed.state]} {shown}", tone),)
    else:
        late = seconds is None or seconds > settings.feed_age_limit_s * AMBER_SHARE
        feed_spans = short = (("feed ", "muted"), (shown, "attention" if late else ""))
    lag = moment.screen_lag_ms
    delay = milliseconds(lag, glyphs)
    if lag > settings.screen_late_ms:
        screen: tuple[Span, ...] = ((f"SCREEN LATE {delay}", "attention"),)
    else:
        amber = lag > settings.screen_late_ms * AMBER_SHARE
        screen = (("screen ", "muted"), (delay, "attention" if amber else ""))
    return ((*feed_spans, ("  ", ""), *screen), (*short, (" ", ""), *screen))


def _budget(status: StatusView) -> tuple[Line, ...]:
    budget = status.budget
    full = budget.second_used >= budget.second_limit or budget.day_used >= budget.day_limit
    tone = "attention" if full else ""
    second = f"{budget.second_used}/{budget.second_limit}s"
    return (
        (
            ("orders ", "muted"),
            (f"{second} {budget.minute_used}/{budget.minute_limit}m {budget.day_used}/{budget.day_limit}d", tone),
        ),
        (("orders ", "muted"), (f"{second} {budget.day_used}d", tone)),
        (("ord ", "muted"), (second, tone)),
        (),
    )


def _day_figure(status: StatusView, mark: Mark, glyphs: Glyphs) -> Line:
    value = status.day_profit.get(mark)
    part = "p" if status.day_profit_partial.get(mark) else ""
    return ((f"{money(value, glyphs)}{part}", _sign_tone(value)),)


def _second_left(status: StatusView, mark: Mark, glyphs: Glyphs) -> list[Field]:
    ordered = [mark, *(other for other in Mark if other is not mark)]
    forms: list[Line] = []
    for count in range(len(ordered), 0, -1):
        spans: list[Span] = [(" Day", "muted")]
        for place, chosen in enumerate(ordered[:count]):
            gap = " " if place == 0 else "  "
            spans.append((f"{gap}{chosen.value} ", "bold" if place == 0 else "muted"))
            spans += _day_figure(status, chosen, glyphs)
        forms.append(tuple(spans))
    share = whole_percent(status.margin_utilisation, glyphs)
    fields = [
        Field(tuple(forms), (30, 20)),
        Field(((("margin ", "muted"), (share, "")), (("mgn ", "muted"), (share, "")), ()), (60, 10)),
    ]
    if status.venue_note:
        fields.append(Field((((clean(status.venue_note), "muted"),), ()), (80,)))
    return fields


def _alarms(status: StatusView, moment: Moment) -> tuple[Line, ...]:
    long: list[Span] = []
    short: list[Span] = []
    if moment.frozen_s is not None:
        long.append((f"FROZEN {age(moment.frozen_s)}  ", "attention"))
        short.append(("FROZEN ", "attention"))
    if status.degraded:
        long.append((f"{len(status.degraded)} degraded  ", "attention"))
        short.append((f"-{len(status.degraded)} ", "attention"))
    if status.unknown_orders:
        long.append((f"{status.unknown_orders} unknown  ", "attention"))
        short.append((f"?{status.unknown_orders} ", "attention"))
    if status.unread_events:
        plural = "" if status.unread_events == 1 else "s"
        long.append((f"{status.unread_events} event{plural} ", "attention"))
        short.append((f"!{status.unread_events} ", "attention"))
    return (merged(long), merged(short))


def _packed(fields: list[Field], end: Field, separator: Line, width: int) -> Line:
    """Shorten fields step by step, the steps with the highest order first, until the line fits."""
    everything = [*fields, end]
    chosen = [0] * len(everything)

    def left() -> list[Span]:
        spans: list[Span] = []
        for field, form in zip(fields, chosen, strict=False):
            if field.forms[form]:
                spans += [*(separator if spans else ()), *field.forms[form]]
        return spans

    while width_of(left()) + width_of(end.forms[chosen[-1]]) + END_GAP + 1 > width:
        steps = [(f.order[chosen[i]], i) for i, f in enumerate(everything) if chosen[i] < len(f.forms) - 1]
        if not steps:
            break
        chosen[max(steps)[1]] += 1
    return spread(left(), (*end.forms[chosen[-1]], (" ", "")), width)
