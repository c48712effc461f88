"""The panes of the Desk, by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from textual.binding import BindingType

from workstation.actions import Place
from workstation.presenters.chain import ChainRows
from workstation.widgets.bindings import bindings_of
from workstation.widgets.chain_grid import ChainGrid
from workstation.widgets.command_bar import CommandBar
from workstation.widgets.panes import LinePane, ListPane


class SidePane(LinePane):
    """Ticket and depth: they belong to the chain's cursor and take the chain's keys."""

    BINDINGS: ClassVar[list[BindingType]] = bindings_of(Place.CHAIN)

    def __init__(self, *, id: str) -> None:  # noqa: A002 - the library's word
        """An empty pane that can have focus."""
        super().__init__(id=id, focusable=True)


class StrategiesPane(ListPane):
    """The strategies."""

    BINDINGS: ClassVar[list[BindingType]] = bindings_of(Place.STRATEGIES)


class OrdersPane(ListPane):
    """The orders, with the keys that cancel and change them."""

    BINDINGS: ClassVar[list[BindingType]] = bindings_of(Place.ORDERS)


class EventsPane(ListPane):
    """The events."""

    BINDINGS: ClassVar[list[BindingType]] = bindings_of(Place.EVENTS)


PANE_OF_DIGIT = {"1": "chain", "2": "ticket", "3": "depth", "4": "strategies", "5": "orders", "6": "events"}
PANE_OF_LETTER = {"d": "chain", "c": "chain", "e": "events"}
PANE_OF_NAME = {
    "desk": "chain",
    "chain": "chain",
    "ticket": "ticket",
    "depth": "depth",
    "strategies": "strategies",
    "events": "events",
}
"""Where ``go events`` leads."""


@dataclass(frozen=True, slots=True)
class DeskPanes:
    """Every widget that draws."""

    status: LinePane
    strip: LinePane
    head: LinePane
    chain: ChainGrid
    ticket: SidePane
    depth: SidePane
    strategies: StrategiesPane
    orders: OrdersPane
    events: EventsPane
    ghost: LinePane
    bar: CommandBar
    keys: LinePane
    small: LinePane

    @classmethod
    def make(cls, rows: ChainRows, history_size: int) -> DeskPanes:
        """New widgets."""
        return cls(
            status=LinePane(id="status"),
            strip=LinePane(id="strip"),
            head=LinePane(id="head"),
            chain=ChainGrid(rows),
            ticket=SidePane(id="ticket"),
            depth=SidePane(id="depth"),
            strategies=StrategiesPane(id="strategies"),
            orders=OrdersPane(id="orders"),
            events=EventsPane(id="events"),
            ghost=LinePane(id="ghost"),
            bar=CommandBar(history_size=history_size),
            keys=LinePane(id="keys"),
            small=LinePane(id="small", focusable=True),
        )
