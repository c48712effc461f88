"""Parts: whoever saw sequence N is sent exactly what changed since, and many who saw the same share one message."""

from __future__ import annotations

from typing import Any

import msgspec

from engine.server.parts import GONE_MAX, Parts


def read(parts: Parts, base: int) -> dict[str, Any]:
    """The decoded message for a reader at ``base``."""
    data = parts.message(base)
    assert data is not None
    return dict(msgspec.json.decode(data))


def test_the_first_message_is_a_snapshot() -> None:
    """Base 0 means: forget what you had."""
    parts = Parts("desk")
    parts.put({"a": b"1", "b": b"2"}, 5)
    assert read(parts, 0) == {"topic": "desk", "sequence": 5, "base": 0, "gone": [], "parts": {"a": 1, "b": 2}}


def test_only_what_changed_is_sent() -> None:
    """The same bytes are no change, and a reader that skipped changes gets all of them at once."""
    parts = Parts("desk")
    parts.put({"a": b"1", "b": b"2"}, 1)
    parts.put({"a": b"1", "b": b"3"}, 2)
    parts.put({"c": b"4"}, 3)
    assert read(parts, 2)["parts"] == {"c": 4}
    assert read(parts, 1)["parts"] == {"b": 3, "c": 4}
    assert read(parts, 1)["base"] == 1
    assert parts.message(3) is None
    parts.put({"a": b"1"}, 4)
    assert parts.sequence == 3, "nothing changed"


def test_readers_at_one_place_share_the_very_same_bytes() -> None:
    """Encoded once for all of them."""
    parts = Parts("desk")
    parts.put({"a": b"1"}, 1)
    parts.put({"a": b"2"}, 2)
    assert parts.message(1) is parts.message(1)
    assert parts.message(0) is parts.message(0)


def test_what_is_gone_is_named_to_those_who_had_it() -> None:
    """And not to those who begin."""
    parts = Parts("strategies")
    parts.replace({"1": b"1", "2": b"2"}, 1)
    parts.replace({"1": b"1"}, 2)
    assert read(parts, 1)["gone"] == ["2"]
    assert read(parts, 1)["parts"] == {}
    assert read(parts, 0)["gone"] == []
    parts.replace({"1": b"1", "2": b"5"}, 3)
    assert read(parts, 1) == {"topic": "strategies", "sequence": 3, "base": 1, "gone": [], "parts": {"2": 5}}


def test_a_picture_of_nothing_is_a_picture() -> None:
    """No strategies is something else than not yet known."""
    parts = Parts("strategies")
    assert parts.sequence == 0
    parts.replace({}, 4)
    assert read(parts, 0)["parts"] == {}
    assert parts.sequence == 4


def test_what_is_shown_no_more_is_a_snapshot_of_nothing() -> None:
    """Whatever a reader had, it is told to forget it."""
    parts = Parts("chain")
    parts.put({"0": b"1"}, 1)
    parts.clear(2)
    assert read(parts, 1) == {"topic": "chain", "sequence": 2, "base": 0, "gone": [], "parts": {}}
    parts.clear(3)
    assert parts.sequence == 2, "once"


def test_more_that_is_gone_than_is_remembered_makes_a_snapshot() -> None:
    """The list of names is bounded; a reader from before it begins anew instead of keeping ghosts."""
    parts = Parts("positions")
    parts.replace({str(number): b"1" for number in range(GONE_MAX + 2)}, 1)
    parts.replace({"x": b"1"}, 2)
    assert read(parts, 1)["base"] == 0
    assert read(parts, 1)["parts"] == {"x": 1}
