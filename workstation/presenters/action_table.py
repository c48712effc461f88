"""Every action with its keys, place, words and handler: the table that the registry is made of."""

from __future__ import annotations

from collections.abc import Iterable

from workstation.presenters.action import Action, Place, action_of
from workstation.presenters.chart_actions import chart_actions, chart_place_actions, search_actions
from workstation.presenters.engine_actions import (
    doctor_actions,
    engine_actions,
    place_actions,
    prompt_actions,
    replay_actions,
    rules_actions,
    tape_actions,
)
from workstation.presenters.execution_actions import execution_actions, execution_place_actions
from workstation.presenters.place_actions import strategy_actions, volatility_actions


def _panic() -> Iterable[Action]:
    yield action_of(
        Place.APP,
        "panic",
        "ctrl+x ctrl+backslash",
        "PANIC",
        "app.panic",
        "At once, over everything: block new risk, cancel entries. Then a panel; once more flattens.",
        priority=True,
    )
    panic = Place.PANIC
    yield action_of(
        panic,
        "release",
        "escape",
        "release",
        "screen.cancel",
        "Release the hold; the mode stays READ. While something is flattened, close the panel only.",
        palette=False,
    )
    yield action_of(
        panic,
        "everything",
        "X",
        "everything",
        "screen.flatten_all",
        "Flatten everything; a number flattens that strategy. Counts 400 ms after the last panic key.",
        palette=False,
    )
    yield action_of(
        panic, "lock", "K", "and lock", "screen.lock", "Flatten everything and lock until unlocked.", palette=False
    )
    yield action_of(panic, "up", "up", "up", "screen.scroll(-1)", "Scroll up.", palette=False)
    yield action_of(panic, "down", "down", "down", "screen.scroll(1)", "Scroll down.", palette=False)


def _everywhere() -> Iterable[Action]:
    yield action_of(
        Place.APP, "help", "question_mark f1", "keys", "app.help", "Show every key of this program.", line=True
    )
    yield action_of(
        Place.APP,
        "palette",
        "ctrl+g f2",
        "palette",
        "app.command_palette",
        "Find an action by its name.",
        palette=False,
    )
    yield action_of(Place.APP, "quit", "q", "quit", "app.leave", "Say who keeps watching, then leave.", line=True)
    yield action_of(
        Place.APP,
        "how",
        "ctrl+c",
        "how to quit",
        "app.say_how_to_quit",
        "Say how to quit; nothing else.",
        palette=False,
    )
    yield action_of(Place.APP, "repaint", "ctrl+l", "repaint", "app.repaint", "Draw the whole screen again.")
    yield action_of(Place.APP, "theme", "f3", "theme", "app.next_theme", "Take the next theme, dark or light.")


def _desk() -> Iterable[Action]:
    desk = Place.DESK
    yield action_of(desk, "bar", "colon", "command", "screen.open_bar", "Open the command bar.", line=True)
    yield action_of(desk, "next", "tab", "pane", "screen.next_pane", "Go to the next pane.", palette=False)
    yield action_of(
        desk, "previous", "shift+tab", "pane back", "screen.previous_pane", "Go to the pane before.", palette=False
    )
    yield action_of(
        desk, "window", "w", "pane by digit", "screen.prefix('w')", "Then a digit: go to that pane.", palette=False
    )
    yield action_of(
        desk,
        "go",
        "g",
        "go",
        "screen.prefix('g')",
        "Then g: top; d: the chain; e: events; o: orders; s: the strategy seen last, 3gs: strategy 3; v: volatility; "
        "t: charts; r: replay; n: engine room; h: doctor; u: rules.",
        palette=False,
    )
    yield action_of(
        desk,
        "freeze",
        "space",
        "freeze",
        "screen.freeze",
        "Freeze the picture; ages go on, drafts take the living quote.",
    )
    yield action_of(
        desk, "mark", "M", "mark", "screen.next_mark", "Count money at the next mark: last, mid, exit.", line=True
    )
    yield action_of(desk, "units", "u", "lots/units", "screen.units", "Show quantities as lots or as units.", line=True)
    yield action_of(
        desk,
        "acknowledge",
        "exclamation_mark",
        "event read",
        "screen.acknowledge",
        "Acknowledge the oldest unread event.",
        line=True,
    )
    yield action_of(
        desk,
        "arm",
        "A",
        "arm",
        "screen.prefix('A')",
        "Then c: keys may send after a review (CONFIRM). h, lots, Enter: B and S send at once (HOT).",
        line=True,
        palette=False,
    )
    yield action_of(
        desk,
        "strategy",
        "f4",
        "strategy",
        "screen.strategy",
        "Open the screen of a strategy: of the row, of the count, or the one seen last.",
    )
    yield action_of(
        desk,
        "volatility",
        "f5",
        "volatility",
        "screen.volatility",
        "Open smile, expiries, history and minutes of the chain in view.",
    )
    yield action_of(desk, "disarm", "D", "disarm", "screen.disarm", "Back to READ at once; never asks.")
    yield action_of(
        desk,
        "back",
        "escape",
        "back",
        "screen.back",
        "Drop the count, the draft or the notice; never quits, never sends.",
        palette=False,
    )


def _chain() -> Iterable[Action]:
    chain = Place.CHAIN
    yield action_of(
        chain, "sell", "s", "sell", "screen.draft('SELL')", "Draft a sale at the cursor; 10s is ten lots.", line=True
    )
    yield action_of(
        chain, "buy", "b", "buy", "screen.draft('BUY')", "Draft a purchase at the cursor; 2b is two lots.", line=True
    )
    yield action_of(
        chain,
        "stroke_buy",
        "B",
        "buy now",
        "screen.stroke('BUY')",
        "Buy at the touch: HOT sends at once, CONFIRM opens the review, READ says no.",
        palette=False,
    )
    yield action_of(
        chain,
        "stroke_sell",
        "S",
        "sell now",
        "screen.stroke('SELL')",
        "Sell at the touch: HOT sends at once, CONFIRM opens the review, READ says no.",
        palette=False,
    )
    yield action_of(
        chain, "review", "enter", "review", "screen.review", "Open the draft for review; Enter never sends.", line=True
    )
    yield action_of(
        chain, "expiry_back", "left_square_bracket", "expiry", "screen.expiry(-1)", "Show the expiry before.", line=True
    )
    yield action_of(
        chain, "expiry_next", "right_square_bracket", "expiry", "screen.expiry(1)", "Show the next expiry.", line=True
    )
    yield action_of(
        chain,
        "underlying_back",
        "left_curly_bracket",
        "underlying",
        "screen.underlying(-1)",
        "Show the underlying before.",
        line=True,
    )
    yield action_of(
        chain,
        "underlying_next",
        "right_curly_bracket",
        "underlying",
        "screen.underlying(1)",
        "Show the next underlying.",
        line=True,
    )
    yield action_of(chain, "atm", "z", "ATM", "screen.at_the_money", "Put the cursor on the ATM strike.", line=True)
    yield action_of(chain, "depth", "i", "depth", "screen.depth", "Show the book of the contract under the cursor.")
    yield action_of(chain, "more", "plus", "tick up", "screen.tick(1)", "Draft one tick higher.")
    yield action_of(chain, "less", "minus", "tick down", "screen.tick(-1)", "Draft one tick lower.")
    yield action_of(chain, "touch", "equals_sign", "touch", "screen.touch", "Draft back at the touch.")
    yield action_of(chain, "price", "p", "price from", "screen.cycle_price", "Draft at bid, mid, ask or touch in turn.")
    yield action_of(chain, "up", "up k", "up", "screen.move(-1)", "One strike lower.", palette=False)
    yield action_of(chain, "down", "down j", "down", "screen.move(1)", "One strike higher.", palette=False)
    yield action_of(chain, "calls", "left h", "calls", "screen.side('CE')", "Cursor to the calls.", palette=False)
    yield action_of(chain, "puts", "right l", "puts", "screen.side('PE')", "Cursor to the puts.", palette=False)
    yield action_of(
        chain, "page_up", "ctrl+u pageup", "half page up", "screen.page(-1)", "Half a page up.", palette=False
    )
    yield action_of(
        chain, "page_down", "ctrl+d pagedown", "half page down", "screen.page(1)", "Half a page down.", palette=False
    )
    yield action_of(chain, "own", "o", "own row", "screen.own_row", "Next strike with an own position or order.")
    yield action_of(
        chain,
        "columns",
        "c",
        "columns",
        "screen.columns",
        "The next set of columns: trade, Greeks, open interest, value.",
    )
    yield action_of(
        chain, "figures", "v", "figures", "screen.figures", "Show every figure of the chain, and why one is missing."
    )


def _lists() -> Iterable[Action]:
    lists = Place.LIST
    yield action_of(lists, "up", "up k", "up", "screen.move(-1)", "One row up.", palette=False)
    yield action_of(lists, "down", "down j", "down", "screen.move(1)", "One row down.", palette=False)
    yield action_of(
        lists, "page_up", "ctrl+u pageup", "half page up", "screen.page(-1)", "Half a page up.", palette=False
    )
    yield action_of(
        lists, "page_down", "ctrl+d pagedown", "half page down", "screen.page(1)", "Half a page down.", palette=False
    )
    yield action_of(lists, "bottom", "G end", "bottom", "screen.bottom", "Last row.", palette=False)
    yield action_of(lists, "top", "home", "top", "screen.top", "First row.", palette=False)
    yield action_of(
        lists,
        "open",
        "enter",
        "open",
        "screen.open_row",
        "Open the strategy, or show what the row is about.",
        line=True,
        palette=False,
    )
    yield action_of(
        Place.STRATEGIES,
        "fold",
        "l right h left",
        "legs",
        "screen.fold",
        "Show or hide the legs of the strategy of the row.",
        line=True,
        palette=False,
    )
    orders = Place.ORDERS
    yield action_of(
        orders, "cancel", "c", "cancel", "screen.cancel_order", "Cancel the order of the row.", line=True, palette=False
    )
    yield action_of(
        orders,
        "cancel_all",
        "C",
        "cancel all",
        "screen.cancel_all",
        "Review the cancelling of every working order.",
        line=True,
    )
    yield action_of(
        orders,
        "modify",
        "m",
        "modify",
        "screen.modify",
        "Draft a change of the order; + and - move its price.",
        line=True,
        palette=False,
    )
    yield action_of(orders, "more", "plus", "tick up", "screen.tick(1)", "Draft one tick higher.", palette=False)
    yield action_of(orders, "less", "minus", "tick down", "screen.tick(-1)", "Draft one tick lower.", palette=False)
    yield action_of(
        orders,
        "resolve",
        "R",
        "resolve",
        "screen.resolve",
        "Look the unknown order of the row up now.",
        line=True,
        palette=False,
    )


def _elsewhere() -> Iterable[Action]:
    bar = Place.BAR
    yield action_of(
        bar,
        "enter",
        "enter",
        "review",
        "screen.run_bar",
        "Open the review, or do what concerns the screen alone.",
        line=True,
        palette=False,
    )
    yield action_of(
        bar,
        "complete",
        "tab",
        "complete",
        "screen.complete_bar",
        "Take a word that fits; again for the next one.",
        line=True,
        palette=False,
    )
    yield action_of(
        bar, "older", "up", "history", "screen.bar_history(-1)", "The sentence before.", line=True, palette=False
    )
    yield action_of(bar, "newer", "down", "history", "screen.bar_history(1)", "The next sentence.", palette=False)
    yield action_of(
        bar,
        "close",
        "escape",
        "close",
        "screen.close_bar",
        "Back to the pane; the text is kept.",
        line=True,
        palette=False,
    )
    dialog = Place.DIALOG
    yield action_of(
        dialog,
        "yes",
        "y",
        "yes",
        "screen.agree",
        "Do it; counts only once the question has been painted.",
        palette=False,
    )
    yield action_of(
        dialog, "no", "escape enter", "cancel", "screen.cancel", "Cancel. Enter never sends.", palette=False
    )
    yield action_of(dialog, "focus_next", "tab", "next", "app.focus_next", "The next choice.", palette=False)
    yield action_of(
        dialog, "focus_previous", "shift+tab", "previous", "app.focus_previous", "The choice before.", palette=False
    )
    yield action_of(dialog, "up", "up k", "up", "screen.scroll(-1)", "Scroll up.", palette=False)
    yield action_of(dialog, "down", "down j", "down", "screen.scroll(1)", "Scroll down.", palette=False)


ACTIONS: tuple[Action, ...] = (
    *_everywhere(),
    *_panic(),
    *tape_actions(),
    *_desk(),
    *place_actions(),
    *chart_place_actions(),
    *execution_place_actions(),
    *_chain(),
    *_lists(),
    *strategy_actions(),
    *volatility_actions(),
    *chart_actions(),
    *search_actions(),
    *replay_actions(),
    *engine_actions(),
    *doctor_actions(),
    *rules_actions(),
    *execution_actions(),
    *prompt_actions(),
    *_elsewhere(),
)
"""Every action with its keys by default."""
