"""What a chain remembers between two marks changes how long they take, and nothing else."""

from __future__ import annotations

import math

import numpy as np
import pytest

from engine.analytics.arrays import FloatArray
from engine.analytics.black import price
from engine.analytics.chain import ChainMarks, SideQuotes, mark_chain
from engine.analytics.chain_memory import ChainMemory
from engine.analytics.implied_volatility import IvReason

RATE, YEARS = 0.065, 4.25 / 365
STRIKES = np.arange(23_000.0, 25_550.0, 50.0)


def quotes(forward: float, level: float = 0.11, strikes: FloatArray = STRIKES) -> tuple[SideQuotes, SideQuotes]:
    """Both sides of a two-sided market around a smile on the forward."""
    smile = level + 0.8 * np.abs(np.log(strikes / forward))
    nothing = np.full(strikes.size, math.nan)
    sides = []
    for is_call in (True, False):
        fair = price(forward, strikes, YEARS, RATE, smile, is_call=is_call)
        half = np.minimum(0.25, 0.2 * fair)
        sides.append(
            SideQuotes(fair - half, fair + half, nothing, np.zeros(strikes.size, dtype=np.bool_), nothing, nothing)
        )
    return sides[0], sides[1]


def mark(call: SideQuotes, put: SideQuotes, memory: ChainMemory | None, strikes: FloatArray = STRIKES) -> ChainMarks:
    """Mark with the usual terms."""
    return mark_chain(strikes, call, put, years=YEARS, rate=RATE, spot=24_200.0, memory=memory)


def assert_same(warm: ChainMarks, cold: ChainMarks) -> None:
    """Both marks agree: reasons exactly, numbers to rounding."""
    assert warm.forward == cold.forward
    for mine, theirs in ((warm.call, cold.call), (warm.put, cold.put)):
        np.testing.assert_array_equal(mine.reason, theirs.reason)
        np.testing.assert_array_equal(mine.price, theirs.price)
        np.testing.assert_allclose(mine.volatility, theirs.volatility, rtol=1e-11)
        for field, other in zip(mine.greeks, theirs.greeks, strict=True):
            np.testing.assert_allclose(field, other, rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("moves", [(0.0, 0.5, -0.75), (0.0, 150.0, -400.0), (0.0, 3_000.0)])
def test_a_moving_chain_is_marked_as_if_anew(moves: tuple[float, ...]) -> None:
    """Tick after tick, quiet or wild, the marks with a memory are those without."""
    memory = ChainMemory()
    for move in moves:
        call, put = quotes(24_216.5 + move, 0.11 + 1e-5 * abs(move))
        assert_same(mark(call, put, memory), mark(call, put, None))


def test_quotes_that_come_and_go_leave_no_trace() -> None:
    """A quote that is missing for a moment has its reason then, and its volatility again afterwards."""
    memory = ChainMemory()
    call, put = quotes(24_216.5)
    mark(call, put, memory)
    gone = call._replace(bid=call.bid.copy())
    gone.bid[::4] = math.nan
    missing = mark(gone, put, memory)
    assert (missing.call.reason[::4] == IvReason.NO_PRICE).all()
    assert np.isnan(missing.call.volatility[::4]).all()
    assert np.isnan(missing.call.greeks.delta[::4]).all()
    assert_same(mark(call, put, memory), mark(call, put, None))


def test_other_strikes_are_another_chain() -> None:
    """Asked about other strikes, also as many of them, a memory starts anew; an impossible strike does no harm."""
    memory = ChainMemory()
    for strikes in (STRIKES, STRIKES + 25.0, STRIKES[5:], np.empty(0), STRIKES):
        call, put = quotes(24_216.5, strikes=strikes)
        assert_same(mark(call, put, memory, strikes), mark(call, put, None, strikes))
    broken = STRIKES.copy()
    broken[3] = math.nan
    for _ in range(2):
        call, put = quotes(24_216.5)
        marks = mark(call, put, memory, broken)
        assert marks.call.reason[3] == IvReason.BAD_INPUT
        assert (np.delete(marks.call.reason, 3) == IvReason.OK).all()


def test_a_chain_that_had_no_price_at_first() -> None:
    """A memory that began with nothing learns as prices arrive."""
    memory = ChainMemory()
    call, put = quotes(24_216.5)
    nothing = np.full(STRIKES.size, math.nan)
    mark(call._replace(bid=nothing), put._replace(bid=nothing), memory)
    for _ in range(2):
        assert_same(mark(call, put, memory), mark(call, put, None))


def test_what_was_returned_belongs_to_the_caller() -> None:
    """Writing to an answer, or freezing it, does not reach the memory, and the next answer is in other arrays."""
    memory = ChainMemory()
    call, put = quotes(24_216.5)
    first = mark(call, put, memory)
    expected = first.call.volatility.copy()
    first.call.volatility[:] = -5.0
    first.put.volatility.flags.writeable = False
    second = mark(call, put, memory)
    np.testing.assert_allclose(second.call.volatility, expected, rtol=1e-12)
    assert not np.shares_memory(first.call.greeks.delta, second.call.greeks.delta)
