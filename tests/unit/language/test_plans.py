"""Sentences about plans: how an order is worked, what waits for a time or a price, and a plan's turns."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from engine.core.commands import CancelPlan, ExitPositions, MakePlan, PlaceOrder, SteerPlan
from engine.core.plans import (
    AtTime,
    Chase,
    Comparison,
    Floors,
    Iceberg,
    Manner,
    PlanNumber,
    PlanTurn,
    Twap,
    WhenPrice,
)
from engine.core.vocabulary import QuoteState
from engine.language.describe import describe
from engine.language.parser import interpret
from engine.language.resolver import Resolver
from tests.unit.language.world import NIFTY_INDEX, World


def command_of(text: str, world: Resolver) -> object:
    """What a sentence asks for; it must be whole."""
    meaning = interpret(text, world)
    assert meaning.error is None, meaning.error
    return meaning.command


@pytest.mark.parametrize(
    ("words", "manner"),
    [
        ("chase 3 ticks", Chase(ticks=3)),
        ("twap 5m", Twap(duration_s=300)),
        ("twap 90s", Twap(duration_s=90)),
        ("iceberg 5", Iceberg(pieces=5)),
    ],
)
def test_a_manner_stands_among_the_options(world: World, words: str, manner: Manner) -> None:
    """Before or after the others, and the canonical sentence says it again."""
    for text in (f"buy 30L banknifty fut m0 @ 100 {words} mis", f"buy 30L banknifty fut m0 {words} @ 100 mis into 3"):
        command = command_of(text, world)
        assert isinstance(command, PlaceOrder)
        assert command.manner == manner
        assert command_of(describe(command, world), world) == command


@pytest.mark.parametrize(("side", "price"), [("buy", "151.20"), ("sell", "151.60")])
def test_a_chase_without_a_price_begins_at_its_own_side(world: World, side: str, price: str) -> None:
    """It rests: the bid for a buy, the ask for a sell."""
    command = command_of(f"{side} 1L nifty 24400 ce w0 chase 3 ticks", world)
    assert isinstance(command, PlaceOrder)
    assert command.request.price == Decimal(price)


def test_a_time_is_of_today_in_india(world: World) -> None:
    """09:20 in India is 03:50 UTC; the action is kept as it was written."""
    command = command_of("at 9:20 buy 2L nifty atm ce w0 @ touch", world)
    assert isinstance(command, MakePlan)
    assert command.trigger == AtTime(at=datetime(2026, 11, 24, 3, 50, tzinfo=UTC))
    assert command.sentence == "buy 2L nifty atm ce w0 @ touch"
    assert command.window_s == 30
    assert command.floors == Floors()


def test_several_prices_are_joined_by_and_and_or(world: World) -> None:
    """Each test keeps its own length; ``and`` binds before ``or``; the canonical sentence means the same."""
    text = "when nifty > 24,500 for 30s and nifty < 24,600 or banknifty fut <= 57,000 within 1m then exit all"
    command = command_of(text, world)
    assert isinstance(command, MakePlan)
    trigger = command.trigger
    assert isinstance(trigger, WhenPrice)
    assert [(test.comparison, test.level, test.for_s) for test in trigger.tests] == [
        (Comparison.ABOVE, Decimal(24_500), 30.0),
        (Comparison.BELOW, Decimal(24_600), 0.0),
        (Comparison.AT_MOST, Decimal(57_000), 0.0),
    ]
    assert trigger.tests[0].instrument == NIFTY_INDEX.key != trigger.tests[2].instrument
    assert trigger.groups == ((0, 1), (2,))
    assert command.window_s == 60
    assert command_of(describe(command, world), world) == command


def test_window_and_floors_stand_before_the_action(world: World) -> None:
    """In any order, and the canonical sentence means the same."""
    command = command_of("at 09:20:05 spread 2% within 1m credit 1,500 sell 2L nifty atm ce w0", world)
    assert isinstance(command, MakePlan)
    assert command.window_s == 60
    assert command.floors == Floors(credit_min=Decimal(1500), spread_percent_max=Decimal(2))
    assert command_of(describe(command, world), world) == command


@pytest.mark.parametrize("sign", list(Comparison))
def test_a_price_of_an_index(world: World, sign: Comparison) -> None:
    """By the underlying's name; how long it holds is optional."""
    command = command_of(f"when nifty {sign} 24,500 for 30s then buy 2L nifty atm ce w0 @ touch", world)
    assert isinstance(command, MakePlan)
    assert isinstance(command.trigger, WhenPrice)
    test = command.trigger.test
    assert (test.instrument, test.comparison, test.level, test.for_s) == (NIFTY_INDEX.key, sign, Decimal(24_500), 30)
    assert command_of(describe(command, world), world) == command


@pytest.mark.parametrize(
    ("words", "symbol"),
    [
        ("nifty 24400 ce w0", "NIFTY26DEC0124400CE"),
        ("nifty 24400 pe", "NIFTY26DEC0124400PE"),
        ("banknifty fut m0", "BANKNIFTY26DEC29FUT"),
        ("banknifty", "BANKNIFTY26DEC29FUT"),
    ],
)
def test_a_price_of_a_contract(world: World, words: str, symbol: str) -> None:
    """An option or a future is named as in an order; an underlying without an index is its nearest future."""
    command = command_of(f"when {words} < 100 then exit 3", world)
    assert isinstance(command, MakePlan)
    assert isinstance(command.trigger, WhenPrice)
    assert command.trigger.test.instrument.tradingsymbol == symbol
    assert command_of(describe(command, world), world) == command


def test_what_is_not_known_now_may_be_known_then(world: World) -> None:
    """Before the open there is neither a quote nor a strike at the money: the sentence is taken, and its grammar is
    judged all the same.
    """
    world.middle = None
    world.set_state(QuoteState.UNKNOWN)
    assert isinstance(command_of("at 9:20 buy 2L nifty atm ce w0 @ mid+0.10", world), MakePlan)
    assert interpret("buy 2L nifty atm ce w0 @ mid+0.10", world).error is not None
    assert interpret("at 9:20 buy 2L nifty atm ce w0 @ mid+0.11", world).error is not None


def test_an_error_of_the_action_stands_in_its_place(world: World) -> None:
    """The place counts from the beginning of the whole sentence."""
    text = "at 9:20 within 30s buy 2L nifty 24010 ce w0"
    error = interpret(text, world).error
    assert error is not None
    assert text[error.place : error.place + error.length] == "24010"


def test_unfinished_plans_say_what_is_missing(world: World) -> None:
    """Each is incomplete, not wrong."""
    for text in ("at", "at 9:20", "when", "when nifty", "when nifty >", "when nifty > 24,500", "when nifty > 24,500 then", "hurry"):  # fmt: skip # noqa: E501
        error = interpret(text, world).error
        assert error is not None, text
        assert error.incomplete, text


@pytest.mark.parametrize("turn", list(PlanTurn))
def test_turns_name_a_plan(world: World, turn: PlanTurn) -> None:
    """The word and the plan, and back again."""
    command = command_of(f"{turn} p12", world)
    assert command == SteerPlan(number=PlanNumber(12), turn=turn)
    assert command_of(describe(SteerPlan(number=PlanNumber(12), turn=turn), world), world) == command


def test_cancel_names_a_plan(world: World) -> None:
    """Orders and plans are told apart by their letter."""
    assert command_of("cancel p1", world) == CancelPlan(number=PlanNumber(1))
    assert describe(CancelPlan(number=PlanNumber(1)), world) == "cancel p1"


def test_pause_without_a_plan_is_the_tapes(world: World) -> None:
    """The word belongs to both, and one word of look-ahead tells them apart."""
    assert interpret("pause", world).wish is not None


def test_an_exit_can_wait(world: World) -> None:
    """The action may be anything that brings flat."""
    command = command_of("at 15:08 exit 3 now", world)
    assert isinstance(command, MakePlan)
    meaning = interpret(command.sentence, world).command
    assert isinstance(meaning, ExitPositions)
