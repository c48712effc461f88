"""Every action with its keys, place, words and handler: the table that the registry is made of."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

import msgspec


class Place(StrEnum):
    """Where a key acts."""

    APP = "app"
    DESK = "desk"
    CHAIN = "chain"
    LIST = "list"
    STRATEGIES = "strategies"
    ORDERS = "orders"
    EVENTS = "events"
    BAR = "bar"
    DIALOG = "dialog"


class Action(msgspec.Struct, frozen=True, kw_only=True):
    """One thing a key can do."""

    id: str
    keys: tuple[str, ...]
    """As the screen library names them: ``left_curly_bracket``, ``shift+tab``."""
    label: str
    """One to three words for the key line."""
    help: str
    """One sentence for help and palette."""
    place: Place
    handler: str
    """The method, with arguments: ``screen.draft('BUY')``."""
    line: bool = False
    """Whether the key line shows it."""
    palette: bool = True
    """Whether it makes sense without its place having focus."""


def _action(  # noqa: PLR0917 - called like the rows of a table
    place: Place,
    name: str,
    keys: str,
    label: str,
    handler: str,
    sentence: str,
    *,
    line: bool = False,
    palette: bool = True,
) -> Action:
    return Action(
        id=f"{place.value}.{name}",
        keys=tuple(keys.split()),
        label=label,
        help=sentence,
        place=place,
        handler=handler,
        line=line,
        palette=palette,
    )


def _everywhere() -> Iterable[Action]:
    yield _action(
        Place.APP, "help", "question_mark f1", "keys", "app.help", "Show every key of this program.", line=True
    )
    yield _action(
        Place.APP,
        "palette",
        "ctrl+g f2",
        "palette",
        "app.command_palette",
        "Find an action by its name.",
        palette=False,
    )
    yield _action(Place.APP, "quit", "q", "quit", "app.leave", "Say who keeps watching, then leave.", line=True)
    yield _action(
        Place.APP,
        "how",
        "ctrl+c",
        "how to quit",
        "app.say_how_to_quit",
        "Say how to quit; nothing else.",
        palette=False,
    )
    yield _action(Place.APP, "repaint", "ctrl+l", "repaint", "app.repaint", "Draw the whole screen again.")
    yield _action(Place.APP, "theme", "f3", "theme", "app.next_theme", "Take the next theme, dark or light.")


def _desk() -> Iterable[Action]:
    desk = Place.DESK
    yield _action(desk, "bar", "colon", "command", "screen.open_bar", "Open the command bar.", line=True)
    yield _action(desk, "next", "tab", "pane", "app.focus_next", "Go to the next pane.", palette=False)
    yield _action(
        desk, "previous", "shift+tab", "pane back", "app.focus_previous", "Go to the pane before.", palette=False
    )
    yield _action(
        desk, "window", "w", "pane by digit", "screen.prefix('w')", "Then 1 to 6: go to that pane.", palette=False
    )
    yield _action(
        desk,
        "go",
        "g",
        "go",
        "screen.prefix('g')",
        "Then g: top; d: the chain; e: events; o: orders; s: strategies.",
        palette=False,
    )
    yield _action(
        desk,
        "freeze",
        "space",
        "freeze",
        "screen.freeze",
        "Freeze the picture; ages go on, drafts take the living quote.",
    )
    yield _action(
        desk, "mark", "M", "mark", "screen.next_mark", "Count money at the next mark: last, mid, exit.", line=True
    )
    yield _action(desk, "units", "u", "lots/units", "screen.units", "Show quantities as lots or as units.", line=True)
    yield _action(
        desk,
        "acknowledge",
        "exclamation_mark",
        "event read",
        "screen.acknowledge",
        "Acknowledge the oldest unread event.",
        line=True,
    )
    yield _action(
        desk,
        "arm",
        "A",
        "arm",
        "screen.prefix('A')",
        "Then c: keys may send after a review (CONFIRM).",
        line=True,
        palette=False,
    )
    yield _action(desk, "disarm", "D", "disarm", "screen.disarm", "Back to READ at once; never asks.")
    yield _action(
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
    yield _action(
        chain, "sell", "s", "sell", "screen.draft('SELL')", "Draft a sale at the cursor; 10s is ten lots.", line=True
    )
    yield _action(
        chain, "buy", "b", "buy", "screen.draft('BUY')", "Draft a purchase at the cursor; 2b is two lots.", line=True
    )
    yield _action(
        chain, "review", "enter", "review", "screen.review", "Open the draft for review; Enter never sends.", line=True
    )
    yield _action(
        chain, "expiry_back", "left_square_bracket", "expiry", "screen.expiry(-1)", "Show the expiry before.", line=True
    )
    yield _action(
        chain, "expiry_next", "right_square_bracket", "expiry", "screen.expiry(1)", "Show the next expiry.", line=True
    )
    yield _action(
        chain,
        "underlying_back",
        "left_curly_bracket",
        "underlying",
        "screen.underlying(-1)",
        "Show the underlying before.",
        line=True,
    )
    yield _action(
        chain,
        "underlying_next",
        "right_curly_bracket",
        "underlying",
        "screen.underlying(1)",
        "Show the next underlying.",
        line=True,
    )
    yield _action(chain, "atm", "z", "ATM", "screen.at_the_money", "Put the cursor on the ATM strike.", line=True)
    yield _action(chain, "depth", "i", "depth", "screen.depth", "Show the book of the contract under the cursor.")
    yield _action(chain, "more", "plus", "tick up", "screen.tick(1)", "Draft one tick higher.")
    yield _action(chain, "less", "minus", "tick down", "screen.tick(-1)", "Draft one tick lower.")
    yield _action(chain, "touch", "equals_sign", "touch", "screen.touch", "Draft back at the touch.")
    yield _action(chain, "price", "p", "price from", "screen.cycle_price", "Draft at bid, mid, ask or touch in turn.")
    yield _action(chain, "up", "up k", "up", "screen.move(-1)", "One strike lower.", palette=False)
    yield _action(chain, "down", "down j", "down", "screen.move(1)", "One strike higher.", palette=False)
    yield _action(chain, "calls", "left h", "calls", "screen.side('CE')", "Cursor to the calls.", palette=False)
    yield _action(chain, "puts", "right l", "puts", "screen.side('PE')", "Cursor to the puts.", palette=False)
    yield _action(
        chain, "page_up", "ctrl+u pageup", "half page up", "screen.page(-1)", "Half a page up.", palette=False
    )
    yield _action(
        chain, "page_down", "ctrl+d pagedown", "half page down", "screen.page(1)", "Half a page down.", palette=False
    )
    yield _action(chain, "own", "o", "own row", "screen.own_row", "Next strike with an own position or order.")


def _lists() -> Iterable[Action]:
    lists = Place.LIST
    yield _action(lists, "up", "up k", "up", "screen.move(-1)", "One row up.", palette=False)
    yield _action(lists, "down", "down j", "down", "screen.move(1)", "One row down.", palette=False)
    yield _action(
        lists, "page_up", "ctrl+u pageup", "half page up", "screen.page(-1)", "Half a page up.", palette=False
    )
    yield _action(
        lists, "page_down", "ctrl+d pagedown", "half page down", "screen.page(1)", "Half a page down.", palette=False
    )
    yield _action(lists, "bottom", "G end", "bottom", "screen.bottom", "Last row.", palette=False)
    yield _action(lists, "top", "home", "top", "screen.top", "First row.", palette=False)
    yield _action(
        lists,
        "open",
        "enter",
        "open",
        "screen.open_row",
        "Unfold or show what the row is about.",
        line=True,
        palette=False,
    )
    orders = Place.ORDERS
    yield _action(
        orders, "cancel", "c", "cancel", "screen.cancel_order", "Cancel the order of the row.", line=True, palette=False
    )
    yield _action(
        orders,
        "cancel_all",
        "C",
        "cancel all",
        "screen.cancel_all",
        "Review the cancelling of every working order.",
        line=True,
    )
    yield _action(
        orders,
        "modify",
        "m",
        "modify",
        "screen.modify",
        "Draft a change of the order; + and - move its price.",
        line=True,
        palette=False,
    )
    yield _action(orders, "more", "plus", "tick up", "screen.tick(1)", "Draft one tick higher.", palette=False)
    yield _action(orders, "less", "minus", "tick down", "screen.tick(-1)", "Draft one tick lower.", palette=False)
    yield _action(
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
    yield _action(
        bar,
        "enter",
        "enter",
        "review",
        "screen.run_bar",
        "Open the review, or do what concerns the screen alone.",
        line=True,
        palette=False,
    )
    yield _action(
        bar,
        "complete",
        "tab",
        "complete",
        "screen.complete_bar",
        "Take a word that fits; again for the next one.",
        line=True,
        palette=False,
    )
    yield _action(
        bar, "older", "up", "history", "screen.bar_history(-1)", "The sentence before.", line=True, palette=False
    )
    yield _action(bar, "newer", "down", "history", "screen.bar_history(1)", "The next sentence.", palette=False)
    yield _action(
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
    yield _action(
        dialog,
        "yes",
        "y",
        "yes",
        "screen.agree",
        "Do it; counts only once the question has been painted.",
        palette=False,
    )
    yield _action(dialog, "no", "escape enter", "cancel", "screen.cancel", "Cancel. Enter never sends.", palette=False)
    yield _action(dialog, "focus_next", "tab", "next", "app.focus_next", "The next choice.", palette=False)
    yield _action(
        dialog, "focus_previous", "shift+tab", "previous", "app.focus_previous", "The choice before.", palette=False
    )
    yield _action(dialog, "up", "up k", "up", "screen.scroll(-1)", "Scroll up.", palette=False)
    yield _action(dialog, "down", "down j", "down", "screen.scroll(1)", "Scroll down.", palette=False)


ACTIONS: tuple[Action, ...] = (*_everywhere(), *_desk(), *_chain(), *_lists(), *_elsewhere())
"""Every action with its keys by default."""
