"""The practice exchange as a process, and the official client pointed at it."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.kit.practice_process import ACCESS_TOKEN, API_KEY, PracticeProcess

DEADLINE_SECONDS = 15.0
POLL_SECONDS = 0.02


def eventually(read: Callable[[], Any], what: str) -> Any:
    """Poll until something true is read, and return it; fail with what was waited for."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline:
        value = read()
        if value:
            return value
        time.sleep(POLL_SECONDS)
    raise AssertionError(f"waited {DEADLINE_SECONDS} s in vain for {what}")


@pytest.fixture
def exchange(tmp_path: Path) -> Iterator[PracticeProcess]:
    """A running exchange of its own."""
    with PracticeProcess(tmp_path / "state") as process:
        yield process


@pytest.fixture
def official() -> Iterator[Callable[..., Any]]:
    """Build official clients; their connections are closed at the end."""
    with warnings.catch_warnings():
        # The client's own dependencies still use deprecated names at import.
        warnings.simplefilter("ignore", DeprecationWarning)
        from kiteconnect import KiteConnect

    made: list[Any] = []

    def build(process: PracticeProcess, access_token: str = ACCESS_TOKEN) -> Any:
        made.append(KiteConnect(API_KEY, access_token, root=process.root))
        return made[-1]

    yield build
    for client in made:
        client.reqsession.close()


@pytest.fixture
def kite(exchange: PracticeProcess, official: Callable[..., Any]) -> Any:
    """The official client, logged in with the practice credentials."""
    return official(exchange)


class Desk:
    """A trader with the official client and one at-the-money call."""

    def __init__(self, kite: Any) -> None:
        self.kite = kite
        spot = kite.ltp("NSE:NIFTY 50")["NSE:NIFTY 50"]["last_price"]
        calls = [row for row in kite.instruments("NFO") if row["name"] == "NIFTY" and row["instrument_type"] == "CE"]
        nearest = min(row["expiry"] for row in calls)
        self.call = min((row for row in calls if row["expiry"] == nearest), key=lambda row: abs(row["strike"] - spot))
        self.symbol = self.call["tradingsymbol"]
        self.lot = self.call["lot_size"]

    def quote(self) -> dict[str, Any]:
        """Return the call's full quote."""
        return dict(self.kite.quote(f"NFO:{self.symbol}")[f"NFO:{self.symbol}"])

    def place(self, side: str, quantity: int, price: float | None = None, **more: Any) -> str:
        """Place a regular order in the call."""
        order = {"order_type": "LIMIT", "product": "NRML", "price": price} | more
        return str(
            self.kite.place_order(
                "regular",
                exchange="NFO",
                tradingsymbol=self.symbol,
                transaction_type=side,
                quantity=quantity,
                **order,
            )
        )

    def status(self, order_id: str) -> str:
        """Return an order's status in the book."""
        return str(next(row["status"] for row in self.kite.orders() if row["order_id"] == order_id))

    def reaches(self, order_id: str, status: str) -> dict[str, Any]:
        """Wait for a status and return the order's last state."""
        eventually(lambda: self.status(order_id) == status, f"order {order_id} to be {status}")
        return dict(self.kite.order_history(order_id)[-1])


@pytest.fixture
def desk(kite: Any) -> Desk:
    """A trader on the running exchange."""
    return Desk(kite)
