"""What an action is: the words, keys and place of one thing a key can do."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Place(StrEnum):
    """Where a key acts."""

    APP = "app"
    DESK = "desk"
    CHAIN = "chain"
    LIST = "list"
    STRATEGIES = "strategies"
    STRATEGY = "strategy"
    VOLATILITY = "volatility"
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


def action_of(  # noqa: PLR0917 - called like the rows of a table
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
    """One row of the table: ``name`` is unique in its place, ``keys`` are separated by blanks."""
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
