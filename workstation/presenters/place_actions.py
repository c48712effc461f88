"""The actions of the screens that lie over the Desk."""

from __future__ import annotations

from collections.abc import Iterable

from workstation.presenters.action import Action, Place, action_of


def strategy_actions() -> Iterable[Action]:
    """Keys of the Strategy screen."""
    strategy = Place.STRATEGY
    yield action_of(
        strategy,
        "earlier",
        "left_square_bracket",
        "days",
        "screen.days(-1)",
        "Payoff and grid one day earlier, now at the earliest.",
        line=True,
    )
    yield action_of(
        strategy,
        "later",
        "right_square_bracket",
        "days",
        "screen.days(1)",
        "Payoff and grid one day later, the nearest expiry at the latest; 3] is three days.",
        line=True,
    )
    yield action_of(
        strategy,
        "calmer",
        "left_curly_bracket",
        "vol",
        "screen.shift(-1)",
        "Payoff with every volatility one point lower.",
        line=True,
    )
    yield action_of(
        strategy,
        "wilder",
        "right_curly_bracket",
        "vol",
        "screen.shift(1)",
        "Payoff with every volatility one point higher.",
        line=True,
    )
    yield action_of(
        strategy,
        "present",
        "equals_sign",
        "now",
        "screen.present",
        "Payoff and grid at the present day and volatility again.",
        line=True,
    )
    yield action_of(
        strategy, "finer", "plus", "candles", "screen.candles(-1)", "Fewer minutes in a candle, down to one.", line=True
    )
    yield action_of(
        strategy, "coarser", "minus", "candles", "screen.candles(1)", "More minutes in a candle.", line=True
    )
    yield action_of(
        strategy, "why", "y", "why", "screen.why", "Say why figures are missing or old, and what they are.", line=True
    )
    yield action_of(strategy, "next", "n", "next", "screen.step(1)", "The next strategy.", line=True)
    yield action_of(strategy, "before", "N", "before", "screen.step(-1)", "The strategy before.")


def volatility_actions() -> Iterable[Action]:
    """Keys of the Volatility screen."""
    place = Place.VOLATILITY
    yield action_of(place, "series_next", "n", "series", "screen.series(1)", "The next series of minutes.", line=True)
    yield action_of(
        place, "series_back", "N", "series", "screen.series(-1)", "The series of minutes before.", line=True
    )
    yield action_of(
        place,
        "indicator",
        "i",
        "indicator",
        "screen.indicator",
        "The next indicator beside the minutes: EMA, Bollinger, RSI, none.",
        line=True,
    )
    yield action_of(
        place, "zoom", "z", "zoom", "screen.zoom", "The chosen pane alone, or all of them again.", line=True
    )
    yield action_of(place, "why", "y", "why", "screen.why", "Say why figures are missing or old.", line=True)
    yield action_of(
        place,
        "expiry_back",
        "left_square_bracket",
        "expiry",
        "screen.expiry(-1)",
        "The expiry before, on the Desk too.",
        line=True,
    )
    yield action_of(
        place,
        "expiry_next",
        "right_square_bracket",
        "expiry",
        "screen.expiry(1)",
        "The next expiry, on the Desk too.",
        line=True,
    )
    yield action_of(
        place,
        "underlying_back",
        "left_curly_bracket",
        "underlying",
        "screen.underlying(-1)",
        "The underlying before, on the Desk too.",
        line=True,
    )
    yield action_of(
        place,
        "underlying_next",
        "right_curly_bracket",
        "underlying",
        "screen.underlying(1)",
        "The next underlying, on the Desk too.",
        line=True,
    )
