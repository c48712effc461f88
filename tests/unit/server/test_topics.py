"""Topics: one spelling for each, whatever an underlying is called."""

from __future__ import annotations

import pytest

from engine.core.errors import InvalidInput
from engine.core.views import ChainKey
from engine.server.topics import DESK, Topic, TopicKind, chain_topic, parse_topic
from tests.kit.plain_engine import PlainEngine


def test_topics_name_what_they_show() -> None:
    """A topic and its name are two spellings of one thing."""
    key = PlainEngine().keys[0]
    assert parse_topic("desk") == DESK
    assert parse_topic(chain_topic(key).name) == Topic(TopicKind.CHAIN, key)
    for kind in TopicKind:
        if kind is not TopicKind.CHAIN:
            assert parse_topic(kind.value).name == kind.value


def test_an_underlying_may_contain_what_symbols_contain() -> None:
    """Blanks, ampersands and slashes do not confuse the spelling."""
    for name in ("M&M", "BAJAJ-AUTO", "NIFTY 50", "A/B"):
        key = ChainKey(name, PlainEngine().keys[0].expiry)
        assert parse_topic(chain_topic(key).name).chain == key


@pytest.mark.parametrize(
    "name",
    ["", "chain", "chain/", "chain/NIFTY", "chain//2026-11-24", "chain/NIFTY/20261124", "chain/NIFTY/2026-W48-2",
     "chain/NIFTY/2026-02-30", "desk/1", "Desk", "quotes/1", "chain/" + "N" * 80 + "/2026-11-24"],
)  # fmt: skip
def test_what_is_no_topic_is_refused_with_what_there_is(name: str) -> None:
    """The sentence names every topic and how a chain's is written."""
    with pytest.raises(InvalidInput, match="chain/UNDERLYING/YYYY-MM-DD") as caught:
        parse_topic(name)
    assert caught.value.field == "topic"
    assert len(str(caught.value)) < 300
