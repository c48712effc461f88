"""The actions of the Charts screen and of its search for instruments."""

from __future__ import annotations

from collections.abc import Iterable

from workstation.presenters.action import Action, Place, action_of


def chart_place_actions() -> Iterable[Action]:
    """The key that opens it from everywhere."""
    yield action_of(
        Place.DESK,
        "charts",
        "f6",
        "charts",
        "screen.open('charts')",
        "Open the candles of the contract under the cursor, of the leg or order of the row, or those seen last.",
    )


def chart_actions() -> Iterable[Action]:
    """Keys of the Charts screen."""
    place = Place.CHARTS
    yield action_of(
        place, "search", "slash", "search", "screen.search", "Search for an instrument to chart.", line=True
    )
    yield action_of(
        place,
        "length",
        "m",
        "candle",
        "screen.length",
        "The length of a candle: 1m, 3m, 5m, 15m, 60m; without a number the next one.",
        line=True,
    )
    yield action_of(
        place,
        "study",
        "i",
        "studies",
        "screen.prefix('i')",
        "Then a letter: e EMA, v VWAP, b Bollinger, s Supertrend, c CPR, r RSI, a ATR, o open interest, x none.",
        line=True,
        palette=False,
    )
    yield action_of(place, "back", "left h", "candle back", "screen.candle(-1)", "One candle back; a count repeats.")
    yield action_of(place, "on", "right l", "candle on", "screen.candle(1)", "One candle on; a count repeats.")
    yield action_of(
        place,
        "day_back",
        "H shift+left",
        "day",
        "screen.session(-1)",
        "The open of the day, then of the day before.",
        line=True,
    )
    yield action_of(
        place,
        "day_on",
        "L shift+right",
        "day",
        "screen.session(1)",
        "The open of the next day, then the newest candle.",
        line=True,
    )
    yield action_of(
        place, "page_back", "ctrl+u pageup", "half page back", "screen.page(-1)", "Half a picture back.", palette=False
    )
    yield action_of(
        place, "page_on", "ctrl+d pagedown", "half page on", "screen.page(1)", "Half a picture on.", palette=False
    )
    yield action_of(place, "oldest", "home", "oldest", "screen.top", "The oldest candle that is loaded.", palette=False)
    yield action_of(
        place, "newest", "G end", "newest", "screen.newest", "The newest candle, and go along with it.", line=True
    )
    yield action_of(place, "wider", "plus", "zoom", "screen.widen(1)", "Wider candles.", line=True)
    yield action_of(
        place, "narrower", "minus", "zoom", "screen.widen(-1)", "Narrower candles, more of them.", line=True
    )
    yield action_of(
        place,
        "next",
        "n",
        "next",
        "screen.instrument(1)",
        "The next instrument at hand: call and put under the chain's cursor, index, future, legs of the strategy.",
        line=True,
    )
    yield action_of(place, "before", "N", "before", "screen.instrument(-1)", "The instrument at hand before.")
    yield action_of(
        place,
        "why",
        "y",
        "why",
        "screen.why",
        "Say what is missing or old, and what the marks mean.",
        line=True,
        palette=False,
    )


def search_actions() -> Iterable[Action]:
    """Keys of the list above the search; the others are those of every prompt."""
    place = Place.SEARCH
    yield action_of(
        place, "up", "up shift+tab", "choose", "screen.choose(-1)", "The one above.", line=True, palette=False
    )
    yield action_of(place, "down", "down tab", "choose", "screen.choose(1)", "The one below.", line=True, palette=False)
