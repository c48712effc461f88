"""The ticker's text frames, purely: what we tell it and what it tells us besides prices."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from enum import Enum

import msgspec

from engine.brokers.feed import FeedChange, FeedMode
from engine.brokers.kite.messages import parse_order
from engine.core.orders import BrokerOrder

_SHOWN_CHARACTERS = 200
_WIRE_MODE = {FeedMode.LTP: "ltp", FeedMode.QUOTE: "quote", FeedMode.FULL: "full"}


def subscription_messages(change: FeedChange, *, chunk: int) -> Iterator[str]:
    """The messages that tell a change, none with more than ``chunk`` tokens; removals first, to make room.

    A mode follows each subscription, because what a bare one gives is not certain.
    """
    for part in _chunks(change.unsubscribe, chunk):
        yield _message("unsubscribe", part)
    for part in _chunks(change.subscribe, chunk):
        yield _message("subscribe", part)
    for mode, tokens in change.modes:
        for part in _chunks(tokens, chunk):
            yield _message("mode", [_WIRE_MODE[mode], part])


def _chunks(tokens: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    for start in range(0, len(tokens), size):
        yield tokens[start : start + size]


def _message(action: str, value: object) -> str:
    return msgspec.json.encode({"a": action, "v": value}).decode("ascii")


class FeedTextKind(Enum):
    """What a text frame of the ticker is about."""

    ORDER = "order"
    ERROR = "error"
    MESSAGE = "message"
    OTHER = "other"


class FeedText(msgspec.Struct, frozen=True, kw_only=True):
    """A text frame. An order update is a hint: it may be repeated, late or missing; the book says what is true."""

    kind: FeedTextKind
    order: BrokerOrder | None = None
    words: str = ""


class _TextFrame(msgspec.Struct):
    type: str = ""
    data: msgspec.Raw = msgspec.Raw(b"null")


def parse_text(payload: str, now: datetime) -> FeedText:
    """Read a text frame; whatever is not understood is ``OTHER`` with its beginning as words. Never raises."""
    try:
        frame = msgspec.json.decode(payload, type=_TextFrame)
        if frame.type == FeedTextKind.ORDER.value:
            return FeedText(kind=FeedTextKind.ORDER, order=parse_order(frame.data, now))
        if frame.type in {FeedTextKind.ERROR.value, FeedTextKind.MESSAGE.value}:
            data = msgspec.json.decode(frame.data)
            return FeedText(kind=FeedTextKind(frame.type), words=str(data)[:_SHOWN_CHARACTERS])
    except (msgspec.DecodeError, ValueError):
        pass
    return FeedText(kind=FeedTextKind.OTHER, words=payload[:_SHOWN_CHARACTERS])
