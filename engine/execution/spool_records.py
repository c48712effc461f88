"""What the spool keeps while the journal is away, one line for each record, and what a row of lines comes to.

A line is a checksum, the record as JSON, and a line feed; JSON itself never contains one. A line that was cut or
changed is told from a whole one by itself, so the lines after it can still be read.
"""

from __future__ import annotations

import binascii
import json
from collections.abc import Iterable

import msgspec

from engine.core.identifiers import AccountId, OrderNumber
from engine.core.orders import OrderEvent, OrderIntent, OrderRecord, OrderState

VERSION = 1
"""Of the format; a file of a later one is not touched."""
END = b"\n"
CHECKSUM_LENGTH = 8
"""Hex digits of a CRC-32."""


class SpoolHeader(msgspec.Struct, frozen=True, kw_only=True, tag="spool"):
    """The first line: whose file it is."""

    account: AccountId
    version: int = VERSION


class SpooledIntent(msgspec.Struct, frozen=True, kw_only=True, tag="intent"):
    """An order as wanted, with the number it has for good. It has not left."""

    number: OrderNumber
    intent: OrderIntent


class SpooledChange(msgspec.Struct, frozen=True, kw_only=True, tag="change"):
    """An order as it stands, and what has happened to it: a send, an answer, a change, a cancellation, a fill."""

    record: OrderRecord
    events: tuple[OrderEvent, ...]


class SpoolMerged(msgspec.Struct, frozen=True, kw_only=True, tag="merged"):
    """All before this line is in the journal, which may have gone on since: it is never merged again."""


SpoolRecord = SpoolHeader | SpooledIntent | SpooledChange | SpoolMerged
_DECODER: msgspec.json.Decoder[SpoolRecord] = msgspec.json.Decoder(SpoolRecord)


class SpooledOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What all lines about one order come to."""

    record: OrderRecord
    events: tuple[OrderEvent, ...]
    """Oldest first."""
    intent: OrderIntent | None
    """``None`` when the journal has had it since before."""


class SpoolContents(msgspec.Struct, frozen=True, kw_only=True):
    """A file as it was found."""

    records: tuple[SpoolRecord, ...]
    whole_bytes: int
    """Where the last whole line ends; what follows was being written when the engine died, and nobody relied on it."""
    torn_bytes: int
    damaged: int
    """Lines in the middle that cannot be read: the disk, or a hand, has changed them."""


def queued(intent: OrderIntent, number: OrderNumber) -> OrderRecord:
    """How an order stands when its intent has just been kept."""
    return OrderRecord(
        number=number,
        intent_id=intent.intent_id,
        account=intent.account,
        tag=intent.tag,
        request=intent.request,
        state=OrderState.QUEUED,
        idempotency_key=intent.idempotency_key,
        created_at=intent.created_at,
        updated_at=intent.created_at,
    )


def encode(record: SpoolRecord) -> bytes:
    """The line of a record. A broker's odd words never keep it from being written."""
    try:
        body = msgspec.json.encode(record)
    except UnicodeEncodeError:
        text = json.dumps(msgspec.to_builtins(record), ensure_ascii=False)
        body = text.encode("utf-8", "replace")
    return _checksum(body) + b" " + body + END


def decode(data: bytes) -> SpoolContents:
    """Read a file's bytes; never fails, whatever they are."""
    records: list[SpoolRecord] = []
    damaged = 0
    *lines, tail = data.split(END)
    for line in lines:
        record = _record(line)
        if record is None:
            damaged += 1
        else:
            records.append(record)
    return SpoolContents(
        records=tuple(records), whole_bytes=len(data) - len(tail), torn_bytes=len(tail), damaged=damaged
    )


def fold(records: Iterable[SpoolRecord]) -> tuple[SpooledOrder, ...]:
    """What is not in the journal yet: each order once, in the order in which they came into the spool."""
    orders: dict[OrderNumber, SpooledOrder] = {}
    for record in records:
        match record:
            case SpoolMerged():
                orders.clear()
            case SpooledIntent(number=number, intent=intent):
                orders[number] = SpooledOrder(record=queued(intent, number), events=(), intent=intent)
            case SpooledChange(record=after, events=events):
                before = orders.get(after.number)
                orders[after.number] = SpooledOrder(
                    record=after,
                    events=events if before is None else (*before.events, *events),
                    intent=None if before is None else before.intent,
                )
            case SpoolHeader():
                pass
    return tuple(orders.values())


def _record(line: bytes) -> SpoolRecord | None:
    body = line[CHECKSUM_LENGTH + 1 :]
    if line[: CHECKSUM_LENGTH + 1] != _checksum(body) + b" ":
        return None
    try:
        return _DECODER.decode(body)
    except msgspec.DecodeError:  # includes what is not of a kind that this release writes
        return None


def _checksum(body: bytes) -> bytes:
    return b"%08x" % binascii.crc32(body)
