"""The shared pictures of an engine: looked at while somebody follows, encoded once per change, forgotten afterwards."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from engine.core.errors import InvalidInput
from engine.server.pictures import Pictures
from engine.server.topics import DESK, Topic, TopicKind, chain_topic
from tests.kit.plain_engine import PlainEngine


class Clock:
    """Time that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def new_pictures(engine: PlainEngine, clock: Clock | None = None, look_s: float = 0.0) -> Pictures:
    """Pictures of an engine."""
    return Pictures(engine, monotonic=clock or Clock(), look_s=look_s)


def read(pictures: Pictures, topic: Topic, base: int) -> dict[str, Any]:
    """The decoded message."""
    found = pictures.message(topic, base)
    assert found is not None
    return dict(msgspec.json.decode(found[1]))


async def test_a_desk_is_sent_in_sections() -> None:
    """What did not change is not sent again, and a new revision alone is no change."""
    engine = PlainEngine()
    pictures = new_pictures(engine)
    await pictures.follow(DESK)
    first = read(pictures, DESK, 0)
    assert set(first["parts"]) == {"status", "strip", "strategies", "orders", "events", "positions", "locks"}
    engine.touch_desk()
    assert pictures.message(DESK, first["sequence"]) is None
    engine.add_event("now")
    assert set(read(pictures, DESK, first["sequence"])["parts"]) == {"events", "status"}


async def test_looks_are_shared_and_bounded() -> None:
    """However many ask, the engine is asked once in a while."""
    engine, clock = PlainEngine(), Clock()
    pictures = new_pictures(engine, clock, look_s=0.05)
    await pictures.follow(DESK)
    sequence = read(pictures, DESK, 0)["sequence"]
    engine.add_event("now")
    assert pictures.message(DESK, sequence) is None
    clock.now += 0.06
    assert pictures.message(DESK, sequence) is not None


async def test_only_the_rows_that_changed_travel() -> None:
    """A chain of many strikes costs what moved."""
    engine = PlainEngine()
    pictures, topic = new_pictures(engine), chain_topic(engine.keys[0])
    await pictures.follow(topic)
    sequence = read(pictures, topic, 0)["sequence"]
    engine.set_price(engine.keys[0], 3, 42.0)
    assert set(read(pictures, topic, sequence)["parts"]) == {"3"}


async def test_ages_travel_once_a_second() -> None:
    """They always move; nobody needs them more often."""
    engine, clock = PlainEngine(), Clock()
    pictures, topic = new_pictures(engine, clock), chain_topic(engine.keys[0])
    await pictures.follow(topic)
    sequence = read(pictures, topic, 0)["sequence"]
    clock.now += 1.0
    engine.ages += 1.0
    engine.set_price(engine.keys[0], 3, 42.0)
    update = read(pictures, topic, sequence)
    assert set(update["parts"]) == {"3", "ages"}
    assert update["parts"]["ages"][0][0] == pytest.approx(engine.ages)


async def test_sequences_are_never_given_twice() -> None:
    """Not even for a topic that was left and followed again: an old picture cannot pass for a new one."""
    engine = PlainEngine()
    pictures, topic = new_pictures(engine), chain_topic(engine.keys[0])
    seen = []
    for _ in range(3):
        await pictures.follow(topic)
        seen.append(read(pictures, topic, 0)["sequence"])
        await pictures.unfollow(topic)
    assert seen == sorted(set(seen))


async def test_interest_is_counted_by_the_engine_and_forgotten_here() -> None:
    """Each follower is one watch; the last one takes the picture with it."""
    engine = PlainEngine()
    pictures, topic = new_pictures(engine), chain_topic(engine.keys[0])
    await pictures.follow(topic)
    await pictures.follow(topic)
    assert engine.chain_watches[engine.keys[0]] == 2
    await pictures.unfollow(topic)
    assert pictures.followed == {topic}
    await pictures.unfollow(topic)
    assert pictures.followed == frozenset()
    assert engine.live_watches == 0


async def test_a_refused_wish_counts_nothing() -> None:
    """What the engine will not watch is not followed, of a list nothing."""
    engine = PlainEngine()
    pictures = new_pictures(engine)
    with pytest.raises(InvalidInput):
        await pictures.quotes.follow([engine.instruments[0].token, 7])
    assert pictures.quotes.tokens == frozenset()
    assert engine.live_watches == 0


async def test_what_is_gone_is_shown_as_nothing_once() -> None:
    """A chain that the engine shows no more is forgotten by its readers, and comes back when it does."""
    engine = PlainEngine()
    pictures, topic = new_pictures(engine), chain_topic(engine.keys[0])
    await pictures.follow(topic)
    sequence = read(pictures, topic, 0)["sequence"]
    engine.hide(engine.keys[0])
    gone = read(pictures, topic, sequence)
    assert (gone["base"], gone["parts"]) == (0, {})
    assert pictures.message(topic, gone["sequence"]) is None


async def test_nothing_yet_is_no_picture() -> None:
    """Before there has been anything to show, nothing is sent; positions not yet read are not none."""
    engine = PlainEngine()
    pictures, topic = new_pictures(engine), chain_topic(engine.keys[0])
    engine.hide(engine.keys[0])
    await pictures.follow(topic)
    assert pictures.message(topic, 0) is None
    engine.positions_known = False
    positions = Topic(TopicKind.POSITIONS)
    await pictures.follow(positions)
    assert pictures.message(positions, 0) is None


async def test_quotes_are_encoded_once_for_all_clients() -> None:
    """Clients with the same instruments share one message; growing older is no change."""
    engine = PlainEngine()
    quotes = new_pictures(engine).quotes
    tokens = frozenset(row.token for row in engine.instruments[:3])
    await quotes.follow(tuple(tokens))
    begin = quotes.sequence
    engine.ages += 5.0
    quotes.look()
    assert quotes.message(tokens, begin) is None
    engine.set_price(engine.keys[0], 0, 77.0)
    quotes.look()
    first = quotes.message(tokens, begin)
    assert first is not None
    assert quotes.message(frozenset(tokens), begin) is first
    assert quotes.message(frozenset(list(tokens)[:0]), begin) is None
    update = msgspec.json.decode(first)
    assert list(update["parts"]) == [str(engine.token(engine.keys[0], 0))]
    assert update["parts"][str(engine.token(engine.keys[0], 0))]["age_s"] == pytest.approx(engine.ages)
