"""A whole desk for a test: data folder, exchange process, database, engine, door; afterwards nothing of it is left.

``new_desk`` makes a ``Desk``; ``async with desk.opened() as host`` opens the engine on it, as often as a test likes:
the exchange's book and the database stay between two openings. The database is one of the run's shared server.
Market time begins at a fixed moment of a trading day.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import tempfile
import time
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from decimal import Decimal
from http import HTTPStatus
from pathlib import Path
from typing import Any, TypeVar

import httpx
import msgspec
import numpy as np
import pytest
import pytest_asyncio

from engine.client import EngineClient
from engine.core.commands import PlaceBasket, PlaceOrder, Preview, Receipt
from engine.core.identifiers import OrderNumber
from engine.core.money import decimal_from_float
from engine.core.orders import OrderRecord, OrderState, Trade
from engine.core.strategies import StrategyValue
from engine.core.views import ChainColumns, ChainKey, ChainView
from engine.core.vocabulary import QuoteState
from engine.execution.settings import ExecutionSettings, SpoolSettings
from engine.local_client import LocalClient
from engine.portfolio.settings import PortfolioSettings
from engine.server.remote_client import RemoteClient
from engine.settings import EngineSettings
from storage.databases import drop_database, ensure_database
from storage.embedded import EmbeddedPostgres
from tests.kit.database import TEMPLATE, run_apart
from workstation.assembly import Host, database_name, open_host
from workstation.locations import Locations
from workstation.practice_venue import venue_id
from workstation.settings import Configuration, DatabaseSettings, DoorSettings, VenueSettings

T = TypeVar("T")

START = "2026-11-19T11:00:00+05:30"
"""A Thursday in session, two trading days before an expiry."""
PATIENCE_S = 20.0
POLL_S = 0.02
BROKER_POLL_S = 0.5
TOO_FAST_TRIES = 20
WORKER_VARIABLE = "PYTEST_XDIST_WORKER"
END_S = 15.0
LINGER_S = 0.3
QUIET_S = 1.2
"""More than two steps of the exchange."""
POOL = 4
TICK = Decimal("0.05")
QUICK_CANDLES = PortfolioSettings(candle_save_interval_s=0.3)
QUICK_LOOKUPS = ExecutionSettings(
    unknown_window_s=4.0,
    book_fast_s=0.5,
    book_spacing_s=0.3,
    book_working_s=1.0,
    # Many tests share two processors: a commit that takes a second says nothing here.
    spool=SpoolSettings(after_s=3.0),
)
QUICK_ENGINE = EngineSettings(venue_poll_s=0.5, funds_poll_s=2.0)


async def until(condition: Callable[[], object], what: str, *, patience_s: float = PATIENCE_S) -> None:
    """Wait until ``condition()`` is true; fail in words when it does not come true."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + patience_s
    while not condition():
        assert loop.time() < deadline, f"{what} did not come true within {patience_s:g} s"
        await asyncio.sleep(POLL_S)


async def eventually(
    ask: Callable[[], Awaitable[T | None]], what: str, *, patience_s: float = PATIENCE_S, poll_s: float = POLL_S
) -> T:
    """Ask until the answer is neither ``None`` nor empty; fail in words when it stays so.

    What goes to the exchange is asked at ``BROKER_POLL_S``: its limits are shared with the engine.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + patience_s
    while not (answer := await ask()):
        assert loop.time() < deadline, f"{what} did not come true within {patience_s:g} s"
        await asyncio.sleep(poll_s)
    return answer


async def preview_with_margin(client: EngineClient, command: PlaceOrder | PlaceBasket) -> Preview:
    """The dry run, once the broker has told the margin: its limits are shared with whatever else is asked just now."""

    async def told() -> Preview | None:
        preview = await client.preview(command)
        return preview if preview.margin is not None or preview.margin_paths is not None else None

    return await eventually(told, "the broker's margin", poll_s=BROKER_POLL_S)


def seed_of(name: str) -> int:
    """A seed for the market of a test, different for any two: desks on one server must not share a database."""
    # Tests of one module may run in several workers, each with a host of its own.
    return zlib.crc32(f"{name} {os.environ.get(WORKER_VARIABLE, '')}".encode())


class Desk:
    """One data folder with its settings. Two desks share nothing but the database server."""

    def __init__(self, folder: Path, server_dsn: str, configuration: Configuration) -> None:
        """``folder`` is the data folder; ``server_dsn`` the server that holds its database."""
        self.locations = Locations(folder)
        self.server_dsn = server_dsn
        self.configuration = configuration
        self.exchanges: set[int] = set()

    @property
    def venue(self) -> str:
        """The venue's short name."""
        return venue_id(self.configuration.venue)

    @property
    def database(self) -> str:
        """Name of its database."""
        return database_name(self.venue)

    @property
    def exchange_folder(self) -> Path:
        """Where its exchange keeps its book."""
        return self.locations.venue(self.venue)

    def changed(self, **sections: Mapping[str, Any]) -> None:
        """Change settings: ``changed(venue={"speed": 0.0})``."""
        values = {
            name: msgspec.structs.replace(getattr(self.configuration, name), **keys) for name, keys in sections.items()
        }
        self.configuration = msgspec.structs.replace(self.configuration, **values)

    @contextlib.asynccontextmanager
    async def opened(self, *, with_door: bool = False, read_only: bool = False) -> AsyncIterator[Host]:
        """An engine on this folder; afterwards it and its exchange have ended."""
        # A copy of the migrated template: the schema's own tests migrate, these need not.
        await ensure_database(self.server_dsn, self.database, template=TEMPLATE)
        host = None
        try:
            async with open_host(self.configuration, self.locations, read_only=read_only, with_door=with_door) as host:
                self.exchanges.add(host.exchange.pid)
                yield host
        finally:
            self.note_exchange()
            await self.exchange_ended()

    def note_exchange(self) -> None:
        """Remember the process of an exchange that runs on the folder now."""
        with contextlib.suppress(FileNotFoundError, KeyError, ValueError):
            state = msgspec.json.decode((self.exchange_folder / "exchange.json").read_bytes())
            self.exchanges.add(int(state["pid"]))

    async def exchange_ended(self) -> None:
        """Wait for the exchange to see that nobody uses it, and let its process be reaped."""
        await until(lambda: not any(map(is_running, self.exchanges)), "the end of the exchange", patience_s=END_S)
        self.exchanges.clear()

    async def drop(self) -> None:
        """Remove its database."""
        await drop_database(self.server_dsn, self.database)


def is_running(pid: int) -> bool:
    """Whether a process is there; a zombie still counts, because somebody has yet to reap it."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def processes_naming(folder: Path) -> list[int]:
    """Processes whose command line names ``folder``: whatever a desk has started says it."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if os.fsencode(folder) in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
    return found


@contextlib.contextmanager
def short_data_folder() -> Iterator[Path]:
    """A folder with a short path, gone afterwards; fails when a process still uses it."""
    folder = Path(tempfile.mkdtemp(prefix="ws-"))
    # The database server may run as another user who has to pass through.
    folder.chmod(0o711)
    try:
        yield folder
        deadline = time.monotonic() + END_S
        while (left := processes_naming(folder)) and time.monotonic() < deadline:
            time.sleep(POLL_S)
        assert not left, f"processes left running on {folder}: {left}"
    finally:
        for pid in processes_naming(folder):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def new_desk(server: EmbeddedPostgres, name: str, **venue: Any) -> Iterator[Desk]:
    """A desk whose market is made from ``name``; its database is dropped afterwards."""
    market = {"seed": seed_of(name), "start": START, "linger_s": LINGER_S, "keep_up_s": 0.3, **venue}
    configuration = Configuration(
        venue=VenueSettings(**market),
        database=DatabaseSettings(url=server.dsn(), pool_size=POOL),
        portfolio=QUICK_CANDLES,
        orders=QUICK_LOOKUPS,
        engine=QUICK_ENGINE,
        door=DoorSettings(idle_exit_s=1.0),
    )
    with short_data_folder() as folder:
        desk = Desk(folder / "d", server.dsn(), configuration)
        yield desk
        # After a failure it may not be to be had; it goes with the run's server then.
        run_apart(desk.drop())


@pytest.fixture
def desk(postgres_server: EmbeddedPostgres, request: pytest.FixtureRequest) -> Iterator[Desk]:
    """A desk of the test's own, not opened yet."""
    with new_desk(postgres_server, request.node.nodeid) as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_host(postgres_server: EmbeddedPostgres, request: pytest.FixtureRequest) -> AsyncIterator[Host]:
    """One engine with its door for all tests of a module that do not disturb each other."""
    with new_desk(postgres_server, request.node.nodeid) as made:
        async with made.opened(with_door=True) as host:
            yield host


@contextlib.asynccontextmanager
async def attached(host: Host) -> AsyncIterator[RemoteClient]:
    """A client at the host's door."""
    assert host.door is not None, "the host was opened without a door"
    client = await RemoteClient.attach(host.door.path)
    try:
        yield client
    finally:
        await client.close()


class Exchange:
    """The exchange's own routes: clock, faults, what reached it."""

    def __init__(self, root: str, key: str = "practice") -> None:
        """``root`` as in the host's address; ``key`` is the account's."""
        self._root = root
        self._key = key

    async def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Call a route and return its data."""
        headers = {"Authorization": f"token {self._key}:{self._key}"}
        async with httpx.AsyncClient(base_url=self._root, headers=headers, timeout=5.0) as http:
            answer = await http.request(method, path, json=body)
            for _ in range(TOO_FAST_TRIES):
                if answer.status_code != HTTPStatus.TOO_MANY_REQUESTS:
                    break
                # Its limits are shared with the engine; what it refuses for speed it has not done.
                await asyncio.sleep(BROKER_POLL_S)
                answer = await http.request(method, path, json=body)
            answer.raise_for_status()
            return answer.json()["data"]

    async def speed(self, speed: float) -> None:
        """Let market time run at another speed; 0 stands still."""
        await self.ask("POST", "/practice/clock", {"speed": speed})

    async def fault(self, kind: str, **fields: Any) -> None:
        """Register a fault."""
        await self.ask("POST", "/practice/faults", {"kind": kind, **fields})

    async def posts(self) -> dict[str, int]:
        """Order placements that reached it, by tag."""
        return dict((await self.ask("GET", "/practice/log"))["by_tag"])

    async def orders(self) -> list[dict[str, Any]]:
        """Its order book."""
        return list(await self.ask("GET", "/orders"))


async def stand_still(client: EngineClient, exchange: Exchange) -> None:
    """Stop market time, and wait until the last prices that were on their way have arrived."""
    await exchange.speed(0)
    loop = asyncio.get_running_loop()
    packets, since = client.desk().status.feed.packets, loop.time()

    def is_quiet() -> bool:
        nonlocal packets, since
        newest = client.desk().status.feed.packets
        if newest != packets:
            packets, since = newest, loop.time()
        return loop.time() - since > QUIET_S

    await until(is_quiet, "a market that stands still")


# -- what many tests do ------------------------------------------------------------------------------------------------


def heard(side: ChainColumns) -> int:
    """Contracts of a side that have been heard of."""
    return int((side.state != QuoteState.UNKNOWN).sum())


async def live_chain(client: EngineClient, underlying: str = "NIFTY", expiry: int = 0) -> ChainView:
    """Watch a chain until it is there: nearly every contract heard of, and a forward."""
    listed = await client.expiries(underlying)
    key = ChainKey(underlying, listed[expiry].expiry)
    await client.watch_chain(key)

    def is_there() -> bool:
        view = client.chain(key)
        return (
            view is not None
            and view.header.forward is not None
            and all(heard(side) * 10 >= int((side.token != 0).sum()) * 9 for side in (view.calls, view.puts))
        )

    await until(is_there, f"the {underlying} chain")
    view = client.chain(key)
    assert view is not None
    return view


async def say(client: EngineClient, sentence: str, **fields: Any) -> Receipt:
    """Interpret a sentence, change fields of the command if told to, and submit it."""
    interpretation = await client.interpret(sentence)
    assert interpretation.error is None, interpretation.error
    assert interpretation.command is not None
    command = interpretation.command
    if fields and isinstance(command, PlaceOrder):
        command = msgspec.structs.replace(command, **fields)
    return await client.submit(command)


async def record_of(client: EngineClient, number: OrderNumber) -> OrderRecord:
    """An order as it stands."""
    return next(record for record in await client.orders() if record.number == number)


async def comes_to(
    client: EngineClient, number: OrderNumber, *states: OrderState, patience_s: float = PATIENCE_S
) -> OrderRecord:
    """Wait until an order is in one of ``states``."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + patience_s
    while True:
        record = await record_of(client, number)
        if record.state in states:
            return record
        words = f"o{number} is {record.state} ({record.message}), not {states}, after {patience_s:g} s"
        assert loop.time() < deadline, words
        await asyncio.sleep(POLL_S)


async def filled(client: EngineClient, sentence: str, **fields: Any) -> OrderRecord:
    """Submit a sentence and wait until the order is complete and its fills are booked."""
    receipt = await say(client, sentence, **fields)
    assert receipt.accepted, receipt.message
    (record,) = receipt.orders
    record = await comes_to(client, record.number, OrderState.COMPLETE)
    await booked(client, record)
    return record


async def booked(client: EngineClient, record: OrderRecord) -> tuple[Trade, ...]:
    """Wait until the ledger has all fills of a complete order: they are booked just after the book is read."""

    async def all_fills() -> tuple[Trade, ...]:
        fills = tuple(fill for fill in await client.trades() if fill.broker_order_id == record.broker_order_id)
        return fills if sum(fill.quantity for fill in fills) == record.filled_quantity else ()

    fills = await eventually(all_fills, f"the fills of o{record.number}")
    if isinstance(client, LocalClient):
        # The database has them a moment before the figures in memory do.
        executors = [desk.executor for desk in client._engine.desks if desk.executor is not None]
        await until(
            lambda: not any(one.number == record.number for desk in executors for one, _ in desk.unbooked()),
            f"the fills of o{record.number} in the figures",
        )
    return fills


async def main_strategy(client: EngineClient) -> StrategyValue:
    """The account's default strategy, valued now."""
    return next(value for value in await client.strategies() if value.strategy.is_default)


class Option:
    """One option of a chain as a test needs it: how a sentence names it, and its prices when it was looked at."""

    def __init__(self, view: ChainView, kind: str, rows_out: int = 0) -> None:
        """``kind`` is ``ce`` or ``pe``; ``rows_out`` strikes out of the money."""
        assert view.header.atm_strike is not None
        middle = int(np.argmin(np.abs(view.strikes - view.header.atm_strike)))
        row = middle + (rows_out if kind == "ce" else -rows_out)
        side = view.calls if kind == "ce" else view.puts
        self.words = f"{view.key.underlying.lower()} {view.strikes[row]:.0f} {kind} {view.header.labels[0]}"
        self.token = int(side.token[row])
        self.bid, self.ask, self.last = (
            decimal_from_float(float(column[row])) for column in (side.bid, side.ask, side.last)
        )
        self.lot = view.header.lot_size

    @property
    def low(self) -> Decimal:
        """A price well below the market that the exchange still takes: a buy there rests."""
        return self.bid * 4 // 5 // TICK * TICK

    @property
    def high(self) -> Decimal:
        """A price well above the market that the exchange still takes: a sell there rests."""
        return self.ask * 6 // 5 // TICK * TICK
