"""A feed that is treated badly: the board is right afterwards, and no state said LIVE of a dead path for long."""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from engine.brokers.feed import FeedMode
from engine.brokers.kite.ticker import TickerSettings
from engine.clocks import SystemClock
from engine.core.vocabulary import QuoteState, Severity
from engine.market.feed_pool import FeedKey
from tests.integration.feed.rig import QUICK, SILENCE_S, Rig, Witness, running, token_of, until
from tests.kit.small_exchange import (
    HalfOpenCable,
    SmallClient,
    SmallExchange,
    frame_of,
    full_packet,
    ltp_packet,
)

TOKENS = [token_of(number) for number in range(1, 16)]
PRICES = {token: 10_000 + number for number, token in enumerate(TOKENS)}
KEY = FeedKey(account="AB1234", connections_max=3, connection_capacity=10)
TOLERANCE_S = 0.4
"""What a loaded machine may add to the limit before a state has turned."""
BEAT_S = SILENCE_S / 4


def dead_paths(exchange: SmallExchange) -> Callable[[int], int | None]:
    """Since when nothing that lives carries an instrument, as the exchange knows it."""

    def dead_since(token: int) -> int | None:
        carriers = [client for client in exchange.clients if token in client.subscribed]
        if not carriers or any(not (client.is_muted or client.is_gone) for client in carriers):
            return None
        return max(client.sent_ns for client in carriers)

    return dead_since


def mute(clients: Sequence[SmallClient]) -> None:
    """They stay connected and hear nothing more."""
    for client in clients:
        client.is_muted = True


async def test_a_silent_socket_turns_stale_and_is_replaced() -> None:
    """One connection of two falls silent: its quotes turn stale within the limit, it is replaced, the other is not."""
    async with SmallExchange(capacity=10, beat_s=BEAT_S) as exchange:
        exchange.prices = dict(PRICES)
        async with running(Rig({"AB1234": exchange.root}, [KEY])) as rig:
            rig.want("chain", TOKENS)
            await rig.live(TOKENS)
            witness = Witness(rig, TOKENS, dead_paths(exchange))
            async with witness, Witness(rig, TOKENS[:10], dead_paths(exchange)) as untouched:
                first, second = exchange.here
                muted_at = time.monotonic()
                exchange.snapshots = False
                mute([second])
                await until(lambda: rig.states_of(TOKENS[10:]) == {QuoteState.STALE}, "the silent one's are stale")
                await until(lambda: len(exchange.clients) == 3, "it is replaced")
                replaced_after = time.monotonic() - muted_at
                await until(lambda: set(exchange.subscribed) == set(TOKENS), "everything is told again")
                assert rig.states_of(TOKENS[10:]) == {QuoteState.STALE}
                await exchange.publish(PRICES)
                await rig.live(TOKENS)
            assert replaced_after < SILENCE_S + BEAT_S + TOLERANCE_S
            assert witness.worst_s < SILENCE_S + TOLERANCE_S
            assert untouched.seen == {QuoteState.LIVE}
            assert not first.is_gone
            assert [item.silent_replaced for item in rig.feed.connection_views(0, session_open=True)] == [0, 1]


async def test_every_socket_silent_at_once() -> None:
    """All connections fall silent: nothing reads live, the status line neither, and all come back."""
    async with SmallExchange(capacity=10, beat_s=BEAT_S) as exchange:
        exchange.prices = dict(PRICES)
        async with running(Rig({"AB1234": exchange.root}, [KEY])) as rig:
            rig.want("chain", TOKENS)
            await rig.live(TOKENS)
            async with Witness(rig, TOKENS, dead_paths(exchange)) as witness:
                exchange.snapshots = False
                mute(exchange.here)
                await until(lambda: rig.states_of(TOKENS) == {QuoteState.STALE}, "all are stale")
                assert rig.feed.view(session_open=True).state is QuoteState.STALE
                await until(lambda: len(exchange.clients) == 4, "both are replaced")
                await until(lambda: set(exchange.subscribed) == set(TOKENS), "everything is told again")
                await exchange.publish(PRICES)
                await rig.live(TOKENS)
            assert witness.worst_s < SILENCE_S + TOLERANCE_S
            assert rig.feed.view(session_open=True).state is QuoteState.LIVE
            assert rig.reconnects == 2


async def test_a_half_open_socket_is_found() -> None:
    """The network goes dark without a word: no FIN, no error; the connection is given up and made again."""
    async with SmallExchange(beat_s=BEAT_S) as exchange, HalfOpenCable(exchange.port) as cable:
        exchange.prices = dict(PRICES)
        async with running(Rig({"AB1234": cable.root}, [KEY])) as rig:
            rig.want("chain", TOKENS[:10])
            await rig.live(TOKENS[:10])
            dark: list[int] = []
            async with Witness(rig, TOKENS[:10], lambda _: dark[0] if dark else None) as witness:
                cable.die()
                dark.append(time.monotonic_ns())
                await until(lambda: rig.states_of(TOKENS[:10]) == {QuoteState.STALE}, "all are stale")
                await until(lambda: len(exchange.clients) == 2, "another connection was made")
                dark.clear()
                await rig.live(TOKENS[:10])
            assert witness.worst_s < SILENCE_S + TOLERANCE_S
            (view,) = rig.feed.connection_views(0, session_open=True)
            assert view.silent_replaced == 1
            assert any("nothing was heard for" in words for words in rig.words())


async def test_a_server_that_restarts_is_found_again() -> None:
    """The server goes and comes back: every connection returns by itself and tells what is desired by then."""
    async with SmallExchange(capacity=10, beat_s=BEAT_S) as exchange:
        exchange.prices = dict(PRICES)
        async with running(Rig({"AB1234": exchange.root}, [KEY])) as rig:
            rig.want("chain", TOKENS)
            await rig.live(TOKENS)
            async with Witness(rig, TOKENS, dead_paths(exchange)) as witness:
                await exchange.stop()
                await until(lambda: rig.states_of(TOKENS) == {QuoteState.STALE}, "all are stale")
                view = rig.feed.view(session_open=True)
                assert (view.state, view.connections) == (QuoteState.STALE, 0)
                assert "Market data lost" in view.message
                rig.want("chain", TOKENS[1:])
                await exchange.start()
                await rig.live(TOKENS[1:])
            assert witness.worst_s < SILENCE_S + TOLERANCE_S
            assert set(exchange.subscribed) == set(TOKENS[1:])
            assert rig.quote(TOKENS[0]) is None


class JumpingClock(SystemClock):
    """A wall clock that somebody sets; the monotonic one is true."""

    def __init__(self) -> None:
        self.ahead = timedelta(0)

    def market_now(self) -> datetime:
        """The wall clock, as in the live venue."""
        return datetime.now(UTC) + self.ahead

    def wall_now(self) -> datetime:
        """As set."""
        return self.market_now()


@pytest.mark.parametrize("jump", [timedelta(days=1), timedelta(days=-1)])
async def test_a_wall_clock_that_jumps_changes_nothing(jump: timedelta) -> None:
    """A day forward or back: nothing is replaced, no quote turns, ages stay true, market time never runs backwards."""
    clock = JumpingClock()
    async with SmallExchange(beat_s=BEAT_S) as exchange:
        exchange.prices = dict(PRICES)
        async with running(Rig({"AB1234": exchange.root}, [KEY], clock=clock)) as rig:
            rig.want("chain", TOKENS[:10])
            await rig.live(TOKENS[:10])
            async with Witness(rig, TOKENS[:10], dead_paths(exchange)) as witness:
                clock.ahead = jump
                before = exchange.clients[0].sent_ns
                await until(lambda: exchange.clients[0].sent_ns - before > 2 * SILENCE_S * 1e9, "two limits passed")
                await exchange.publish({token: price + 1 for token, price in PRICES.items()})
                await until(lambda: rig.feed.packets >= 20, "prices came")
            assert witness.seen == {QuoteState.LIVE}
            quote = rig.quote(TOKENS[0])
            assert quote is not None
            assert quote.age_s is not None
            assert 0 <= quote.age_s < SILENCE_S
            assert len(exchange.clients) == 1
            assert not [event for event in rig.events if event.severity is not Severity.INFO]
            assert rig.times == sorted(rig.times)


async def test_duplicated_and_reordered_frames_leave_the_board_right() -> None:
    """Frames come twice, late and mixed up, from both connections; what came last is what stands, all of it live."""
    source = random.Random(5)  # noqa: S311 - an order, not a secret
    async with SmallExchange(capacity=10, beat_s=BEAT_S) as exchange:
        exchange.prices = dict(PRICES)
        async with running(Rig({"AB1234": exchange.root}, [KEY])) as rig:
            rig.want("chain", TOKENS)
            await rig.live(TOKENS)
            now = int(time.time())
            async with Witness(rig, TOKENS, dead_paths(exchange)) as witness:
                for client in exchange.here:
                    owned = list(client.subscribed)
                    frames = [
                        frame_of(
                            full_packet(token, 20_000 + step, seconds=now - 40 + step, volume=step) for token in owned
                        )
                        for step in range(40)
                    ]
                    for _ in range(3):
                        source.shuffle(frames)
                        for frame in frames:
                            await client.send(frame)
                            await client.send(frame)
                    final = frame_of(
                        full_packet(token, token % 1000 * 5 + 500, seconds=now, volume=99) for token in owned
                    )
                    await client.send(final)
                    await client.send(final)
                expected = [(token % 1000 * 5 + 500) / 100 for token in TOKENS]
                slots = np.asarray(rig.board.slots_of(TOKENS), np.intp)
                await until(lambda: rig.board.last(slots).tolist() == expected, "the last frame stands")
            assert rig.board.volume(slots).tolist() == [99.0] * len(TOKENS)
            assert witness.seen == {QuoteState.LIVE}
            assert rig.feed.view(session_open=True).bad_frames == 0
            assert rig.times == sorted(rig.times)


async def test_trailing_packets_never_stand_in_for_another_connection() -> None:
    """A late price over a connection that carries the instrument no more is not believed when its own one dies."""
    async with SmallExchange(capacity=10, beat_s=BEAT_S) as exchange:
        exchange.prices = dict(PRICES)
        async with running(Rig({"AB1234": exchange.root}, [KEY])) as rig:
            rig.want("one", TOKENS[:10])
            rig.want("two", TOKENS[10:])
            await rig.live(TOKENS)
            first, second = exchange.here
            exchange.snapshots = False
            moved = TOKENS[0]
            rig.want("one", TOKENS[1:10])
            await until(lambda: moved not in first.subscribed, "it is unsubscribed")
            rig.want("three", [token_of(99)])
            rig.want("one", TOKENS[:10])
            await until(lambda: moved in second.subscribed, "it is carried by the second connection now")
            await first.send(frame_of([ltp_packet(moved, 77)]))
            await until(lambda: rig.state(moved) is QuoteState.LIVE, "the late packet is on the board")
            mute([second])
            muted_ns = time.monotonic_ns()
            async with Witness(rig, [moved], lambda _: muted_ns) as witness:
                await until(lambda: len(exchange.clients) == 3, "the second connection was replaced")
                await until(lambda: rig.state(moved) is not QuoteState.LIVE, "it is not believed")
            assert witness.worst_s < SILENCE_S + BEAT_S + TOLERANCE_S
            await until(lambda: moved in exchange.subscribed, "it is told again")
            await exchange.publish({moved: 88})
            await rig.live([moved])


async def test_beats_without_data_are_no_life() -> None:
    """A feed that beats but brings nothing is replaced, and each time in a row later: a halt is no reason to hurry."""
    ticker = TickerSettings(
        silence_limit_s=SILENCE_S,
        data_limit_s=0.1,
        data_limit_max_s=0.8,
        quiet_factor=3.0,
        tell_interval_s=0.005,
        backoff_initial_s=0.005,
        backoff_max_s=0.01,
        close_timeout_s=0.1,
    )
    async with SmallExchange(beat_s=0.02, snapshots=False) as exchange:
        rig = Rig({"AB1234": exchange.root}, [KEY], ticker=ticker)
        rig.want("chain", TOKENS[:5])
        async with running(rig):
            came: list[float] = []
            for count in range(1, 5):
                await until(lambda count=count: len(exchange.clients) >= count, "another connection")  # type: ignore[misc]
                came.append(time.monotonic())
            pauses = [later - earlier for earlier, later in itertools.pairwise(came)]
            assert pauses[0] >= 0.1
            assert pauses[1] >= 0.2
            assert pauses[2] >= 0.4
            stats = rig.tickers[0].stats
            assert (stats.starved_replaced, stats.silent_replaced) == (3, 0)
            assert any("it beats, but no data came" in words for words in rig.words())


async def test_a_quiet_row_of_strikes_is_left_alone() -> None:
    """Data that comes seldom, but comes, keeps its connection: its own pauses say what is normal for it."""
    ticker = TickerSettings(
        silence_limit_s=SILENCE_S, data_limit_s=0.05, data_limit_max_s=10.0, quiet_factor=8.0, close_timeout_s=0.1
    )
    async with SmallExchange(beat_s=0.02) as exchange:
        exchange.prices = dict(PRICES)
        async with running(Rig({"AB1234": exchange.root}, [KEY], ticker=ticker)) as rig:
            rig.want("chain", TOKENS[:5])
            await rig.live(TOKENS[:5])
            for step in range(3):
                since = time.monotonic()
                await until(lambda since=since: time.monotonic() - since > 0.04, "a pause below the limit")  # type: ignore[misc]
                await exchange.publish({TOKENS[0]: 500 + step})
            since = time.monotonic()
            await until(lambda: time.monotonic() - since > 0.2, "four times the limit without data")
            assert len(exchange.clients) == 1
            rig.want("chain", [])
            since = time.monotonic()
            await until(lambda: time.monotonic() - since > 0.5, "nothing wanted, nothing missed")
            assert len(exchange.clients) == 1


async def test_ten_thousand_subscriptions_in_a_minute() -> None:
    """10,000 wishes, counted and stated, while prices flow: afterwards wishes, board and exchange agree to the mode.

    They come here as fast as they can, which is faster than in a minute.
    """
    source = random.Random(11)  # noqa: S311 - an order, not a secret
    universe = [token_of(number) for number in range(1, 401)]
    prices = {token: 1_000 + token % 977 for token in universe}
    key = FeedKey(account="AB1234", connections_max=3, connection_capacity=100)
    modes = (FeedMode.LTP, FeedMode.QUOTE, FeedMode.FULL)
    async with SmallExchange(capacity=100, beat_s=BEAT_S) as exchange:
        exchange.prices = dict(prices)
        async with running(Rig({"AB1234": exchange.root}, [key], ticker=QUICK)) as rig:
            rig.want("strip", universe[:3], priority=30)
            await rig.live(universe[:3])
            model: dict[str, dict[int, int]] = {}
            async with Witness(rig, universe[::20], dead_paths(exchange)) as witness:
                for step in range(10_000):
                    consumer = f"consumer {source.randrange(12)}"
                    tokens = source.sample(universe, source.randrange(1, 20))
                    counts = model.setdefault(consumer, {})
                    if source.random() < 0.5:
                        rig.wishes.add(consumer, tokens, modes[step % 3], priority=int(consumer[-1]))
                        for token in tokens:
                            counts[token] = counts.get(token, 0) + 1
                    else:
                        known = [token for token in source.sample(universe, 20) if token in counts] + list(counts)[:10]
                        rig.wishes.release(consumer, dict.fromkeys(known))
                        for token in dict.fromkeys(known):
                            counts[token] -= 1
                            if not counts[token]:
                                del counts[token]
                    rig.feed.sync()
                    if step % 40 == 0:
                        await exchange.publish(dict(source.sample(sorted(prices.items()), 5)))
                wanted = {token for counts in model.values() for token in counts} | set(universe[:3])
                desired = {token: mode.name.lower() for token, mode in rig.wishes.desired.items()}
                await until(lambda: exchange.subscribed == desired, "the exchange knows what is desired")
                await exchange.publish(prices)
                await rig.live(list(rig.wishes.desired))
                await until(lambda: witness.looks > 1, "a second look")
            assert set(rig.wishes.desired) | set(rig.wishes.refused) == wanted
            assert len(rig.wishes.desired) == min(300, len(wanted))
            assert {int(token) for token in rig.board.tokens if token} == set(rig.wishes.desired)
            assert all(rig.board.last(rig.board.slots_of([token]))[0] == prices[token] / 100 for token in desired)
            assert all(client.refused == 0 for client in exchange.clients)
            assert witness.worst_s < SILENCE_S + TOLERANCE_S
            assert len(exchange.clients) == 3
            total = sum(client.messages for client in exchange.clients)
            assert total < 10_000, "changes are told together"
            assert not rig.texts
