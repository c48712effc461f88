"""The frame codec judged by the official client's own parser, on hand-made and on over ten thousand random frames."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import pytest

from engine.brokers.kite import packets
from engine.brokers.kite.codec import Frame, decode_frame
from engine.brokers.kite.packets import CARRIES, PacketKind, price_decimals, price_of

VECTORS = Path(__file__).parents[2] / "unit" / "brokers" / "data" / "frames.json"
FRAMES = 10_000
INDIA_OFFSET_S = 19_800
LARGE_FRAMES = 120
LARGE = 600
"""Packets; more than a loop over them is used for."""
SEED = 20_260_818
LENGTHS = (8, 28, 32, 44, 184)
LAST_PRICE = 8
SEGMENTS = (1, 2, 3, 4, 5, 6, 7, 8, 12)
CONTRARY = 0.01
"""Share of packets whose length and segment contradict each other."""
MODES = {
    PacketKind.LTP: "ltp",
    PacketKind.INDEX_QUOTE: "quote",
    PacketKind.INDEX_FULL: "full",
    PacketKind.QUOTE: "quote",
    PacketKind.FULL: "full",
}


@pytest.fixture(scope="module")
def official() -> Any:
    """The official ticker; only its parser is used."""
    from kiteconnect import KiteTicker

    return KiteTicker("key", "token")


def as_official(frame: Frame, *, offset_s: int | None = None) -> list[dict[str, Any]]:
    """Our rows in the shape of the official parser; times as epoch seconds, or as text of India's clock."""
    return [_tick(row, PacketKind(kind), offset_s) for row, kind in zip(frame.words.tolist(), frame.kinds, strict=True)]


def _tick(row: list[int], kind: PacketKind, offset_s: int | None) -> dict[str, Any]:
    token = row[packets.TOKEN]
    decimals = price_decimals(token)

    def price(word: int) -> float:
        return float(price_of(row[word], decimals))

    def when(word: int) -> object:
        if offset_s is None:
            return row[word]
        return f"{datetime.fromtimestamp(row[word] + offset_s, UTC):%Y-%m-%d %H:%M:%S}"

    tick: dict[str, Any] = {
        "tradable": token & 0xFF != packets.SEGMENT_INDICES,
        "mode": MODES[kind],
        "instrument_token": token,
        "last_price": price(packets.LAST),
    }
    if kind is PacketKind.LTP:
        return tick
    names = {"open": packets.OPEN, "high": packets.HIGH, "low": packets.LOW, "close": packets.CLOSE}
    tick["ohlc"] = {name: price(word) for name, word in names.items()}
    if kind is PacketKind.INDEX_FULL:
        tick["exchange_timestamp"] = when(packets.EXCHANGE_TIME)
    if kind in {PacketKind.INDEX_QUOTE, PacketKind.INDEX_FULL}:
        return tick
    tick |= {
        "last_traded_quantity": row[packets.LAST_QUANTITY],
        "average_traded_price": price(packets.AVERAGE),
        "volume_traded": row[packets.VOLUME],
        "total_buy_quantity": row[packets.BUY_QUANTITY],
        "total_sell_quantity": row[packets.SELL_QUANTITY],
    }
    if kind is PacketKind.QUOTE:
        return tick

    def levels(first: int) -> list[dict[str, Any]]:
        places = range(first, first + packets.LEVELS * packets.LEVEL_WORDS, packets.LEVEL_WORDS)
        return [
            {"quantity": row[at], "price": price(at + 1), "orders": row[at + 2] >> packets.ORDERS_SHIFT}
            for at in places
        ]

    return tick | {
        "last_trade_time": when(packets.LAST_TRADE_TIME),
        "oi": row[packets.OPEN_INTEREST],
        "oi_day_high": row[packets.OPEN_INTEREST_HIGH],
        "oi_day_low": row[packets.OPEN_INTEREST_LOW],
        "exchange_timestamp": when(packets.EXCHANGE_TIME),
        "depth": {"buy": levels(packets.BIDS), "sell": levels(packets.ASKS)},
    }


def without_change(ticks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The official ticks without the one field that is not on the wire."""
    return [{name: value for name, value in tick.items() if name != "change"} for tick in ticks]


def with_epochs(ticks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The official ticks with its naive local times taken back to epoch seconds."""
    for tick in ticks:
        for name in ("exchange_timestamp", "last_trade_time"):
            if name in tick:
                naive: datetime = tick[name]
                tick[name] = round(naive.timestamp())
    return ticks


VECTOR_LIST = json.loads(VECTORS.read_text(encoding="utf-8"))["vectors"]


@pytest.mark.parametrize("vector", VECTOR_LIST, ids=[vector["name"] for vector in VECTOR_LIST])
def test_vector_decodes_as_the_official_parser_recorded_it(vector: dict[str, Any]) -> None:
    """Each hand-made frame gives the recorded ticks, in any order of kinds, with India's times."""
    frame = decode_frame(bytes.fromhex(vector["hex"]))
    if vector["official"] is not None:
        assert as_official(frame, offset_s=INDIA_OFFSET_S) == without_change(vector["official"])


def random_body(random: Random, length: int) -> bytes:
    """A packet body: segments of every divisor, full unsigned range, many zeros, seldom contrary to its segment."""
    is_index = length in {28, 32} if random.random() > CONTRARY else length not in {28, 32}
    segment = 9 if is_index and length != LAST_PRICE else random.choice(SEGMENTS)
    if length == LAST_PRICE and random.random() < CONTRARY:
        segment = 9
    words = [random.choice((0, 1, random.getrandbits(16), random.getrandbits(32))) for _ in range(length // 4)]
    words[0] = random.randrange(1, 1 << 24) << 8 | segment
    for place in (7,) if length == 32 else (11, 15) if length == 184 else ():
        words[place] = random.randrange(86_400, 1 << 31)  # a time that naive local clocks can express
    return struct.pack(f">{len(words)}I", *words)


def random_frame(random: Random, most: int = 12) -> bytes:
    """One to ``most`` packets: all full, all of one kind, or mixed; now and then the same token twice."""
    count = random.randint(1, most)
    style = random.random()
    if style < 0.3:
        lengths = [184] * count
    elif style < 0.5:
        lengths = [random.choice(LENGTHS)] * count
    else:
        lengths = [random.choice(LENGTHS) for _ in range(count)]
    bodies = [random_body(random, length) for length in lengths]
    if count > 1 and lengths[0] == lengths[-1] and random.random() < 0.2:
        bodies[-1] = bodies[0][:4] + bodies[-1][4:]
    return struct.pack(">H", count) + b"".join(struct.pack(">H", len(body)) + body for body in bodies)


def is_plausible(tick: dict[str, Any]) -> bool:
    """Whether an official tick has what its segment has: the official parser goes by the length alone."""
    return tick["mode"] == "ltp" or ("volume_traded" in tick) is tick["tradable"]


@pytest.mark.parametrize(("frames", "most"), [(FRAMES, 12), (LARGE_FRAMES, LARGE)], ids=["small", "large"])
def test_random_frames_decode_as_the_official_parser_does(
    official: Any, frames: int, most: int, record_property: Callable[[str, object], None]
) -> None:
    """On more than ten thousand frames our rows equal the official ticks, field by field and in the same order.

    What differs on purpose: the percent change, which is not on the wire; naive local times, taken back to the epoch;
    and packets of a kind that their segment does not have, which the official parser believes.
    """
    random = Random(SEED)  # noqa: S311 - test data
    refused = packets_seen = 0
    for number in range(frames):
        payload = random_frame(random, most)
        ticks = without_change(with_epochs(official._parse_binary(payload)))
        ours = decode_frame(payload)
        where = f"frame {number} of seed {SEED}: {payload[:400].hex()}"
        assert as_official(ours) == [tick for tick in ticks if is_plausible(tick)], where
        assert (ours.unknown, ours.missing, ours.excess) == (0, 0, 0), where
        assert ours.implausible == len(ticks) - len(ours), where
        refused += ours.implausible
        packets_seen += len(ticks)
    record_property("random frames", f"{frames} frames, {packets_seen} packets, {refused} implausible, seed {SEED}")
    assert 0 < refused < packets_seen / 20


def test_where_the_official_parser_gives_up_the_whole_packets_are_kept(official: Any) -> None:
    """A count beyond the content raises there and is damage here; a short last body is dropped there without a word."""
    random = Random(SEED)  # noqa: S311 - test data
    body = random_body(random, 184)
    one = struct.pack(">H", 184) + body
    with pytest.raises(struct.error):
        official._parse_binary(b"\x00\x02" + one)
    assert (len(decode_frame(b"\x00\x02" + one)), decode_frame(b"\x00\x02" + one).missing) == (1, 1)
    short = b"\x00\x02" + one + one[:-1]
    assert len(official._parse_binary(short)) == 1
    assert (len(decode_frame(short)), decode_frame(short).missing) == (1, 1)


def test_words_a_kind_does_not_carry_are_zero() -> None:
    """No row holds anything but zeros beyond what its kind has on the wire."""
    random = Random(5)  # noqa: S311 - test data
    for _ in range(300):
        frame = decode_frame(random_frame(random))
        assert not frame.words[~CARRIES[frame.kinds]].any()


def test_prices_are_exact_decimals_of_the_wire() -> None:
    """The smallest tick, a currency and a large index come out digit for digit."""
    assert price_of(5, price_decimals(76_800_261)) == Decimal("0.05")
    assert price_of(838_725_000, price_decimals(315_907)) == Decimal("83.8725000")
    assert price_of(8_012_345, price_decimals(265)) == Decimal("80123.45")
