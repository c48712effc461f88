"""Small venues with a hand-driven clock, for tests of the practice exchange."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from engine.practice.book import Book
from engine.practice.calendar_facts import TradingCalendar
from engine.practice.contracts import Contract
from engine.practice.exchange import Exchange
from engine.practice.market import Market, MarketDay
from engine.practice.orders import Order
from engine.practice.settings import DEFAULT_PROFILES, ExchangeSettings, MarketSettings, ServiceSettings
from engine.practice.venue import open_exchange

START = "2026-11-19T11:00:00+05:30"
SEED = 11


class Wall:
    """A monotonic clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Venue:
    """An exchange in a folder, with what a test needs to drive and read it."""

    def __init__(self, state: Path, **changes: Any) -> None:
        self.wall = Wall()
        self.updates: list[dict[str, Any]] = []
        self.settings = replace(
            ExchangeSettings(
                state=state,
                seed=SEED,
                start=START,
                market=MarketSettings(profiles=DEFAULT_PROFILES[:1]),
                service=ServiceSettings(),
            ),
            **changes,
        )
        self.exchange: Exchange
        self.book: Book
        self.open()

    def open(self) -> None:
        """Open the book as a new process would."""
        self.exchange, self.book = open_exchange(self.settings, self.updates.append, self.wall)

    def restart(self) -> None:
        """Forget everything in memory, as a kill does, and open the same book again."""
        self.book.close()
        self.open()

    def contract(self, kind: str = "CE", distance: int = 0) -> Contract:
        """Return an option of the nearest expiry, so many strikes above the money, or the nearest future."""
        floor = self.exchange.floor
        options = [row for row in floor.day.universe.priced if row.kind == kind]
        nearest = min(row.expiry for row in options if row.expiry)
        rows = sorted((row for row in options if row.expiry == nearest), key=lambda row: row.strike)
        spot = int(floor.quotes.index_last[0])
        middle = min(range(len(rows)), key=lambda index: abs(rows[index].strike - spot))
        return rows[middle + distance]

    def depth(self, contract: Contract, side: str) -> list[tuple[int, int]]:
        """Return the displayed (price in paise, units) that an order of a side would meet."""
        quotes, row = self.exchange.floor.quotes, self.row(contract)
        if side == "BUY":
            prices, sizes = quotes.ask_price[row], quotes.ask_quantity[row]
        else:
            prices, sizes = quotes.bid_price[row], quotes.bid_quantity[row]
        return [(int(price), int(size)) for price, size in zip(prices, sizes, strict=True) if price]

    def row(self, contract: Contract) -> int:
        """Return the contract's row in the quotes."""
        return self.exchange.floor.day.universe.row_of[contract.token]

    def form(
        self, contract: Contract, side: str, quantity: int, price: float | None = None, **more: str
    ) -> dict[str, str]:
        """Return the form of a placement."""
        fields = {
            "exchange": contract.exchange,
            "tradingsymbol": contract.symbol,
            "transaction_type": side,
            "order_type": "LIMIT",
            "product": "NRML",
            "quantity": str(quantity),
        }
        if price is not None:
            fields["price"] = f"{price:.2f}"
        return fields | more

    def place(self, contract: Contract, side: str, quantity: int, price: float | None = None, **more: str) -> Order:
        """Place an order and let the exchange act on it."""
        order_id = self.exchange.desk.place("regular", self.form(contract, side, quantity, price, **more))
        self.exchange.desk.process(order_id)
        return self.exchange.ledger.orders[order_id]

    def statuses(self, order: Order) -> list[str]:
        """Return the order's history of statuses."""
        return [row["status"] for row in self.exchange.ledger.histories[order.order_id]]

    def advance(self, seconds: float) -> None:
        """Let wall time pass and the market step."""
        self.wall.now += seconds
        self.exchange.step()


@pytest.fixture
def calendar() -> TradingCalendar:
    """The calendar as shipped."""
    return TradingCalendar.load()


@pytest.fixture
def make_venue(tmp_path: Path) -> Iterator[Callable[..., Venue]]:
    """Build venues in the test's folder and close their books afterwards."""
    made: list[Venue] = []

    def build(**changes: Any) -> Venue:
        made.append(Venue(tmp_path / f"venue{len(made)}", **changes))
        return made[-1]

    yield build
    for venue in made:
        venue.book.close()


@pytest.fixture
def venue(make_venue: Callable[..., Venue]) -> Venue:
    """A NIFTY-only venue on Thursday 19 November 2026, 11:00."""
    return make_venue()


def market_day(calendar: TradingCalendar, start: str = START, seed: int = SEED, **changes: Any) -> MarketDay:
    """Return the day of a made-up market that runs at an instant."""
    moment = datetime.fromisoformat(start).timestamp()
    settings = replace(MarketSettings(), **changes)
    market = Market(calendar, settings, seed=seed, first=calendar.session_at_or_after(moment))
    return market.day(market.first_session)
