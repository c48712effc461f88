"""The window of strikes around the money: it covers, it follows, it does not flap."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from engine.market.strike_window import StrikeWindow, WindowSettings, moved, nearest

STRIKES = tuple(Decimal(strike) for strike in range(20_000, 28_001, 50))
SETTINGS = WindowSettings(underlyings=("NIFTY",), strikes_each_side=10, recentre_after=3)
PRICES = st.floats(19_000, 29_000)
LISTED = st.lists(st.integers(1, 4000), min_size=1, max_size=80, unique=True).map(
    lambda steps: tuple(Decimal(step) * Decimal("2.5") for step in sorted(steps))
)


def place(strikes: tuple[Decimal, ...], price: float) -> int:
    """Index of the nearest strike, the plain way; the lower of two."""
    return min(range(len(strikes)), key=lambda index: (abs(strikes[index] - Decimal(repr(price))), index))


@given(LISTED, st.floats(-100, 20_000))
def test_the_nearest_strike_is_the_nearest(strikes: tuple[Decimal, ...], price: float) -> None:
    """Bisection finds what looking at every strike finds."""
    assert nearest(strikes, price) == place(strikes, price)


def test_a_window_is_symmetric_and_cut_at_the_ends() -> None:
    """So many strikes each side of the money; fewer where the list ends."""
    window = moved(None, STRIKES, 24_010.0, SETTINGS)
    assert window.centre == 24_000
    assert window.strikes == tuple(Decimal(strike) for strike in range(23_500, 24_501, 50))
    low = moved(None, STRIKES, 19_000.0, SETTINGS)
    assert (low.strikes[0], low.strikes[-1]) == (Decimal(20_000), Decimal(20_500))


def test_it_moves_only_when_the_money_has_left_the_middle() -> None:
    """Three strikes off is nothing; four moves the centre to the money, and three back is nothing again."""
    window = moved(None, STRIKES, 24_000.0, SETTINGS)
    assert moved(window, STRIKES, 24_150.0, SETTINGS) is window
    after = moved(window, STRIKES, 24_200.0, SETTINGS)
    assert after.centre == 24_200
    assert moved(after, STRIKES, 24_050.0, SETTINGS) is after


def test_new_strikes_are_taken_in_and_a_centre_that_is_gone_is_left() -> None:
    """The list may grow during the day; a window whose centre is listed no more is made anew."""
    window = moved(None, STRIKES[::2], 24_000.0, SETTINGS)
    denser = moved(window, STRIKES, 24_000.0, SETTINGS)
    assert denser.centre == 24_000
    assert len(denser.strikes) == 21
    assert denser.strikes[1] - denser.strikes[0] == 50
    gone = moved(window, tuple(strike for strike in STRIKES if strike != 24_000), 24_090.0, SETTINGS)
    assert gone.centre == 24_100


@given(LISTED, st.lists(st.floats(0, 10_000), min_size=1, max_size=40), st.integers(1, 12), st.integers(0, 11))
def test_the_money_is_always_covered(
    strikes: tuple[Decimal, ...], prices: list[float], side: int, recentre_after: int
) -> None:
    """After every price: at least ``side - recentre_after`` strikes each side of the money, if so many are listed."""
    settings = WindowSettings(strikes_each_side=side, recentre_after=min(recentre_after, side - 1))
    spare = side - settings.recentre_after
    window: StrikeWindow | None = None
    for price in prices:
        window = moved(window, strikes, price, settings)
        money = place(strikes, price)
        assert set(strikes[max(0, money - spare) : money + spare + 1]) <= set(window.strikes)
        assert len(window.strikes) <= 2 * side + 1
        assert list(window.strikes) == sorted(window.strikes)


@given(st.lists(PRICES, min_size=2, max_size=60))
def test_it_never_moves_without_a_reason(prices: list[float]) -> None:
    """Between two moves the money has travelled more strikes than the inner band."""
    window = moved(None, STRIKES, prices[0], SETTINGS)
    for price in prices[1:]:
        after = moved(window, STRIKES, price, SETTINGS)
        if after is not window:
            travelled = abs(STRIKES.index(after.centre) - STRIKES.index(window.centre))
            assert travelled > SETTINGS.recentre_after
        window = after


@given(PRICES, st.lists(st.floats(-1, 1), min_size=1, max_size=60))
def test_a_price_that_swings_within_the_band_moves_it_once_at_most(middle: float, swings: list[float]) -> None:
    """A swing of three strikes from end to end, wherever it lies, cannot flap the window."""
    band = SETTINGS.recentre_after * 50 / 2 - 25
    window = moved(None, STRIKES, 24_000.0, SETTINGS)
    moves = 0
    for swing in swings:
        after = moved(window, STRIKES, middle + swing * band, SETTINGS)
        moves += after is not window
        window = after
    assert moves <= 1
