"""Several connections of several keys over real sockets: who carries what, and what a loss or a refusal means."""

from __future__ import annotations

import asyncio

from engine.brokers.kite.ticker import TickerSettings
from engine.core.events import EventKind
from engine.core.vocabulary import QuoteState, Severity
from engine.market.feed_pool import FeedKey
from tests.integration.feed.rig import SILENCE_S, Rig, running, token_of, until
from tests.kit.small_exchange import SmallExchange

TOKENS = [token_of(number) for number in range(1, 26)]
PRICES = {token: 10_000 + number for number, token in enumerate(TOKENS)}


def key(account: str = "AB1234", *, connections: int = 3, capacity: int = 10) -> FeedKey:
    """A login with small connections."""
    return FeedKey(account=account, connections_max=connections, connection_capacity=capacity)


async def told(rig: Rig, exchange: SmallExchange) -> None:
    """Wait until the exchange has been told exactly what is desired."""
    await until(
        lambda: exchange.subscribed == {token: mode.name.lower() for token, mode in rig.wishes.desired.items()},
        "the exchange knows what is desired",
    )


async def test_connections_fill_one_after_the_other_and_close_when_empty() -> None:
    """Ten each: 25 instruments need three connections; given up, the later ones close and the first stays."""
    async with SmallExchange(capacity=10, beat_s=SILENCE_S / 4) as exchange:
        exchange.prices = dict(PRICES)
        async with running(Rig({"AB1234": exchange.root}, [key()])) as rig:
            rig.want("chain", TOKENS[:10])
            await rig.live(TOKENS[:10])
            assert len(exchange.here) == 1
            rig.want("other", TOKENS[10:])
            await rig.live(TOKENS)
            await told(rig, exchange)
            assert [len(client.subscribed) for client in exchange.here] == [10, 10, 5]
            views = rig.feed.connection_views(0, session_open=True)
            assert [(view.number, view.account, view.subscribed, view.up) for view in views] == [
                (0, "AB1234", 10, True),
                (1, "AB1234", 10, True),
                (2, "AB1234", 5, True),
            ]
            rig.wishes.drop("other")
            rig.feed.sync()
            await until(lambda: len(exchange.here) == 1, "the empty connections are closed")
            assert rig.states_of(TOKENS[:10]) == {QuoteState.LIVE}
            view = rig.feed.view(session_open=True)
            assert (view.state, view.connections, view.subscribed) == (QuoteState.LIVE, 1, 10)
            assert not [event for event in rig.events if event.severity is not Severity.INFO]
            rig.want("again", TOKENS[10:])
            await rig.live(TOKENS)


async def test_an_instrument_never_moves_while_its_connection_lives() -> None:
    """Room that appears on an earlier connection is for new instruments; nobody is subscribed anew for it."""
    async with SmallExchange(capacity=10, beat_s=SILENCE_S / 4) as exchange:
        exchange.prices = dict(PRICES)
        async with running(Rig({"AB1234": exchange.root}, [key()])) as rig:
            rig.want("one", TOKENS[:10])
            rig.want("two", TOKENS[10:15])
            await rig.live(TOKENS[:15])
            second = exchange.here[1]
            messages = second.messages
            rig.want("one", TOKENS[:5])
            rig.want("three", TOKENS[20:22])
            await told(rig, exchange)
            assert set(second.subscribed) == set(TOKENS[10:15])
            assert second.messages == messages
            assert set(exchange.here[0].subscribed) == {*TOKENS[:5], *TOKENS[20:22]}


async def test_what_has_no_room_is_listed_and_positions_go_first() -> None:
    """A consumer of higher priority displaces; who is refused is listed by name, and comes in when room comes."""
    async with SmallExchange(capacity=10, beat_s=SILENCE_S / 4) as exchange:
        exchange.prices = dict(PRICES)
        async with running(Rig({"AB1234": exchange.root}, [key(connections=2)])) as rig:
            rig.want("window", TOKENS[:20], priority=-10)
            await rig.live(TOKENS[:20])
            rig.want("held", TOKENS[20:], priority=20)
            await rig.live(TOKENS[20:])
            await told(rig, exchange)
            (refused,) = rig.feed.refused_views(str)
            assert (refused.consumer, refused.priority, refused.count) == ("window", -10, 5)
            assert refused.instruments == tuple(map(str, TOKENS[15:20]))
            assert rig.feed.consumers() == (("held", 5), ("window", 20))
            assert "5 instruments do not fit into the feed; close a chain to make room." in rig.words()
            assert rig.quote(TOKENS[19]) is None
            rig.wishes.drop("held")
            rig.feed.sync()
            await rig.live(TOKENS[:20])
            assert rig.feed.refused_views(str) == ()
        assert all(client.refused == 0 for client in exchange.clients)


async def test_a_connection_that_is_down_for_long_gives_its_instruments_to_others() -> None:
    """One key's server dies: its instruments go to the other key's connection, stale until they are heard there."""
    async with SmallExchange(beat_s=SILENCE_S / 4) as first, SmallExchange(beat_s=SILENCE_S / 4) as second:
        first.prices = dict(PRICES)
        keys = [key("AA1", connections=1), key("BB2", connections=1, capacity=30)]
        rig = Rig({"AA1": first.root, "BB2": second.root}, keys)
        async with running(rig):
            rig.want("chain", TOKENS[:15])
            await until(lambda: len(second.subscribed) == 5, "the second key is used")
            second.prices = dict(PRICES)
            await second.publish(PRICES)
            await rig.live(TOKENS[:15])
            second.snapshots = False
            await first.stop()
            await until(lambda: len(second.subscribed) == 15, "the other key has taken over")
            assert rig.states_of(TOKENS[:10]) == {QuoteState.STALE}
            assert rig.states_of(TOKENS[10:15]) == {QuoteState.LIVE}
            await second.publish(PRICES)
            await rig.live(TOKENS[:15])
            await first.start()
            await until(lambda: rig.feed.view(session_open=True).connections == 2, "the first key is back")
            rig.want("chain", TOKENS[:17])
            await until(lambda: len(first.subscribed) == 2, "new instruments go to the first connection again")
            assert len(second.subscribed) == 15


async def test_a_refused_key_asks_for_a_login_and_its_instruments_move() -> None:
    """403 on one key: said once, the other takes over what fits by priority, and a new token brings all back."""
    async with SmallExchange(beat_s=SILENCE_S / 4) as exchange:
        exchange.prices = dict(PRICES)
        exchange.good_tokens = {"BB2-1"}
        keys = [key("AA1", connections=2), key("BB2", connections=1)]
        async with running(Rig({"AA1": exchange.root, "BB2": exchange.root}, keys)) as rig:
            rig.want("scan", TOKENS[:15])
            rig.want("held", TOKENS[15:20], priority=20)
            await rig.live(TOKENS[15:20])
            assert len(exchange.here) == 1
            assert rig.feed.capacity == 10
            await until(lambda: len(exchange.subscribed) == 10, "the other key is full")
            assert rig.wishes.desired.keys() >= set(TOKENS[15:20])
            expired = [event for event in rig.events if event.kind is EventKind.SESSION]
            assert [event.text for event in expired] == ["AA1: The ticker refused the session: log in again."]
            assert expired[0].severity is Severity.DANGER
            assert any("do not fit into the feed without AA1" in words for words in rig.words())
            view = rig.feed.view(session_open=True)
            assert (view.state, view.message) == (QuoteState.STALE, "The ticker refused the session: log in again.")
            refusals = exchange.refusals
            exchange.good_tokens.add("AA1-2")
            rig.feed.renew("AA1", "AA1-2")
            await rig.live(TOKENS[:20])
            assert exchange.refusals == refusals
            assert rig.feed.refused_views(str) == ()
            assert rig.feed.view(session_open=True).state is QuoteState.LIVE


async def test_one_key_refused_keeps_its_place_and_goes_on_after_the_login() -> None:
    """With no other key nothing is thrown away: quotes read stale, and come back with the new token, no restart."""
    async with SmallExchange(beat_s=SILENCE_S / 4) as exchange:
        exchange.prices = dict(PRICES)
        async with running(Rig({"AB1234": exchange.root}, [key()])) as rig:
            rig.want("chain", TOKENS[:15])
            await rig.live(TOKENS[:15])
            exchange.good_tokens = {"AB1234-2"}
            for client in exchange.here:
                client.cut()
            await until(lambda: rig.states_of(TOKENS[:15]) == {QuoteState.STALE}, "all is stale")
            await until(lambda: exchange.refusals >= 2, "both connections were refused")
            assert set(rig.wishes.desired) == set(TOKENS[:15])
            session = [event for event in rig.events if event.kind is EventKind.SESSION]
            assert [event.text for event in session] == ["The ticker refused the session: log in again."]
            rig.feed.renew("AB1234", "AB1234-2")
            await rig.live(TOKENS[:15])
            assert rig.reconnects == 2


async def test_a_new_token_replaces_running_connections() -> None:
    """A login of the day's new session reaches every connection of that account, and no other."""
    async with SmallExchange(beat_s=SILENCE_S / 4) as exchange:
        exchange.prices = dict(PRICES)
        keys = [key("AA1", connections=1), key("BB2", connections=1)]
        async with running(Rig({"AA1": exchange.root, "BB2": exchange.root}, keys)) as rig:
            rig.want("chain", TOKENS[:15])
            await rig.live(TOKENS[:15])
            rig.feed.renew("BB2", "BB2-2")
            await until(lambda: "BB2-2" in [client.token for client in exchange.here], "the token is used")
            await rig.live(TOKENS[:15])
            assert sorted(client.token for client in exchange.here) == ["AA1-1", "BB2-2"]
            assert len(exchange.clients) == 3


async def test_a_program_error_in_one_connection_ends_no_other() -> None:
    """One connection's program fails: it starts again by itself, the others never notice."""
    async with SmallExchange(capacity=10, beat_s=SILENCE_S / 4) as exchange:
        exchange.prices = dict(PRICES)
        async with running(Rig({"AB1234": exchange.root}, [key()])) as rig:
            rig.want("chain", TOKENS[:15])
            await rig.live(TOKENS[:15])
            first, second = exchange.here
            broken = rig.tickers[1]
            real, calls = broken._desired, asyncio.Event()

            def fails() -> object:
                calls.set()
                raise KeyError("defect")

            broken._desired = fails  # type: ignore[assignment]
            broken.subscriptions_changed()
            await calls.wait()
            await until(lambda: second.is_gone, "the broken connection ended")
            assert rig.states_of(TOKENS[:10]) == {QuoteState.LIVE}
            broken._desired = real
            await rig.live(TOKENS[:15])
            assert not first.is_gone
            assert any("connection 2 of AB1234 failed" in words for words in rig.words())


async def test_a_frame_beyond_the_limit_costs_its_connection_only() -> None:
    """An absurd frame is not taken in; its connection is replaced, the other one lives on."""
    ticker = TickerSettings(
        silence_limit_s=SILENCE_S, frame_bytes_max=2000, backoff_initial_s=0.01, close_timeout_s=0.1
    )
    async with SmallExchange(capacity=10, beat_s=SILENCE_S / 4) as exchange:
        exchange.prices = dict(PRICES)
        async with running(Rig({"AB1234": exchange.root}, [key()], ticker=ticker)) as rig:
            rig.want("chain", TOKENS[:15])
            await rig.live(TOKENS[:15])
            first, second = exchange.here
            await second.send(bytes(5000))
            await until(lambda: len(exchange.clients) == 3, "the connection was replaced")
            await rig.live(TOKENS[:15])
            assert not first.is_gone
            assert rig.feed.view(session_open=True).reconnects == 1
