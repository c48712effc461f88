"""Exit to flat: a goal, worked until the position is where it was to be. Pure; the desk of plans runs it.

Shorts first, each bought leg as far as no short needs it any more. Never more at work than is left to go, counting what
may still fill as filled; prices on a written schedule; refused, rejected and replaced orders are followed by new ones
until the goal is reached, because the goal is what was confirmed, not an order.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial

from engine.core.identifiers import InstrumentKey
from engine.core.instruments import Instrument
from engine.core.money import nearest_ticks
from engine.core.orders import OrderState
from engine.core.plans import ExitManner, ExitPlan, PlanProgress, PlanRecord, PlanState, PlanStep, PlanTurn
from engine.core.vocabulary import Side
from engine.execution.plans.algorithm import Advance, Move, PlanPicture, Withdraw
from engine.execution.plans.exit_goals import GoalStanding, allowances, heard_of, standings
from engine.execution.plans.exit_guards import clearing_moves, gone_units, guard_moves, remember
from engine.execution.plans.exit_prices import PriceStep, mark_of, step_price, trusted
from engine.execution.plans.exit_report import (
    BEGAN,
    DECIDED,
    close_books,
    exit_steps,
    is_whole,
    left_words,
    total_slippage,
)
from engine.execution.plans.exit_schedule import ExitSettings, starts_at, step_now
from engine.execution.plans.plan_facts import Facts
from engine.execution.plans.series import FAILED, Series
from engine.execution.plans.unwind import Priced, TakeOff, seen, take_off
from engine.execution.words import grouped_decimal

SINCE, BLIND, REFUSED, SHIFT, LIFTED, FLAT_AT = "t", "q", "r", "shift", "lifted", "flat_at"
"""Facts: ``t0`` when goal 0 began to be worked, ``q0`` since when its quote cannot be trusted, ``r0`` when an order of
it was last tried after a refusal; steps a person moved the schedule by; the cap on slippage was lifted; flat since."""
LOOK_S = 1.0
"""The longest time without a look while it works."""


class ExitAlgorithm:
    """Implements ``Algorithm`` for ``ExitPlan``.

    Args:
        settings: Paces, pauses, and how far prices go.
    """

    def __init__(self, settings: ExitSettings) -> None:
        self._settings = settings

    def advance(self, picture: PlanPicture) -> Advance:
        """What follows now."""
        spec, facts = exit_plan(picture.plan), Facts(picture.plan.progress.facts)
        start = starts_at(spec, picture.plan.created_at, self._settings)
        _take_turns(facts, picture)
        if picture.now < start and not facts.has(BEGAN) and PlanTurn.HURRY not in picture.turns:
            note = "Begins early enough to be flat by the time asked; hurry begins now."
            return Advance(progress=self._progress(picture, facts, note), look_again=start)
        facts.begin(BEGAN, picture.now)
        rows = self._rows(picture, spec, facts)
        for row in rows:
            remember(facts, row)
            self._decide(picture, row, facts)
        if all(row.is_flat for row in rows):
            return self._flat(picture, rows, facts)
        facts.drop(FLAT_AT)
        work = _Work(picture, spec, facts, rows, self._settings)
        moves = work.moves()
        if not moves and not any(row.left and _is_open(picture, row) for row in rows) and _nothing_works(rows):
            known = all(row.known for row in rows)
            if known and any(row.left for row in rows):
                words = f"The market is closed; {left_words(rows)} are left."
                return Advance(progress=self._progress(picture, facts, words), state=PlanState.FAILED, alarm=words)
        return Advance(
            moves=tuple(moves),
            progress=self._progress(picture, facts, work.note()),
            look_again=work.look_again(),
            alarm=work.alarm,
        )

    def stop(self, picture: PlanPicture) -> Advance:
        """Withdraw what works; positions stay."""
        facts = Facts(picture.plan.progress.facts)
        rows = self._rows(picture, exit_plan(picture.plan), facts)
        working = [order for row in rows for order in (*row.orders.working, *row.back.working)]
        if working:
            moves = tuple(Withdraw(number=order.number, words="the exit is being cancelled") for order in working)
            note = f"Being cancelled: {', '.join(f'o{order.number}' for order in working)}."
            return Advance(moves=moves, progress=self._progress(picture, facts, note), state=PlanState.CANCELLING)
        left = left_words(rows)
        words = f"Cancelled; {left} are left." if left else f"It was done already. {close_books(picture, rows, facts)}"
        state = PlanState.CANCELLED if left else PlanState.DONE
        return Advance(progress=self._progress(picture, facts, words), state=state)

    def watched(self, plan: PlanRecord) -> tuple[InstrumentKey, ...]:
        """The contracts that are to go."""
        return tuple(dict.fromkeys(goal.instrument for goal in exit_plan(plan).goals))

    def steps(self, picture: PlanPicture) -> tuple[PlanStep, ...]:
        """One row a goal."""
        rows = self._rows(picture, exit_plan(picture.plan), Facts(picture.plan.progress.facts))
        allowed = allowances(rows)
        return exit_steps(picture, rows, frozenset(row.index for row in rows if row.left and not allowed[row.index]))

    def _rows(self, picture: PlanPicture, spec: ExitPlan, facts: Facts) -> list[GoalStanding]:
        units = [gone_units(facts, index, partial(heard_of, picture)) for index in range(len(spec.goals))]
        return standings(picture, spec, units)

    def _decide(self, picture: PlanPicture, row: GoalStanding, facts: Facts) -> None:
        """Keep the price that a goal is measured against: the first that can be trusted."""
        if row.instrument is None or facts.has(f"{DECIDED}{row.index}"):
            return
        mark = mark_of(picture.quote(row.instrument))
        if mark is not None:
            facts.set_price(f"{DECIDED}{row.index}", mark)

    def _flat(self, picture: PlanPicture, rows: list[GoalStanding], facts: Facts) -> Advance:
        since = facts.begin(FLAT_AT, picture.now)
        until = since + timedelta(seconds=self._settings.trades_wait_s)
        if not is_whole(picture, rows) and picture.now < until:
            note = "Flat; waits for the broker's trades."
            return Advance(
                progress=self._progress(picture, facts, note), look_again=min(until, picture.now + _s(LOOK_S))
            )
        words = close_books(picture, rows, facts)
        return Advance(progress=self._progress(picture, facts, words), state=PlanState.DONE)

    def _progress(self, picture: PlanPicture, facts: Facts, note: str) -> PlanProgress:
        return PlanProgress(step=picture.plan.progress.step, note=note, facts=facts.text)


class _Work:
    """One look at the goals of an exit that is not done."""

    def __init__(
        self, picture: PlanPicture, spec: ExitPlan, facts: Facts, rows: list[GoalStanding], settings: ExitSettings
    ) -> None:
        self._picture = picture
        self._spec = spec
        self._facts = facts
        self._rows = rows
        self._settings = settings
        self._looks = [picture.now + _s(LOOK_S)]
        self._notes: list[str] = []
        self.alarm = ""

    def moves(self) -> list[Move]:
        """Of all goals: shorts before longs."""
        found: list[Move] = []
        allowed = allowances(self._rows)
        for row in sorted(self._rows, key=lambda row: (row.sign, row.index)):
            found += clearing_moves(row)
            found += self._goal(row, allowed)
            found += guard_moves(row)
            found += self._take_back(row)
        return found

    def note(self) -> str:
        """What it does now."""
        return " ".join(self._notes) or f"Works: {left_words(self._rows)}."

    def look_again(self) -> datetime:
        """The first moment at which something is due."""
        return max(self._picture.now + _s(self._settings.step_least_s / 2), min(self._looks))

    def _goal(self, row: GoalStanding, allowed: dict[int, int]) -> list[Move]:
        instrument, name = row.instrument, row.goal.instrument.tradingsymbol
        if instrument is None:
            self._say(f"{name} is not in today's instruments; it cannot be traded here.", alarm=True)
            return []
        if not row.known:
            self._say(f"What is held of {name} is not known now; it waits.")
            return []
        at_work = min(allowed[row.index], row.left)
        if row.left and not allowed[row.index]:
            self._say(f"{name} waits: {'shorts first' if row.sign > 0 else 'others may take the same units'}.")
        is_open = self._picture.is_open(instrument)
        priced = None
        if at_work and is_open:
            since = self._facts.begin(f"{SINCE}{row.index}", self._picture.now)
            priced = self._price(
                row,
                instrument,
                since,
                others_follow=any(other.left and not allowed[other.index] for other in self._rows if other.sign > 0),
            )
        return take_off(self._order(row, instrument, row.orders, row.side, at_work), priced)

    def _order(self, row: GoalStanding, instrument: Instrument, orders: Series, side: Side, at_work: int) -> TakeOff:
        return TakeOff(
            series=orders,
            instrument=instrument,
            product=row.goal.product,
            side=side,
            strategy=row.goal.strategy,
            at_work=at_work,
            piece_max=self._picture.freeze_quantity(instrument),
            protection=self._settings.protection,
            may_place=self._may_place(row, orders),
            calm_since=self._picture.now - _s(self._settings.reprice_s),
        )

    def _may_place(self, row: GoalStanding, orders: Series) -> bool:
        """Not at once after an order that came to nothing, nor after a refusal."""
        now, last = self._picture.now, orders.last
        failures = orders.failures
        if failures and last is not None and last.state in FAILED:
            pause = min(self._settings.retry_max_s, self._settings.retry_s * 2 ** (failures - 1))
            due = last.updated_at + _s(pause)
            said = last.message or f"o{last.number} is {last.state}"
            self._say(f"{row.goal.instrument.tradingsymbol}: {said}", alarm=last.state is not OrderState.NOT_SENT)
            if now < due:
                self._looks.append(due)
                return False
        fact = f"{REFUSED}{orders.prefix}"
        refusal = self._picture.refusals.get(orders.next_key)
        if refusal is None:
            self._facts.drop(fact)
            return True
        self._say(f"{row.goal.instrument.tradingsymbol} was refused: {refusal}", alarm=True)
        tried = self._facts.begin(fact, now)
        due = tried + _s(self._settings.refused_s)
        if now < due:
            self._looks.append(due)
            return False
        self._facts.set_moment(fact, now)
        return True

    def _price(
        self, row: GoalStanding, instrument: Instrument, since: datetime, *, others_follow: bool
    ) -> Priced | None:
        quote = self._picture.quote(instrument)
        known = trusted(quote)
        fact = f"{BLIND}{row.index}"
        name = instrument.tradingsymbol
        at_market = self._spec.manner is ExitManner.NOW and not row.orders.orders
        if known is None:
            blind_since = self._facts.begin(fact, self._picture.now)
            due = blind_since + _s(self._settings.pace(self._spec.manner).blind_s)
            state = "unknown" if quote is None else quote.state.name
            if self._picture.now < due:
                self._say(f"The quote of {name} is {state}; it is waited for.")
                self._looks.append(due)
                return None
            words = f"the quote of {name} is {state}: at market, with the broker's own protection"
            self._say(f"{words[0].upper()}{words[1:]}.", alarm=True)
            return Priced(price=None, words=words, quotes=seen(instrument, quote))
        self._facts.drop(fact)
        now = step_now(
            self._spec,
            now=self._picture.now,
            since=since,
            shift=self._facts.count(SHIFT),
            others_follow=others_follow and row.sign < 0,
            settings=self._settings,
        )
        if now.next_at is not None:
            self._looks.append(now.next_at)
        price = step_price(
            now.step,
            row.side,
            known,
            tick=instrument.tick_size,
            quantity=row.left,
            band=self._picture.price_band(instrument),
            reach=self._settings.reach,
        )
        capped = self._capped(row, instrument, price)
        if capped is not None:
            price, at_market = capped, False
        if price is None or (at_market and known.touch(row.side) is not None and capped is None):
            words = "now: at market, protected" if price is not None else "no price is known: at market, protected"
            return Priced(price=None, words=words, quotes=seen(instrument, quote))
        if now.step is PriceStep.EDGE:
            self._say(f"{name} {row.side} {price}: {now.step.words}.", alarm=bool(row.orders.working))
        else:
            self._say(f"{name} {row.side} {price}: {now.step.words}.")
        return Priced(
            price=price,
            words=now.step.words,
            follows=now.step <= PriceStep.MID,
            quotes=seen(instrument, quote),
        )

    def _capped(self, row: GoalStanding, instrument: Instrument, price: Decimal | None) -> Decimal | None:
        """The price at the edge of the allowed slippage, when ``price`` would pay more and nobody has said go on."""
        cap, decided = self._spec.slippage_max, self._facts.price(f"{DECIDED}{row.index}")
        if cap is None or decided is None or not row.left or self._facts.has(LIFTED):
            return None
        so_far = total_slippage(self._picture, self._rows, self._facts)
        room = max(Decimal(0), cap + (so_far or Decimal(0))) / row.left
        edge = decided + row.side.sign * room
        if price is not None and (price - edge) * row.side.sign <= 0:
            return None
        below, above = nearest_ticks(edge, instrument.tick_size)
        capped = max(instrument.tick_size, below if row.side is Side.BUY else above)
        self._say(
            f"{instrument.tradingsymbol}: the next price would cost more than the {grouped_decimal(cap)} allowed; "
            f"it stays at {capped}. Hurry goes on.",
            alarm=True,
        )
        return capped

    def _take_back(self, row: GoalStanding) -> list[Move]:
        """Reverse what was taken too much; it stands on the other side of flat."""
        if row.instrument is None or not (row.overshoot or row.back.working):
            return []
        side = row.side.opposite
        quote = trusted(self._picture.quote(row.instrument))
        price = None
        if quote is not None:
            price = step_price(
                PriceStep.THROUGH,
                side,
                quote,
                tick=row.instrument.tick_size,
                quantity=row.overshoot,
                band=self._picture.price_band(row.instrument),
                reach=self._settings.reach,
            )
        words = f"{row.overshoot} units more than was held were taken off; they are taken back"
        self._say(f"{row.goal.instrument.tradingsymbol}: {words}.", alarm=True)
        priced = Priced(price=price, words=words, quotes=seen(row.instrument, quote))
        return take_off(self._order(row, row.instrument, row.back, side, row.overshoot), priced)

    def _say(self, sentence: str, *, alarm: bool = False) -> None:
        if sentence not in self._notes:
            self._notes.append(sentence)
        if alarm and not self.alarm:
            self.alarm = sentence


def exit_plan(plan: PlanRecord) -> ExitPlan:
    """The specification of an exit.

    Raises:
        ValueError: it is another kind of plan.
    """
    if not isinstance(plan.spec, ExitPlan):
        raise ValueError(f"{plan.name} is no exit: {type(plan.spec).__name__}")  # noqa: TRY004 - the caller chose wrongly
    return plan.spec


def _take_turns(facts: Facts, picture: PlanPicture) -> None:
    for turn in picture.turns:
        if turn == PlanTurn.HURRY:
            facts.set_count(SHIFT, facts.count(SHIFT) + 1)
            facts.text[LIFTED] = "yes"
        elif turn == PlanTurn.PATIENT:
            facts.set_count(SHIFT, facts.count(SHIFT) - 1)
        elif turn == PlanTurn.RESUME:
            facts.text[LIFTED] = "yes"


def _is_open(picture: PlanPicture, row: GoalStanding) -> bool:
    return row.instrument is not None and picture.is_open(row.instrument)


def _nothing_works(rows: list[GoalStanding]) -> bool:
    return all(row.is_quiet for row in rows)


def _s(seconds: float) -> timedelta:
    return timedelta(seconds=seconds)
