"""A replay's clock among the text frames."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from engine.brokers.kite.feed_messages import ClockEvent, ClockWord, FeedTextKind, parse_text

NOW = datetime(2026, 11, 19, 6, 0, tzinfo=UTC)
NS = 1_795_000_000_123_456_789


@pytest.mark.parametrize("event", ["time", "restart", "end"])
def test_a_clock_word_is_read_to_the_nanosecond(event: str) -> None:
    """Market time and what it means."""
    heard = parse_text(f'{{"type":"practice_clock","data":{{"ns":{NS},"event":"{event}"}}}}', NOW)
    assert heard.kind is FeedTextKind.CLOCK
    assert heard.clock == ClockWord(NS, ClockEvent(event))


@pytest.mark.parametrize(
    "data",
    [
        "null",
        "{}",
        '{"ns":-1,"event":"time"}',
        '{"ns":1.5,"event":"time"}',
        f'{{"ns":{1 << 63},"event":"time"}}',
        '{"ns":"1","event":"time"}',
        '{"ns":1,"event":"stop"}',
        '{"ns":1}',
        "[1,2]",
    ],
)
def test_a_clock_that_cannot_be_read_is_said_so(data: str) -> None:
    """It is neither believed nor taken for a word about an order."""
    heard = parse_text(f'{{"type":"practice_clock","data":{data}}}', NOW)
    assert (heard.kind, heard.clock) == (FeedTextKind.UNREADABLE, None)
    assert heard.words


@pytest.mark.parametrize("kind", ["order", "message", "error", "practice_clock", "other"])
@pytest.mark.parametrize("data", ["[" * 100_000, '"\\ud800"', "9" * 5000, '{"order_id":"1","exchange":"NFO"}', ""])
def test_no_text_is_fatal(kind: str, data: str) -> None:
    """Whatever stands there is an answer, never an error."""
    heard = parse_text(f'{{"type":"{kind}","data":{data}}}', NOW)
    assert heard.order is None
    assert heard.clock is None
    assert len(heard.words) <= 200
