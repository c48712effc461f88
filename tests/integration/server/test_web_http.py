"""Plain HTTP at the web door: what a supervisor, a load balancer and a monitoring system ask."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from engine.core.errors import StorageUnavailable
from engine.core.views import DeskView, StatusView
from engine.core.vocabulary import QuoteState
from engine.server.access import Scope
from engine.server.metrics import CONTENT_TYPE
from engine.server.readiness import KEPT_S, Readiness
from tests.kit.plain_engine import ACCOUNT, PlainEngine
from tests.kit.web_door import Database, Site, opened_site


class MoodyEngine(PlainEngine):
    """A small engine whose status a test can change."""

    def __init__(self) -> None:
        super().__init__()
        self.changes: dict[str, object] = {}

    def desk(self) -> DeskView:
        """As always, with the changes."""
        desk = super().desk()
        status: StatusView = msgspec.structs.replace(desk.status, **self.changes)
        return msgspec.structs.replace(desk, status=status)

    def feed(self, state: QuoteState) -> None:
        """Let the market data be in another state."""
        self.changes["feed"] = msgspec.structs.replace(super().desk().status.feed, state=state)


class Hands:
    """A monotonic clock that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def engine() -> MoodyEngine:
    """An engine of this test."""
    return MoodyEngine()


@pytest.fixture
async def site(engine: MoodyEngine, tmp_path: Path) -> AsyncIterator[Site]:
    """Its web door."""
    async with opened_site(engine, tmp_path) as opened:
        yield opened


async def test_health_needs_nothing(site: Site, engine: MoodyEngine) -> None:
    """Whoever asks learns that the process lives, whatever is wrong with engine and database, and nothing else."""
    engine.failures["desk"] = StorageUnavailable("gone")
    site.database.failure = OSError("gone")
    answer = await site.get("/health")
    assert (answer.status, answer.data) == (200, {"status": "ok"})


async def test_an_engine_that_is_ready(site: Site) -> None:
    """Everything in order is 200 with no reasons."""
    answer = await site.get("/ready")
    assert answer.status == 200
    expected = {"ready": True, "read_only": False, "writer": True, "feed": "live", "degraded": 0, "reasons": []}
    assert answer.data == expected


async def test_readiness_tells_nothing_of_the_account(site: Site, engine: MoodyEngine) -> None:
    """No account, no sentence of a service, no money in what anybody may read."""
    engine.changes["degraded"] = (f"Another engine is the writer of {ACCOUNT}.", "Funds could not be read.")
    answer = await site.get("/ready")
    assert answer.data["degraded"] == 2
    assert ACCOUNT.encode() not in answer.body
    assert b"unds" not in answer.body


@pytest.mark.parametrize(
    ("state", "status"),
    [
        (QuoteState.LIVE, 200),
        (QuoteState.CLOSED, 200),
        (QuoteState.STALE, 503),
        (QuoteState.UNKNOWN, 503),
    ],
)
async def test_readiness_and_the_feed(site: Site, engine: MoodyEngine, state: QuoteState, status: int) -> None:
    """A shut market is no reason not to be ready; a silent feed is."""
    engine.feed(state)
    answer = await site.get("/ready")
    assert answer.status == status
    assert answer.data["feed"] == state.name.lower()
    assert answer.data["ready"] is (status == 200)
    assert bool(answer.data["reasons"]) is (status != 200)


async def test_an_engine_that_lost_the_account(site: Site, engine: MoodyEngine) -> None:
    """An engine that wanted to be the writer and is not says so."""
    engine.changes["writer"] = False
    answer = await site.get("/ready")
    assert answer.status == 503
    assert "this one can only look" in answer.data["reasons"][0]


async def test_an_engine_that_was_told_only_to_look(tmp_path: Path) -> None:
    """Read-only by order is ready, and says what it is."""
    engine = MoodyEngine()
    engine.changes["writer"] = False
    async with opened_site(engine, tmp_path, read_only=True) as site:
        answer = await site.get("/ready")
        assert (answer.status, answer.data["read_only"], answer.data["writer"]) == (200, True, False)


@pytest.mark.parametrize("failure", [OSError("gone"), StorageUnavailable("gone"), TimeoutError()])
async def test_a_database_that_does_not_answer(site: Site, failure: Exception) -> None:
    """Without its database the engine can journal nothing: not ready."""
    site.database.failure = failure
    answer = await site.get("/ready")
    assert answer.status == 503
    assert answer.data["reasons"] == ["the database does not answer"]


async def test_an_engine_that_cannot_show_its_desk(site: Site, engine: MoodyEngine) -> None:
    """Whatever keeps it from that, it is not ready, and the words give nothing away."""
    engine.failures["desk"] = StorageUnavailable("the account PX0001 cannot be read")
    answer = await site.get("/ready")
    assert answer.status == 503
    assert answer.data["reasons"] == ["the engine cannot show its desk"]


async def test_asking_often_asks_the_database_seldom(engine: MoodyEngine) -> None:
    """However many ask in a second, the database is asked once; a second later it is asked again."""
    clock, database = Hands(), Database()
    readiness = Readiness(engine, read_only=False, ping=database.ping, monotonic=clock)
    views = await asyncio.gather(*(readiness.look() for _ in range(100)))
    assert database.asked == 1
    assert all(view.ready for view in views)
    database.failure = OSError("gone")
    assert (await readiness.look()).ready
    clock.now += KEPT_S
    assert not (await readiness.look()).ready
    assert database.asked == 2


async def test_metrics_for_whoever_may_read(site: Site) -> None:
    """With a read token the standard's parser finds the doors' figures and the engine's."""
    async with await site.attach(site.token()) as client:
        await client.call("funds")
        await client.call("nothing")
        answer = await site.get("/metrics", token=site.token())
    assert answer.status == 200
    assert answer.headers["content-type"] == CONTENT_TYPE
    families = {family.name: family for family in text_string_to_metric_families(answer.body.decode())}
    clients = families["workstation_clients"].samples
    assert [(sample.labels, sample.value) for sample in clients] == [({"door": "web"}, 1.0)]
    calls = {(sample.labels["method"], sample.labels["outcome"]) for sample in families["workstation_calls"].samples}
    assert {("funds", "ok"), ("unknown", "invalid")} <= calls
    assert families["workstation_feed_packets"].samples[0].value > 0
    assert {"workstation_loop_lag_seconds", "workstation_sent_bytes", "workstation_orders"} <= set(families)
    assert ACCOUNT.encode() not in answer.body


async def test_metrics_need_a_token(site: Site) -> None:
    """Figures of trading are nobody's business; every kind of token includes looking."""
    assert (await site.get("/metrics")).status == 401
    for scope in Scope:
        assert (await site.get("/metrics", token=site.token(scope, name=scope.value))).status == 200


async def test_metrics_of_an_engine_in_trouble(site: Site, engine: MoodyEngine) -> None:
    """When the engine cannot show itself the doors' own figures are still there."""
    engine.failures["desk"] = StorageUnavailable("gone")
    answer = await site.get("/metrics", token=site.token())
    assert answer.status == 200
    assert b"workstation_clients" in answer.body
