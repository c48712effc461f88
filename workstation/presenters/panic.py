"""The panic panel: what the first press did, what one more would do, and when a press counts. No screen in it.

A press that flattens counts only once the panel has been painted and 400 ms have passed since the last panic key: a
held key, or a line that stutters, never flattens. An engine that does not answer in two seconds is not waited for any
longer: the process that needs no engine is started in its place, and that is said.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from enum import StrEnum

from engine.core.commands import Command, HoldRisk, KillSwitch, Receipt
from engine.core.identifiers import StrategyNumber
from engine.core.locks import LockKind, LockView
from engine.core.orders import OrderRecord, OrderState
from engine.core.strategies import StrategyValue
from engine.core.views import DeskView
from engine.core.vocabulary import Mark
from workstation.formatting import Glyphs, age, money
from workstation.presenters.lines import EMPTY, Line, clean, clip, cut, right, wrapped

QUIET_S = 0.4
"""Since the last panic key, before anything flattens."""
ANSWER_S = 2.0
"""How long an engine may take to answer."""
SAID_MAX = 4
"""Newest lines of the kill process that are shown."""
NAME_WIDTH = 24
MONEY_WIDTH = 12
LEGS_WIDTH = 8


class Carrier(StrEnum):
    """Who carries out what was asked last."""

    ENGINE = "engine"
    PROCESS = "process"


class PanicSession:
    """One panel, from the press that opened it.

    Args:
        now: Monotonic seconds of the first press.
        has_process: Whether the kill process can be started from here.
    """

    def __init__(self, now: float, *, has_process: bool) -> None:
        self._last_key = now
        self._painted = False
        self._has_process = has_process
        self._asked_at = now
        self._waits = True
        """An answer of the engine is awaited."""
        self.asked: Command = HoldRisk()
        """What was asked last."""
        self.receipt: Receipt | None = None
        """The newest answer; of the hold at first."""
        self.held: Receipt | None = None
        self.carrier = Carrier.ENGINE
        self.said: list[str] = []
        """What the kill process says."""
        self.code: int | None = None
        """How it ended."""
        self.digits = ""
        self.silent = False
        """The engine has not answered in time."""

    @property
    def has_flattened(self) -> bool:
        """Whether more than the hold was asked for."""
        return isinstance(self.asked, KillSwitch)

    def painted(self) -> None:
        """It can be read from now on."""
        self._painted = True

    def panic_key(self, now: float) -> bool:
        """The panic key again; whether it counts as the second press."""
        counts = self.may_flatten(now)
        self._last_key = now
        return counts

    def may_flatten(self, now: float) -> bool:
        """Whether a key that flattens counts now."""
        return self._painted and now - self._last_key >= QUIET_S

    def digit(self, digit: str, numbers: Sequence[StrategyNumber]) -> StrategyNumber | None:
        """One more digit; the strategy it names once no other number begins so."""
        typed = self.digits + digit
        fitting = [number for number in numbers if str(number).startswith(typed)]
        self.digits = typed if fitting else ""
        if len(fitting) == 1 and str(fitting[0]) == typed:
            self.digits = ""
            return fitting[0]
        return None

    def typed(self, numbers: Sequence[StrategyNumber]) -> StrategyNumber | None:
        """The strategy that the digits so far name, when somebody ends them."""
        found = next((number for number in numbers if str(number) == self.digits), None)
        self.digits = ""
        return found

    def ask(self, command: Command, now: float) -> None:
        """Something more was asked of the engine."""
        self.asked, self._asked_at, self._waits, self.silent = command, now, True, False

    def answered(self, command: Command, receipt: Receipt) -> None:
        """The engine's answer to a command."""
        if isinstance(command, HoldRisk):
            self.held = receipt
        self.receipt = receipt
        if command is self.asked:
            self._waits = self.silent = False

    def overdue(self, now: float) -> bool:
        """Whether the kill process is to be started now; true once for each wait."""
        if not self._waits or self.silent or now - self._asked_at < ANSWER_S:
            return False
        self.silent = True
        return self._has_process and self.carrier is Carrier.ENGINE

    def by_process(self) -> None:
        """From now on the kill process does it."""
        self.carrier, self.code, self._waits = Carrier.PROCESS, None, False
        self.said.clear()

    def heard(self, line: str) -> None:
        """The kill process said something."""
        self.said.append(clean(line))
        del self.said[:-SAID_MAX]

    def ended(self, code: int) -> None:
        """The kill process has ended."""
        self.code = code


def open_strategies(desk: DeskView | None) -> tuple[StrategyValue, ...]:
    """Strategies that hold something, by number."""
    values = () if desk is None else desk.strategies
    return tuple(sorted((v for v in values if v.open_legs), key=lambda value: value.strategy.number))


def panic_title(desk: DeskView | None, words: str) -> str:
    """The frame's title."""
    locks = () if desk is None else desk.locks
    word = "KILLED" if any(lock.kind is LockKind.KILL for lock in locks) else "HELD"
    return f"{word} - {words}" if words else word


def panic_lines(session: PanicSession, desk: DeskView | None, width: int, glyphs: Glyphs) -> list[Line]:
    """The whole panel."""
    lines = [*_done(session, desk, width, glyphs), EMPTY]
    values = open_strategies(desk)
    if values:
        lines += [*_choices(session, values, width, glyphs), EMPTY]
    else:
        lines += [cut(((" No strategy holds anything.", "muted"),), width), EMPTY]
    lines += _state(session, desk, values, width, glyphs)
    return lines


def _done(session: PanicSession, desk: DeskView | None, width: int, glyphs: Glyphs) -> list[Line]:
    if session.held is None:
        first = "Holding: new risk is being blocked, resting entries are being cancelled."
        lines = _text(first, "attention", width)
    else:
        tone = "" if session.held.accepted else "danger"
        lines = _text(session.held.message, tone, width)
        asked = session.held.orders
        if asked:
            over = sum(_is_over(order, desk) for order in asked)
            lines += _text(f"{over} of {len(asked)} resting entries are gone by the broker's book.", "", width)
    if session.has_flattened:
        if session.receipt is not None and session.receipt is not session.held:
            lines += _text(session.receipt.message, "" if session.receipt.accepted else "danger", width)
        elif session.carrier is Carrier.ENGINE and not session.silent:
            lines += _text("Flattening was asked for.", "attention", width)
    else:
        lines += _text("Stops, exits and guards keep working. No position has been touched.", "muted", width)
    if session.silent or session.carrier is Carrier.PROCESS:
        lines += _process(session, width)
    del glyphs
    return lines


def _process(session: PanicSession, width: int) -> list[Line]:
    if session.carrier is Carrier.ENGINE:
        words = "The engine does not answer, and runs elsewhere: type `workstation kill` on its machine."
        return _text(words, "danger", width)
    what = "cancels and flattens" if session.has_flattened else "cancels entries"
    lines = _text(
        f"The engine does not answer: `workstation kill` {what} in a process of its own, without engine and database.",
        "danger",
        width,
    )
    for line in session.said:
        lines += _text(line, "muted", width)
    if session.code is not None:
        ends = {0: "It is done, verified by the broker's books.", 5: "It is done, but an outcome is unknown."}
        words = ends.get(session.code, f"It ended with exit code {session.code}: look at the broker's book.")
        lines += _text(words, "attention" if session.code else "", width)
    return lines


def _choices(session: PanicSession, values: Sequence[StrategyValue], width: int, glyphs: Glyphs) -> list[Line]:
    lines = []
    for value in values:
        number = value.strategy.number
        name = clip(f"flatten #{number} {clean(value.strategy.name)}", NAME_WIDTH, glyphs)
        lines.append(_row(str(number), name, value.open_legs, _worst(value), width, glyphs))
    worst = [_worst(value) for value in values]
    total = None if any(one is None for one in worst) else sum((one for one in worst if one is not None), Decimal(0))
    legs = sum(value.open_legs for value in values)
    lines.append(_row("Ctrl-X again, or X:", "everything", legs, total, width, glyphs))
    lines.append(cut((("  K", "key"), ("   the same, and stay locked until unlocked", "")), width))
    if session.digits:
        lines.append(cut(((f"  {session.digits}", "key"), ("   Enter takes it, or go on typing", "muted")), width))
    return lines


def _row(  # noqa: PLR0917 - a row of figures
    key: str, name: str, legs: int, worst: Decimal | None, width: int, glyphs: Glyphs
) -> Line:
    head = key if len(key) > 2 else f"{key:<2}"
    text = f"  {head}  {name}".ljust(NAME_WIDTH + 10)
    counted = f"{legs} leg" if legs == 1 else f"{legs} legs"
    figure = right(money(worst, glyphs), MONEY_WIDTH)
    spans = ((text[: 2 + len(head)], "key"), (text[2 + len(head) :], ""), (right(counted, LEGS_WIDTH), ""))
    return cut((*spans, ("   at worst", "muted"), (figure, _tone(worst)), (" net", "muted")), width)


def _worst(value: StrategyValue) -> Decimal | None:
    """What leaving now would leave, the bad side of every book taken; ``None`` when a leg has no exit."""
    return None if value.partial.get(Mark.EXIT) else value.net_at_exit


def _state(
    session: PanicSession, desk: DeskView | None, values: Sequence[StrategyValue], width: int, glyphs: Glyphs
) -> list[Line]:
    lines = []
    without = sum(len(value.partial.get(Mark.EXIT, ())) for value in values)
    if without:
        legs = "1 leg has" if without == 1 else f"{without} legs have"
        lines += _text(f"{legs} no exit price now: those sums are not known.", "attention", width)
    if desk is not None:
        budget = desk.status.budget
        free = max(0, budget.second_limit - budget.second_used)
        feed = age(desk.status.feed.age_s, glyphs)
        words = f"{free} of {budget.second_limit} orders free this second   feed {feed}"
        lines += _text(words, "muted", width)
        lines += [line for lock in desk.locks for line in _text(lock_words(lock), "attention", width)]
    if session.has_flattened:
        lines += _text("Esc closes this; the hold stays.", "muted", width)
    else:
        lines += _text("Esc releases the hold and leaves the mode at READ until you arm again.", "muted", width)
    return lines


def lock_words(lock: LockView) -> str:
    """One lock in a line."""
    return f"{lock.account}: {lock.kind.value}" + (f", {clean(lock.words)}" if lock.words else "")


def _is_over(order: OrderRecord, desk: DeskView | None) -> bool:
    known = () if desk is None else desk.orders
    now = next((one for one in known if one.number == order.number), order)
    return now.state.is_terminal and now.state is not OrderState.PRESUMED_ABSENT


def _tone(value: Decimal | None) -> str:
    if not value:
        return ""
    return "gain" if value > 0 else "loss"


def _text(text: str, tone: str, width: int) -> list[Line]:
    return [((f" {part}", tone),) for part in wrapped(clean(text), max(1, width - 1))]
