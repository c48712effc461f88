"""A few sentences for the fake engine: enough to drive the command bar, with errors that have a place."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from decimal import Decimal

from engine.core.bars import BarInterval
from engine.core.commands import (
    CancelOrders,
    Command,
    GoTo,
    Interpretation,
    PlaceOrder,
    Quit,
    ScreenWish,
    SentenceError,
    SetMark,
    SetMode,
    ShowChain,
    ShowChart,
)
from engine.core.identifiers import OrderNumber
from engine.core.instruments import Instrument
from engine.core.orders import OrderRequest
from engine.core.vocabulary import InstrumentKind, Mark, Mode, Side
from engine.language.cursor import Cursor, SentenceInvalid
from engine.language.tape import read_pause, read_play, read_seek, read_speed, read_step
from tests.kit.fake_market import UNDERLYINGS, labels_of

TAPE_READERS = {"play": read_play, "pause": read_pause, "speed": read_speed, "seek": read_seek, "step": read_step}
"""Read as the engine's own grammar does."""
WORDS = ("buy", "sell", "cancel", "show", "chart", "mark", "go", "arm", "disarm", "rules", "quit", *TAPE_READERS)

FindOption = Callable[[str, date, Decimal, InstrumentKind], Instrument | None]


def interpret(text: str, find: FindOption) -> Interpretation:
    """What a sentence means."""
    words = [(match.group(), match.start()) for match in re.finditer(r"\S+", text)]
    if not words:
        return _error(text, "A sentence begins with a command.", 0, choices=WORDS, incomplete=True)
    verb = words[0][0].lower()
    if verb not in WORDS:
        near = tuple(word for word in WORDS if word[0] == verb[:1])
        return _error(text, f'"{verb}" is not a command.', words[0][1], length=len(verb), choices=near)
    if verb in {"buy", "sell"}:
        return _order(text, Side(verb.upper()), words, find)
    argument = words[1][0].lower() if len(words) > 1 else ""
    if verb in TAPE_READERS:
        cursor = Cursor(text)
        cursor.skip()
        try:
            return Interpretation(text=text, wish=TAPE_READERS[verb](cursor))
        except SentenceInvalid as wrong:
            return Interpretation(text=text, error=wrong.error)
    if verb == "rules":
        return Interpretation(text=text, wish=GoTo(place="rules"))
    if verb == "quit":
        return Interpretation(text=text, wish=Quit())
    if verb == "disarm":
        return Interpretation(text=text, command=SetMode(mode=Mode.READ))
    if not argument:
        return _error(text, f"{verb} needs one more word.", len(text), incomplete=True)
    allowed = {
        "arm": ("confirm",),
        "mark": tuple(Mark),
        "go": ("chain", "orders", "events", "strategies", "strategy", "replay", "engine", "doctor", "rules"),
    }.get(verb)
    if allowed is not None and argument not in allowed:
        return _error(text, f"{verb} takes {', '.join(allowed)}.", words[1][1], length=len(argument), choices=allowed)
    if verb == "arm":
        return Interpretation(text=text, command=SetMode(mode=Mode(argument.upper())))
    if verb == "cancel":
        return _cancel(text, argument, words[1][1])
    if verb == "show" and re.fullmatch(r"#\d+", argument):
        return Interpretation(text=text, wish=GoTo(place=argument))
    if verb == "chart":
        return _chart(text, words, find)
    wishes: dict[str, Callable[[], ScreenWish]] = {
        "show": lambda: ShowChain(underlying=argument.upper(), expiry_label=words[2][0] if len(words) > 2 else None),
        "mark": lambda: SetMark(mark=Mark(argument)),
        "go": lambda: GoTo(place=argument),
    }
    return Interpretation(text=text, wish=wishes[verb]())


def _chart(text: str, words: list[tuple[str, int]], find: FindOption) -> Interpretation:
    """``chart nifty 24350 pe w0 15m``: a contract of an order, and a length."""
    names = [word for word, _ in words]
    meant = interpret(f"buy 1L {' '.join(names[1:5])} @ 1", find)
    if not isinstance(meant.command, PlaceOrder):
        return _error(text, "Needs a contract.", len(text), incomplete=True)
    interval = BarInterval.parse(names[5]) if len(names) > 5 else None
    return Interpretation(text=text, wish=ShowChart(instrument=meant.command.request.instrument, interval=interval))


def _cancel(text: str, argument: str, place: int) -> Interpretation:
    if argument == "all":
        return Interpretation(text=text, command=CancelOrders(everything=True))
    if not re.fullmatch(r"o\d+", argument):
        return _error(text, f'"{argument}" is no order number such as o40.', place, length=len(argument))
    return Interpretation(text=text, command=CancelOrders(numbers=(OrderNumber(int(argument[1:])),)))


def _order(text: str, side: Side, words: list[tuple[str, int]], find: FindOption) -> Interpretation:
    """``buy 2L nifty 24000 ce w0 @ 105``."""
    if len(words) < 6:
        wanted = ("a quantity", "an underlying", "a strike", "ce or pe", "an expiry")[len(words) - 1]
        choices = {1: ("1L", "2L", "5L"), 4: ("ce", "pe"), 5: ("w0", "w1", "m0")}.get(len(words), ())
        return _error(text, f"Needs {wanted}.", len(text), choices=choices, incomplete=True)
    underlying = next((item for item in UNDERLYINGS if item.name == words[2][0].upper()), None)
    if underlying is None:
        return _error(text, f"{words[2][0]} has no options.", words[2][1], length=len(words[2][0]))
    size = words[1][0]
    match = re.fullmatch(r"(\d+)(L?)", size)
    if match is None:
        return _error(text, f'"{size}" is no quantity.', words[1][1], length=len(size))
    quantity = int(match.group(1)) * (underlying.lot_size if match.group(2) else 1)
    labels = {name: day for day, names in labels_of(underlying).items() for name in names}
    expiry = labels.get(words[5][0])
    if expiry is None:
        listed = ", ".join(labels)
        message = f"{underlying.name} has no {words[5][0]}. Listed: {listed}."
        return _error(text, message, words[5][1], length=len(words[5][0]), choices=tuple(labels))
    if words[4][0].lower() not in {"ce", "pe"}:
        return _error(text, "After the strike: ce or pe.", words[4][1], length=len(words[4][0]), choices=("ce", "pe"))
    kind = InstrumentKind(words[4][0].upper())
    figures = words[3][0].replace(",", "")
    instrument = find(underlying.name, expiry, Decimal(figures), kind) if figures.isdecimal() else None
    if instrument is None:
        message = f"{words[5][0]} has no strike {words[3][0]}."
        return _error(text, message, words[3][1], length=len(words[3][0]))
    price = Decimal(words[7][0]) if len(words) > 7 and words[7][0].rstrip(".").isdecimal() else None
    if price is None:
        return _error(text, "Needs a price: @ 105.", len(text), choices=("@ bid", "@ ask"), incomplete=True)
    request = OrderRequest(instrument=instrument.key, side=side, quantity=quantity, price=price)
    command: Command = PlaceOrder(request=request)
    return Interpretation(text=text, command=command)


def _error(
    text: str, message: str, place: int, *, length: int = 1, choices: tuple[str, ...] = (), incomplete: bool = False
) -> Interpretation:
    error = SentenceError(message=message, place=place, length=length, choices=choices, incomplete=incomplete)
    return Interpretation(text=text, error=error)
