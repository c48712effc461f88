"""The implementations of ``EngineClient`` that the suite runs over."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from datetime import timedelta

import msgspec
import pytest
import pytest_asyncio

from engine.client import EngineClient
from engine.core.commands import CancelOrders, CancelPlan, MakePlan, PlaceOrder, SetMode
from engine.core.orders import OrderState
from engine.core.plans import AtTime, PlanNumber
from engine.core.views import ChainKey
from engine.core.vocabulary import Mode
from engine.server.remote_client import RemoteClient
from storage.embedded import EmbeddedPostgres
from tests.contract.client.harness import ClientHarness
from tests.kit.database import postgres_server
from tests.kit.desk_host import Exchange, attached, eventually, new_desk, stand_still
from tests.kit.fake_orders import exit_plan
from tests.kit.local_door import opened_door, short_folder, until
from tests.kit.plain_engine import ACCOUNT, MARKET_TIME, PlainEngine
from workstation.assembly import Host

__all__ = ["harness", "postgres_server"]

MINUTE_S = 60
SENTENCE = "buy 1L nifty atm ce w0 @ ask+2"
"""It fills at once, however wide the spread is by then."""
UNTOUCHED_FROM = 2
"""Place among the expiries from which on no test but the one that asks for it watches a chain."""


def plain_harness(engine: PlainEngine, client: EngineClient) -> ClientHarness:
    """Handles of a plain engine, seen through ``client``."""
    bids = itertools.count(60)

    async def change_row(row: int) -> None:
        engine.set_price(engine.keys[0], row, float(next(bids)))

    async def change_desk() -> None:
        engine.add_event("something happened")

    async def make_plan() -> PlanNumber:
        view = exit_plan(MARKET_TIME)
        record = msgspec.structs.replace(view.record, account=ACCOUNT)
        engine.worked = (msgspec.structs.replace(view, record=record),)
        return record.number

    async def untouched() -> ChainKey:
        return engine.keys[0]

    symbol = engine.instruments[0].tradingsymbol
    return ClientHarness(
        client=client,
        chain_key=engine.keys[0],
        alias="nifty 50",
        request=engine.request(symbol),
        sentence=f"buy {symbol}",
        change_row=change_row,
        change_desk=change_desk,
        make_plan=make_plan,
        untouched=untouched,
    )


class RealEngine:
    """One real engine with its door, on a practice exchange whose market stands still until it is moved.

    Tests of a module share it: each finds it in CONFIRM with nothing under way and nobody watching the chain, and
    counts its own orders.
    """

    def __init__(self, host: Host) -> None:
        """``host`` was opened with its door."""
        self.host = host
        self._exchange = Exchange(host.exchange.root)
        self._has_moved = False
        self._untouched = itertools.count(UNTOUCHED_FROM)

    async def harness(self, client: EngineClient) -> ClientHarness:
        """Handles of the engine, seen through ``client``."""
        # Not the nearest: a sentence that asks for its money keeps that one watched for a while.
        (_, label, *_) = await client.expiries("NIFTY")
        found = await client.interpret(SENTENCE)
        assert isinstance(found.command, PlaceOrder)
        modes = itertools.cycle([Mode.READ, Mode.CONFIRM])

        async def change_row(_row: int) -> None:
            self._has_moved = True
            await self._exchange.ask("POST", "/practice/clock", {"advance_seconds": MINUTE_S})

        async def untouched() -> ChainKey:
            return ChainKey("NIFTY", (await client.expiries("NIFTY"))[next(self._untouched)].expiry)

        async def change_desk() -> None:
            await client.submit(SetMode(mode=next(modes)))

        async def make_plan() -> PlanNumber:
            at = client.desk().status.session.market_time + timedelta(hours=1)
            receipt = await client.submit(MakePlan(trigger=AtTime(at=at), sentence=SENTENCE))
            assert receipt.plan is not None, receipt.message
            return receipt.plan

        return ClientHarness(
            client=client,
            chain_key=ChainKey("NIFTY", label.expiry),
            alias="nifty 50",
            request=found.command.request,
            sentence=SENTENCE,
            change_row=change_row,
            change_desk=change_desk,
            make_plan=make_plan,
            untouched=untouched,
        )

    async def as_found(self, key: ChainKey) -> None:
        """Bring back what a test may have left behind."""
        own = self.host.client
        await own.submit(SetMode(mode=Mode.CONFIRM))
        for plan in await own.plans():
            if not plan.record.state.is_over:
                await own.submit(CancelPlan(number=plan.record.number))
        if self._has_moved:
            # The next test's order takes its price from what is shown.
            await stand_still(own, self._exchange)
            self._has_moved = False
        await eventually(self._is_quiet, "the end of every order")
        await until(lambda: own.chain(key) is None, "a chain that nobody watches")

    async def _is_quiet(self) -> bool:
        own = self.host.client
        working = [order for order in await own.orders() if order.state.is_working]
        resting = tuple(order.number for order in working if order.state is OrderState.OPEN)
        if resting:
            await own.submit(CancelOrders(numbers=resting))
        return not working


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def real_engine(postgres_server: EmbeddedPostgres, request: pytest.FixtureRequest) -> AsyncIterator[RealEngine]:
    """The module's engine, when a test first asks for it."""
    with new_desk(postgres_server, request.node.nodeid, speed=0.0) as desk:
        async with desk.opened(with_door=True) as host:
            yield RealEngine(host)


@pytest_asyncio.fixture(loop_scope="function")
async def plain() -> ClientHarness:
    """A small engine, called directly."""
    engine = PlainEngine()
    return plain_harness(engine, engine)


@pytest_asyncio.fixture(loop_scope="function")
async def remote() -> AsyncIterator[ClientHarness]:
    """The same engine through a real socket."""
    engine = PlainEngine()
    with short_folder() as folder:
        async with opened_door(engine, folder / "engine.sock") as door:
            client = await RemoteClient.attach(door.path)
            try:
                yield plain_harness(engine, client)
            finally:
                await client.close()


@pytest_asyncio.fixture(loop_scope="module")
async def local(real_engine: RealEngine) -> AsyncIterator[ClientHarness]:
    """The real engine, in process."""
    harness = await real_engine.harness(real_engine.host.client)
    yield harness
    while harness.client.chain(harness.chain_key) is not None:
        await harness.client.unwatch_chain(harness.chain_key)
    await real_engine.as_found(harness.chain_key)


@pytest_asyncio.fixture(loop_scope="module")
async def local_remote(real_engine: RealEngine) -> AsyncIterator[ClientHarness]:
    """The real engine through its own door; what its client watched goes with the client."""
    async with attached(real_engine.host) as client:
        harness = await real_engine.harness(client)
        yield harness
    await real_engine.as_found(harness.chain_key)


IN_THE_MODULES_LOOP = pytest.mark.asyncio(loop_scope="module")
IMPLEMENTATIONS = (
    pytest.param("plain", id="plain"),
    pytest.param("remote", id="remote"),
    pytest.param("local", id="local", marks=IN_THE_MODULES_LOOP),
    pytest.param("local_remote", id="local-remote", marks=IN_THE_MODULES_LOOP),
)


@pytest.fixture(params=IMPLEMENTATIONS)
def harness(request: pytest.FixtureRequest) -> ClientHarness:
    """Each implementation in turn."""
    found = request.getfixturevalue(request.param)
    assert isinstance(found, ClientHarness)
    return found
