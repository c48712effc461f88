"""Topic values: encoded once per change, whoever asks, and forgotten when nobody follows."""

from __future__ import annotations

import msgspec
import pytest

from engine.core.errors import InvalidInput
from engine.core.views import ChainKey
from engine.server.protocol import TopicUpdate
from engine.server.topics import DESK, TopicSource, chain_topic, quote_topic, topic_subject
from tests.kit.plain_engine import PlainEngine


def value_of(source: TopicSource, topic: str) -> object:
    """The decoded value of a topic."""
    value = source.value(topic)
    assert value is not None
    return msgspec.json.decode(msgspec.json.decode(value.update, type=TopicUpdate).value)


def test_topics_name_what_they_show() -> None:
    """A topic and its subject are two spellings of one thing."""
    key = PlainEngine().keys[0]
    assert topic_subject(DESK) is None
    assert topic_subject(chain_topic(key)) == key
    assert topic_subject(quote_topic(256_265)) == 256_265


def test_an_underlying_may_contain_what_symbols_contain() -> None:
    """Blanks, ampersands and slashes do not confuse the spelling."""
    for name in ("M&M", "BAJAJ-AUTO", "NIFTY 50", "A/B"):
        key = ChainKey(name, PlainEngine().keys[0].expiry)
        assert topic_subject(chain_topic(key)) == key


async def test_a_value_is_encoded_once_per_change() -> None:
    """Asking again gives the very same bytes until something changes."""
    engine = PlainEngine()
    source = TopicSource(engine)
    await source.follow(DESK)
    first = source.value(DESK)
    assert source.value(DESK) is first
    engine.touch_desk()
    second = source.value(DESK)
    assert second is not None
    assert first is not None
    assert second.sequence > first.sequence
    assert source.value(DESK) is second


async def test_sequences_are_never_given_twice() -> None:
    """Not even for a topic that was left and followed again: an old picture cannot pass for a new one."""
    engine = PlainEngine()
    source = TopicSource(engine)
    topic = chain_topic(engine.keys[0])
    seen = []
    for _ in range(3):
        await source.follow(topic)
        value = source.value(topic)
        assert value is not None
        seen.append(value.sequence)
        await source.unfollow(topic)
    assert seen == sorted(set(seen))


async def test_interest_is_counted_by_the_engine_and_forgotten_here() -> None:
    """Each follower is one watch; the last one takes the value with it."""
    engine = PlainEngine()
    source = TopicSource(engine)
    topic = chain_topic(engine.keys[0])
    await source.follow(topic)
    await source.follow(topic)
    assert engine.chain_watches[engine.keys[0]] == 2
    await source.unfollow(topic)
    assert source.followed == {topic}
    await source.unfollow(topic)
    assert source.followed == frozenset()
    assert engine.live_watches == 0


async def test_a_refused_follow_counts_nothing() -> None:
    """What the engine will not watch is not followed."""
    engine = PlainEngine()
    source = TopicSource(engine)
    with pytest.raises(InvalidInput):
        await source.follow(quote_topic(7))
    assert source.followed == frozenset()


async def test_what_is_gone_is_shown_as_nothing() -> None:
    """A chain that the engine shows no more becomes null once, and comes back when it does."""
    engine = PlainEngine()
    source = TopicSource(engine)
    topic = chain_topic(engine.keys[0])
    await source.follow(topic)
    assert value_of(source, topic) is not None
    engine.hide(engine.keys[0])
    assert value_of(source, topic) is None
    assert source.value(topic) is source.value(topic)


async def test_nothing_yet_is_no_value() -> None:
    """Before there has been anything to show, nothing is sent."""
    engine = PlainEngine()
    source = TopicSource(engine)
    topic = chain_topic(engine.keys[0])
    engine.hide(engine.keys[0])
    await source.follow(topic)
    assert source.value(topic) is None


async def test_a_chain_goes_out_without_its_changed_rows() -> None:
    """They are relative to what one reader saw; each reader finds its own."""
    engine = PlainEngine()
    source = TopicSource(engine)
    topic = chain_topic(engine.keys[0])
    await source.follow(topic)
    view = value_of(source, topic)
    assert isinstance(view, dict)
    assert view["changed"] == []
