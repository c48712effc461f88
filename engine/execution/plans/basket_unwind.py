"""Taking a basket's legs off again: all of them, or only what stands uncovered. Sold legs before what covers them."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import msgspec

from engine.execution.plans.algorithm import Move, PlanPicture, Withdraw
from engine.execution.plans.basket_legs import BasketLeg, BasketStanding
from engine.execution.plans.bounds import Seconds, Step, check_protection
from engine.execution.plans.exit_prices import PriceReach, PriceStep, step_price, trusted
from engine.execution.plans.plan_facts import Facts
from engine.execution.plans.series import FAILED
from engine.execution.plans.unwind import Priced, TakeOff, seen, take_off

TAKING_BACK, BLIND = "taking_back", "q"
"""Facts: since when legs are taken off again; ``q0`` since when the quote of leg 0 cannot be trusted."""


class UnwindSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How fast the legs of a basket are taken off again; durations in seconds of market time."""

    first: Step = int(PriceStep.THROUGH)
    """First step of its prices: 1 rests at its own side, 2 half way, 3 meets the other side, 4 a little through it,
    5 through the visible book, 6 at the edge of what is taken."""
    step_s: Seconds = 0.75
    """How long each step lasts."""
    blind_s: Seconds = 0.5
    """How long a quote that cannot be trusted is waited for before the broker's protection prices the order."""
    reprice_s: Seconds = 0.5
    """Least time between two changes of one order."""
    retry_s: Seconds = 0.5
    """Pause after an order that came to nothing; it doubles up to ``retry_max_s``."""
    retry_max_s: Seconds = 4.0
    protection: Decimal = Decimal(-1)
    """Percent of market protection; −1 leaves it to the broker."""
    reach: PriceReach = PriceReach()

    def __post_init__(self) -> None:
        """Refuse settings that cannot hold together.

        Raises:
            ValueError: pauses shrink, or the protection is none.
        """
        if self.retry_max_s < self.retry_s:
            raise ValueError(f"retry_max_s ({self.retry_max_s:g}) is at least retry_s ({self.retry_s:g})")
        check_protection(self.protection)


def unwind(picture: PlanPicture, basket: BasketStanding, facts: Facts, settings: UnwindSettings) -> list[Move]:
    """Withdraw what still brings legs on, and take off what is on: a bought leg as far as no sold one needs it."""
    free = basket.not_needed()
    moves: list[Move] = []
    for leg in (*basket.sold, *basket.bought):
        moves += [Withdraw(number=order.number, words="the basket is being taken back") for order in leg.orders.working]
    for leg in (*basket.sold, *basket.bought):
        at_work = leg.on if leg.is_sold else free[leg.index]
        moves += _take_back(picture, leg, max(0, at_work), facts, settings)
    return moves


def trim(picture: PlanPicture, basket: BasketStanding, facts: Facts, settings: UnwindSettings) -> list[Move]:
    """Withdraw sold legs that could fill uncovered, and buy back what stands so."""
    moves: list[Move] = []
    if basket.exposed:
        for leg in basket.sold:
            words = "it could fill without cover"
            moves += [Withdraw(number=order.number, words=words) for order in leg.orders.working]
    for index, quantity in basket.too_much().items():
        moves += _take_back(picture, basket.legs[index], quantity, facts, settings)
    return moves


def _take_back(
    picture: PlanPicture, leg: BasketLeg, at_work: int, facts: Facts, settings: UnwindSettings
) -> list[Move]:
    if leg.instrument is None or not (at_work or leg.undo.working):
        return []
    side, last = leg.request.side.opposite, leg.undo.last
    failures = leg.undo.failures
    may_place = True
    if failures and last is not None and last.state in FAILED:
        pause = min(settings.retry_max_s, settings.retry_s * 2 ** (failures - 1))
        may_place = picture.now >= last.updated_at + timedelta(seconds=pause)
    return take_off(
        TakeOff(
            series=leg.undo,
            instrument=leg.instrument,
            product=leg.request.product,
            side=side,
            strategy=leg.request.strategy,
            at_work=at_work,
            piece_max=picture.freeze_quantity(leg.instrument),
            protection=settings.protection,
            may_place=may_place,
            calm_since=picture.now - timedelta(seconds=settings.reprice_s),
        ),
        _price(picture, leg, at_work, facts, settings) if picture.is_open(leg.instrument) else None,
    )


def _price(
    picture: PlanPicture, leg: BasketLeg, quantity: int, facts: Facts, settings: UnwindSettings
) -> Priced | None:
    if leg.instrument is None:
        return None
    quote = picture.quote(leg.instrument)
    known, fact = trusted(quote), f"{BLIND}{leg.index}"
    began = facts.begin(TAKING_BACK, picture.now)
    if known is None:
        since = facts.begin(fact, picture.now)
        if picture.now < since + timedelta(seconds=settings.blind_s):
            return None
        state = "unknown" if quote is None else quote.state.name
        words = f"taken back at market, with the broker's own protection: its quote is {state}"
        return Priced(price=None, words=words, quotes=seen(leg.instrument, quote))
    facts.drop(fact)
    steps = int((picture.now - began).total_seconds() / settings.step_s)
    step = PriceStep(min(PriceStep.EDGE, settings.first + max(0, steps)))
    price = step_price(
        step,
        leg.request.side.opposite,
        known,
        tick=leg.instrument.tick_size,
        quantity=quantity,
        band=picture.price_band(leg.instrument),
        reach=settings.reach,
    )
    return Priced(price=price, words=f"taken back: {step.words}", quotes=seen(leg.instrument, quote))
