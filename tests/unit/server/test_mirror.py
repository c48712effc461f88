"""The client's mirror: rebuilt from snapshots and what follows, and never from anything that does not follow."""

from __future__ import annotations

import asyncio
from itertools import combinations

import msgspec
import pytest

from engine.core.errors import EngineGone
from engine.core.quotes import Quote
from engine.core.vocabulary import QuoteState
from engine.server import protocol, wire
from engine.server.mirror import LOG_KEPT_MAX, Mirror
from engine.server.pictures import Pictures
from engine.server.protocol import TopicUpdate
from engine.server.topics import DESK, chain_topic
from tests.kit.plain_engine import STRIKES, PlainEngine


class Sight:
    """A mirror of the first chain of an engine, fed through the wire."""

    def __init__(self) -> None:
        self.now = 0.0
        self.engine = PlainEngine()
        self.pictures = Pictures(self.engine, monotonic=lambda: self.now, look_s=0.0)
        self.key = self.engine.keys[0]
        self.topic = chain_topic(self.key)
        self.mirror = Mirror(lambda: self.now)
        self.have = 0

    async def opened(self) -> Sight:
        """Follow."""
        await self.pictures.follow(self.topic)
        self.mirror.expect(self.topic.name)
        assert self.sent()
        return self

    def update(self, base: int | None = None) -> TopicUpdate:
        """The next update as it arrives."""
        found = self.pictures.message(self.topic, self.have if base is None else base)
        assert found is not None
        return msgspec.json.decode(found[1], type=TopicUpdate)

    def sent(self) -> bool:
        """Let the next update arrive; whether it was taken."""
        update = self.update()
        self.have = update.sequence
        return self.mirror.take(update)

    def rows_since(self, since: int) -> set[int]:
        """Changed rows of the newest picture."""
        view = self.mirror.chain(self.key, since)
        assert view is not None
        return set(view.changed.tolist())

    @property
    def sequence(self) -> int:
        """Of the newest picture."""
        view = self.mirror.chain(self.key, 0)
        assert view is not None
        return view.sequence


async def test_a_chain_arrives_whole() -> None:
    """Every column of every row is what the engine shows."""
    sight = await Sight().opened()
    original, copy = sight.engine.chain(sight.key), sight.mirror.chain(sight.key, 0)
    assert original is not None
    assert copy is not None
    assert copy.header == original.header
    assert copy.strikes.tolist() == original.strikes.tolist()
    for name in (field.name for field in msgspec.structs.fields(type(original.calls))):
        for side in ("calls", "puts"):
            theirs, ours = getattr(getattr(original, side), name), getattr(getattr(copy, side), name)
            assert wire.encode(ours) == wire.encode(theirs), name
            assert ours.dtype == theirs.dtype, name
            assert not ours.flags.writeable


async def test_every_pair_of_moments_is_told_apart() -> None:
    """For each sequence given out before, the rows are those of all later changes, in any order of asking."""
    sight = await Sight().opened()
    moved = [1, 3, 1, 0, 4]
    sequences = [sight.sequence]
    for step, row in enumerate(moved):
        sight.engine.set_price(sight.key, row, 50.0 + step)
        assert sight.sent()
        sequences.append(sight.sequence)
    for place, _ in reversed(list(enumerate(sequences))):
        assert sight.rows_since(sequences[place]) == set(moved[place:])


async def test_skipped_pictures_lose_no_row() -> None:
    """However seldom a client is shown the chain, the rows since the first picture are all there."""
    for arrived in combinations(range(4), 2):
        sight = await Sight().opened()
        first = sight.sequence
        for step in range(4):
            sight.engine.set_price(sight.key, step, 70.0 + step)
            sight.pictures.message(sight.topic, sight.have)
            if step in arrived:
                assert sight.sent()
        if sight.pictures.message(sight.topic, sight.have) is not None:
            assert sight.sent()
        assert sight.rows_since(first) == {0, 1, 2, 3}


async def test_an_earlier_picture_never_changes() -> None:
    """A screen that still holds it sees one moment, not two mixed."""
    sight = await Sight().opened()
    before = sight.mirror.chain(sight.key, 0)
    assert before is not None
    sight.engine.set_price(sight.key, 2, 12.5)
    assert sight.sent()
    after = sight.mirror.chain(sight.key, 0)
    assert after is not None
    assert (before.calls.bid[2], after.calls.bid[2]) == (100.0, 12.5)


async def test_a_missing_update_is_noticed_and_healed_by_a_snapshot() -> None:
    """What does not continue what is here is not taken: half a picture would be a wrong one."""
    sight = await Sight().opened()
    sight.engine.set_price(sight.key, 1, 11.0)
    lost = sight.update()
    sight.have = lost.sequence
    sight.engine.set_price(sight.key, 2, 22.0)
    assert not sight.sent()
    view = sight.mirror.chain(sight.key, 0)
    assert view is not None
    assert view.calls.bid[2] == 100.0
    sight.have = 0
    assert sight.sent()
    view = sight.mirror.chain(sight.key, 0)
    assert view is not None
    assert view.calls.bid[1:3].tolist() == [11.0, 22.0]


async def test_a_chain_shown_no_more_disappears_and_comes_back_whole() -> None:
    """After that nothing that was seen before counts."""
    sight = await Sight().opened()
    old = sight.sequence
    assert sight.mirror.take(TopicUpdate(sight.topic.name, sight.have + 1))
    assert sight.mirror.chain(sight.key, 0) is None
    sight.have = 0
    sight.engine.set_price(sight.key, 0, 1.0)
    assert sight.sent()
    assert sight.rows_since(old) == set(range(len(STRIKES)))


async def test_nobody_takes_what_nobody_expects() -> None:
    """A picture that was given up stays away."""
    sight = await Sight().opened()
    sight.mirror.forget(sight.topic.name)
    sight.have = 0
    assert sight.sent()
    assert sight.mirror.chain(sight.key, 0) is None


@pytest.mark.parametrize(
    "parts",
    [
        {"header": b"{}"},
        {"7": b"[[],[]]"},
        {"0": b"[[1],[1]]"},
        {"0": b"7"},
        {"99": b"[[],[]]"},
        {"strikes": b"[1.0]"},
        {"ages": b"[1]"},
    ],
)
async def test_what_is_no_chain_is_not_taken_for_one(parts: dict[str, bytes]) -> None:
    """Another revision of the protocol is noticed, not shown."""
    sight = await Sight().opened()
    update = TopicUpdate(
        sight.topic.name, sight.have + 1, sight.have, {name: msgspec.Raw(data) for name, data in parts.items()}
    )
    with pytest.raises((msgspec.DecodeError, ValueError)):
        sight.mirror.take(update)


async def test_a_lost_link_leaves_no_price_that_looks_alive() -> None:
    """Chains, quotes and the strip are suspect, and the desk says why."""
    sight = await Sight().opened()
    token = sight.engine.instruments[0].token
    await sight.pictures.follow(DESK)
    for name in (DESK.name, "quotes"):
        sight.mirror.expect(name)
    found = sight.pictures.message(DESK, 0)
    assert found is not None
    sight.mirror.take(msgspec.json.decode(found[1], type=TopicUpdate))
    quote = Quote(token=token, state=QuoteState.LIVE, age_s=1.0)
    sight.mirror.take(TopicUpdate("quotes", 1, 0, {str(token): msgspec.Raw(wire.encode(quote))}))
    sight.mirror.lose("the cable is cut")
    view, desk, last = sight.mirror.chain(sight.key, 0), sight.mirror.desk, sight.mirror.quote(token)
    assert view is not None
    assert desk is not None
    assert last is not None
    assert set(view.calls.state.tolist()) <= {QuoteState.STALE, QuoteState.UNKNOWN}
    assert last.state is QuoteState.STALE
    assert {item.state for item in desk.strip} == {QuoteState.STALE}
    assert desk.status.degraded[0] == "the cable is cut"


async def test_a_quote_grows_older_here() -> None:
    """Nothing arrives while it does not change; its age is still the truth."""
    sight = Sight()
    sight.mirror.expect("quotes")
    quote = Quote(token=5, state=QuoteState.LIVE, age_s=0.5)
    sight.mirror.take(TopicUpdate("quotes", 1, 0, {"5": msgspec.Raw(wire.encode(quote))}))
    sight.now += 2.0
    older = sight.mirror.quote(5)
    assert older is not None
    assert older.age_s == pytest.approx(2.5)


def log_of(engine: PlainEngine, texts: list[str], base: int, sequence: int) -> TopicUpdate:
    """An update of the log of events."""
    items = [wire.encode(engine.add_event(text)) for text in texts]
    return msgspec.json.decode(protocol.log_update("events", sequence, base, items), type=TopicUpdate)


async def test_a_log_is_read_at_ones_own_pace_and_nothing_is_left_out() -> None:
    """A reader that comes late gets all since, one that waits is woken."""
    engine, mirror = PlainEngine(), Mirror(lambda: 0.0)
    mirror.expect("events")
    mirror.take(log_of(engine, ["a"], 0, 8))
    first = await mirror.events.next(None)
    assert (first.base, [event.text for event in first.events]) == (0, ["a"])
    waiting = asyncio.create_task(mirror.events.next(first.sequence))
    await asyncio.sleep(0)
    assert not waiting.done()
    mirror.take(log_of(engine, ["b", "c"], 8, 10))
    assert [event.text for event in (await waiting).events] == ["b", "c"]
    mirror.take(log_of(engine, ["d"], 10, 11))
    late = await mirror.events.next(first.sequence)
    assert [event.text for event in late.events] == ["b", "c", "d"]


async def test_a_new_start_of_the_engine_gives_readers_a_snapshot() -> None:
    """Its numbers begin anew; a place from before is no place in the new list."""
    engine, mirror = PlainEngine(), Mirror(lambda: 0.0)
    mirror.expect("events")
    mirror.take(log_of(engine, ["a", "b"], 0, 40))
    place = (await mirror.events.next(None)).sequence
    mirror.take(log_of(PlainEngine(), ["fresh"], 0, 1))
    changes = await mirror.events.next(place)
    assert (changes.base, [event.text for event in changes.events]) == (0, ["fresh"])


async def test_a_reader_too_far_behind_gets_a_snapshot() -> None:
    """What is kept is bounded."""
    engine, mirror = PlainEngine(), Mirror(lambda: 0.0)
    mirror.expect("events")
    mirror.take(log_of(engine, ["a"], 0, 1))
    place = (await mirror.events.next(None)).sequence
    for number in range(1, LOG_KEPT_MAX + 2):
        mirror.take(log_of(engine, ["x"], number, number + 1))
    assert (await mirror.events.next(place)).base == 0
    assert (await mirror.events.next(place + 1)).base == place + 1


async def test_a_reader_of_a_link_that_is_over_is_told() -> None:
    """It does not wait for ever."""
    mirror = Mirror(lambda: 0.0)
    mirror.expect("events")
    place = (await mirror.events.next(None)).sequence
    waiting = asyncio.create_task(mirror.events.next(place))
    await asyncio.sleep(0)
    mirror.events.end("it is over")
    with pytest.raises(EngineGone, match="it is over"):
        await waiting


async def test_a_chain_grows_older_here() -> None:
    """While nothing comes, every age is still the truth, and no row counts as changed by it."""
    sight = await Sight().opened()
    before = sight.mirror.chain(sight.key, 0)
    assert before is not None
    sight.now += 2.5
    after = sight.mirror.chain(sight.key, before.sequence)
    assert after is not None
    assert after.sequence > before.sequence
    assert after.changed.size == 0
    assert (after.calls.age_s - before.calls.age_s).tolist() == pytest.approx([2.5] * len(STRIKES))
    assert sight.mirror.chain(sight.key, before.sequence) is after
