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
    TAPE = "tape"
    """Every main screen, while the venue is a replay."""
    REPLAY = "replay"
    ENGINE = "engine"
    DOCTOR = "doctor"
    RULES = "rules"
    CHARTS = "charts"
    SEARCH = "search"
    """Typing what instrument to chart."""
    PROMPT = "prompt"
    ORDERS = "orders"
    EXECUTION = "execution"
    """The screen of the orders."""
    EVENTS = "events"
    BAR = "bar"
    DIALOG = "dialog"
    PANIC = "panic"
    """The panel of the panic key."""


class When(StrEnum):
    """What must be the case for an action to be there."""

    ALWAYS = "always"
    REPLAY = "replay"
    """The venue plays a tape."""


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
    when: When = When.ALWAYS
    """Where this is not the case the key is free for what else it means."""
    priority: bool = False
    """It acts before whatever has focus, a dialog or an input too: the panic key alone."""

    @property
    def method(self) -> str:
        """The handler without owner and arguments: ``draft``."""
        return self.handler.partition(".")[2].partition("(")[0]


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
    when: When = When.ALWAYS,
    priority: bool = False,
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
        when=when,
        priority=priority,
    )
