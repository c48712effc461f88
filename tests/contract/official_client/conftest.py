"""The official client pointed at a practice exchange: one process for all, own ones where state ends."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.contract.official_client.driven import Recorded, declared
from tests.kit.practice_process import ACCESS_TOKEN, API_KEY, PracticeProcess

DEADLINE_SECONDS = 15.0
POLL_SECONDS = 0.02
TOO_MANY = 429
INDICES = {"NIFTY": "NSE:NIFTY 50", "BANKNIFTY": "NSE:NIFTY BANK"}
Build = Callable[..., Any]


def eventually(read: Callable[[], Any], what: str) -> Any:
    """Poll until something true is read, and return it; fail with what was waited for."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline:
        value = read()
        if value:
            return value
        time.sleep(POLL_SECONDS)
    raise AssertionError(f"waited {DEADLINE_SECONDS} s in vain for {what}")


class Trader:
    """What tests do with the official client, in few words.

    Args:
        kite: The client.
        exchange: The process that it talks to.
    """

    def __init__(self, kite: Any, exchange: PracticeProcess) -> None:
        self.kite = kite
        self.exchange = exchange
        self._rows: list[dict[str, Any]] = []

    def rows(self) -> list[dict[str, Any]]:
        """Return the list of instruments of the derivatives' exchange."""
        if not self._rows:
            self._rows = self.kite.instruments("NFO")
        return self._rows

    def spot(self, name: str = "NIFTY") -> float:
        """Return the level of an index."""
        key = INDICES[name]
        return float(str(self.kite.ltp(key)[key]["last_price"]))

    def option(self, steps: int = 0, kind: str = "CE", name: str = "NIFTY") -> dict[str, Any]:
        """Return the option of the nearest expiry that lies so many strikes above the money.

        Tests share an account: those that trade take a strike of their own, those that reckon margins an index.
        """
        spot = self.spot(name)
        rows = [row for row in self.rows() if row["name"] == name and row["instrument_type"] == kind]
        nearest = min(row["expiry"] for row in rows)
        ladder = sorted((row for row in rows if row["expiry"] == nearest), key=lambda row: row["strike"])
        middle = min(range(len(ladder)), key=lambda at: abs(ladder[at]["strike"] - spot))
        return dict(ladder[middle + steps])

    def quote(self, option: dict[str, Any]) -> dict[str, Any]:
        """Return an option's full quote."""
        key = f"NFO:{option['tradingsymbol']}"
        return dict(self.kite.quote(key)[key])

    def admitted(self, call: Callable[[], Any]) -> Any:
        """Make an order request again while the exchange counts too many of them in this second."""
        from kiteconnect.exceptions import KiteException

        deadline = time.monotonic() + DEADLINE_SECONDS
        while True:
            try:
                return call()
            except KiteException as error:
                if error.code != TOO_MANY or time.monotonic() > deadline:
                    raise
                time.sleep(POLL_SECONDS)

    def place(self, option: dict[str, Any], side: str, price: float | None, **more: Any) -> str:
        """Place an order of one lot and return its id."""
        order = {"order_type": "LIMIT", "product": "NRML", "quantity": option["lot_size"], "price": price} | more
        symbol = option["tradingsymbol"]
        place = self.kite.place_order
        return str(
            self.admitted(
                lambda: place("regular", exchange="NFO", tradingsymbol=symbol, transaction_type=side, **order)
            )
        )

    def reaches(self, order_id: str, status: str) -> dict[str, Any]:
        """Wait until an order has a status and return it."""

        def found() -> dict[str, Any] | None:
            last = self.kite.order_history(order_id)[-1]
            return last if last["status"] == status else None

        return dict(eventually(found, f"order {order_id} to be {status}"))

    def bought(self, option: dict[str, Any], **more: Any) -> dict[str, Any]:
        """Buy one lot at once and return the completed order."""
        price = self.quote(option)["depth"]["sell"][-1]["price"]
        return self.reaches(self.place(option, "BUY", price, **more), "COMPLETE")

    def resting_price(self, option: dict[str, Any]) -> float:
        """Return a price at which a bid rests: within the band, below the market."""
        worst = float(self.quote(option)["depth"]["buy"][-1]["price"])
        return max(float(round(worst * 0.9)), 1.0)


@pytest.fixture(scope="session")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PracticeProcess]:
    """A running exchange that tests share; reads are not limited."""
    with PracticeProcess(tmp_path_factory.mktemp("exchange")) as process:
        yield process


@pytest.fixture
def own_exchange(tmp_path: Path) -> Iterator[PracticeProcess]:
    """A running exchange for one test alone."""
    with PracticeProcess(tmp_path / "state") as process:
        yield process


@pytest.fixture
def official() -> Iterator[Build]:
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
def kite(request: pytest.FixtureRequest, exchange: PracticeProcess, official: Build) -> Iterator[Any]:
    """The official client on the shared exchange; what a test says it drives it must have called."""
    recorded = Recorded(official(exchange))
    yield recorded
    missed = set(declared(request.function)) - recorded.called
    assert not missed, f"declared but not driven: {sorted(missed)}"


@pytest.fixture
def trader(kite: Any, exchange: PracticeProcess) -> Trader:
    """A trader on the shared exchange."""
    return Trader(kite, exchange)
