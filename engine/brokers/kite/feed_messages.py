"""The ticker's text frames, purely: what we tell it and what it tells us besides prices."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from enum import Enum, StrEnum
from typing import Annotated

import msgspec

from engine.brokers.feed import FeedChange, FeedMode
from engine.brokers.kite.messages import parse_order
from engine.core.errors import InvalidInput
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
    CLOCK = "practice_clock"
    """A replaying practice exchange says where market time stands."""
    UNREADABLE = "unreadable"
    """Says that it is a clock and is none; to be ignored."""
    OTHER = "other"
    """Not understood. It may be about an order."""


class ClockEvent(StrEnum):
    """What a word of a replay's clock says."""

    TIME = "time"
    """What follows was received at this moment of market time."""
    RESTART = "restart"
    """The recording is played from its start again: what was heard so far has not happened."""
    END = "end"
    """The recording is over."""
    LOST = "lost"
    """The recorded feed, or a part of it, was down from here on: what was heard before is suspect."""
    BACK = "back"
    """It was up again."""


class ClockWord(msgspec.Struct, frozen=True):
    """A word of a replay's clock."""

    ns: Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]
    """Market time, nanoseconds since the epoch."""
    event: ClockEvent


class FeedText(msgspec.Struct, frozen=True, kw_only=True):
    """A text frame. An order update is a hint: it may be repeated, late or missing; the book says what is true."""

    kind: FeedTextKind
    order: BrokerOrder | None = None
    clock: ClockWord | None = None
    """Of a ``CLOCK``."""
    words: str = ""


class _TextFrame(msgspec.Struct):
    type: str = ""
    data: msgspec.Raw = msgspec.Raw(b"null")


_TEXT_FRAME = msgspec.json.Decoder(_TextFrame)
_CLOCK_WORD = msgspec.json.Decoder(ClockWord)


def parse_text(payload: str, now: datetime) -> FeedText:
    """Read a text frame; whatever is not understood is ``OTHER`` with its beginning as words. Never raises."""
    try:
        frame = _TEXT_FRAME.decode(payload)
        if frame.type == FeedTextKind.CLOCK.value:
            return _clock(frame.data)
        if frame.type == FeedTextKind.ORDER.value:
            return FeedText(kind=FeedTextKind.ORDER, order=parse_order(frame.data, now))
        if frame.type in {FeedTextKind.ERROR.value, FeedTextKind.MESSAGE.value}:
            data = msgspec.json.decode(frame.data)
            return FeedText(kind=FeedTextKind(frame.type), words=str(data)[:_SHOWN_CHARACTERS])
    except (msgspec.DecodeError, ValueError, InvalidInput, RecursionError):
        pass
    return FeedText(kind=FeedTextKind.OTHER, words=payload[:_SHOWN_CHARACTERS])


def _clock(data: msgspec.Raw) -> FeedText:
    try:
        return FeedText(kind=FeedTextKind.CLOCK, clock=_CLOCK_WORD.decode(data))
    except (msgspec.DecodeError, RecursionError) as error:
        return FeedText(kind=FeedTextKind.UNREADABLE, words=f"a clock that cannot be read: {error}"[:_SHOWN_CHARACTERS])
