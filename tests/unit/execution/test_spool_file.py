"""The spool's file: what was kept is read back, whatever became of the end of it, and it belongs to one process."""

from __future__ import annotations

import errno
import os
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.core.decisions import EventFacts, OrderDecision, UnsentCause
from engine.core.identifiers import AccountId, BrokerOrderId, IntentId, OrderNumber, OrderTag
from engine.core.orders import OrderIntent, OrderState, OrderTrigger
from engine.execution.settings import SpoolSettings
from engine.execution.spool import make_spool
from engine.execution.spool_file import SpoolFile, SpoolInUse, SpoolUnusable, is_spool_in_use, spool_path
from engine.execution.spool_records import (
    SpooledChange,
    SpooledIntent,
    SpoolHeader,
    SpoolMerged,
    SpoolRecord,
    decode,
    encode,
    fold,
    queued,
)
from engine.execution.transitions import step
from tests.unit.execution.desk import ACCOUNT, OPENING, sell

ROOM = 1 << 20


def intent(number: int) -> OrderIntent:
    """An exit as it is kept."""
    return OrderIntent(
        intent_id=IntentId(f"{number:032x}"),
        account=ACCOUNT,
        tag=OrderTag(f"WS{number:016d}"),
        idempotency_key=f"key {number}",
        request=sell(65, "104.95"),
        created_at=OPENING,
        wall_at=OPENING,
        decision=OrderDecision(words="3.1 CE mid >= 214.20", lane="EXIT", adds_risk=False),
    )


def begun(number: int) -> SpooledIntent:
    """A new order in the spool."""
    return SpooledIntent(number=OrderNumber(number), intent=intent(number))


def sent(number: int, detail: str = "") -> SpooledChange:
    """The line before its first byte."""
    taken = step(queued(intent(number), OrderNumber(number)), OrderTrigger.SEND, OPENING, detail, sent_at=OPENING)
    return SpooledChange(record=taken.record, events=(msgspec.structs.replace(taken.event, wall_at=OPENING),))


def answered(number: int) -> SpooledChange:
    """The broker's answer."""
    taken = step(
        sent(number).record, OrderTrigger.ANSWERED, OPENING, broker_order_id=BrokerOrderId("26"), answered_at=OPENING
    )
    facts = EventFacts(cause=UnsentCause.NONE, attempt=1, answer_s=0.125)
    return SpooledChange(record=taken.record, events=(msgspec.structs.replace(taken.event, facts=facts),))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the spool is."""
    return spool_path(tmp_path / "spool" / "practice", ACCOUNT)


def opened(path: Path, *, bytes_max: int = ROOM) -> tuple[SpoolFile, tuple[SpoolRecord, ...]]:
    """A file that was opened, and what was in it without its header."""
    file = SpoolFile(path, ACCOUNT, bytes_max=bytes_max)
    contents = file.open()
    return file, tuple(record for record in contents.records if not isinstance(record, SpoolHeader))


def test_what_was_kept_is_read_back_exactly(path: Path) -> None:
    """Intent, decision, decimals, times and facts survive, in their order; the file is its owner's alone."""
    file, _ = opened(path)
    file.append([begun(1), begun(2)], begins_orders=True)
    file.append([sent(1)])
    file.append([answered(1)])
    file.close()
    again, records = opened(path)
    again.close()
    assert records == (begun(1), begun(2), sent(1), answered(1))
    kept = records[0]
    assert isinstance(kept, SpooledIntent)
    assert kept.intent.request.price == Decimal("104.95")
    assert path.stat().st_mode & 0o077 == 0


def test_the_lines_of_an_order_come_to_its_newest_standing_and_all_its_history() -> None:
    """Orders come in the order of their first line; what was merged before is left out."""
    orders = fold([begun(9), sent(9), SpoolMerged(), begun(1), begun(2), sent(1), answered(1), sent(3)])
    assert [order.record.number for order in orders] == [1, 2, 3]
    first, second, third = orders
    assert (first.record.state, first.intent, len(first.events)) == (OrderState.ACCEPTED, intent(1), 2)
    assert (second.record.state, second.events) == (OrderState.QUEUED, ())
    assert third.intent is None


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_file_cut_at_any_byte_keeps_every_line_before_the_cut(tmp_path: Path, data: st.DataObject) -> None:
    """Whole lines stay, the torn one is gone, and what is added afterwards is read back too."""
    written: list[SpoolRecord] = [begun(1), sent(1), begun(2), answered(1), SpoolMerged(), sent(2, "naïve ₹")]
    lines = [encode(SpoolHeader(account=ACCOUNT)), *map(encode, written)]
    whole = b"".join(lines)
    cut = data.draw(st.integers(0, len(whole)))
    path = tmp_path / f"{cut}.spool"
    path.write_bytes(whole[:cut])
    kept = [record for end, record in enumerate(written, 2) if sum(map(len, lines[:end])) <= cut]
    file, records = opened(path)
    assert list(records) == kept
    file.append([answered(2)])
    file.close()
    again, records = opened(path)
    again.close()
    assert list(records) == [*kept, answered(2)]
    path.unlink()


@settings(max_examples=200, deadline=None)
@given(place=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_a_changed_bit_is_never_taken_for_a_record(place: int, bit: int) -> None:
    """One flipped bit costs at most the line it is in and the one after it; the others are read as they were."""
    records: list[SpoolRecord] = [begun(1), sent(1), begun(2), answered(1)]
    data = bytearray(b"".join(map(encode, records)))
    data[place % len(data)] ^= 1 << bit
    contents = decode(bytes(data))
    assert all(record in records for record in contents.records)
    assert len(contents.records) >= len(records) - 2
    assert contents.damaged or contents.torn_bytes


def test_a_damaged_line_is_told_and_a_copy_kept(path: Path) -> None:
    """The lines around it are read; the file as it was found lies beside it."""
    file, _ = opened(path)
    file.append([begun(1), sent(1), begun(2)])
    file.close()
    damaged = path.read_bytes().replace(b'"SENDING"', b'"QUEUED"', 1)
    path.write_bytes(damaged)
    file = SpoolFile(path, ACCOUNT, bytes_max=ROOM)
    contents = file.open()
    file.close()
    assert contents.damaged == 1
    assert begun(1) in contents.records
    assert begun(2) in contents.records
    assert path.with_name(path.name + ".damaged").read_bytes() == damaged


def test_words_that_no_text_can_hold_are_kept_all_the_same() -> None:
    """A broker's lone surrogate never keeps a line from being written."""
    contents = decode(encode(sent(1, "odd \udc80 words")))
    assert contents.damaged == 0
    (record,) = contents.records
    assert isinstance(record, SpooledChange)
    assert record.events[0].detail.startswith("odd ")


def test_it_is_bounded_and_new_orders_are_refused_first(path: Path) -> None:
    """Three quarters for new orders, the rest for what becomes of them; a refusal says so and leaves the file whole."""
    line = len(encode(begun(1)))
    file, _ = opened(path, bytes_max=line * 4)
    file.append([begun(1)], begins_orders=True)
    file.append([begun(2)], begins_orders=True)
    with pytest.raises(SpoolUnusable, match="full"):
        file.append([begun(3)], begins_orders=True)
    file.append([begun(3)])
    with pytest.raises(SpoolUnusable, match="full"):
        file.append([begun(4)])
    file.close()
    assert path.stat().st_size <= line * 4
    again, records = opened(path)
    again.close()
    assert records == (begun(1), begun(2), begun(3))


def test_emptying_is_one_step(path: Path) -> None:
    """Afterwards nothing is left but the header, and it goes on as before."""
    file, _ = opened(path)
    file.append([begun(1)])
    file.clear()
    file.append([begun(2)])
    file.close()
    again, records = opened(path)
    again.close()
    assert records == (begun(2),)
    assert [entry.name for entry in sorted(path.parent.iterdir())] == [path.name, path.name + ".lock"]


def test_one_engine_has_it_at_a_time(path: Path) -> None:
    """A second one is refused until the first has ended, and can ask beforehand."""
    assert not is_spool_in_use(path)
    file, _ = opened(path)
    assert is_spool_in_use(path)
    with pytest.raises(SpoolInUse, match="Another engine"):
        SpoolFile(path, ACCOUNT, bytes_max=ROOM).open()
    file.close()
    assert not is_spool_in_use(path)


def test_a_file_that_is_not_ours_is_left_alone(path: Path) -> None:
    """Another account's, and a later release's: refused in words, not changed, not held."""
    path.parent.mkdir(parents=True)
    for header, words in (
        (SpoolHeader(account=AccountId("ZZ9999")), "ZZ9999"),
        (SpoolHeader(account=ACCOUNT, version=99), "later release"),
    ):
        path.write_bytes(encode(header))
        with pytest.raises(SpoolUnusable, match=words):
            SpoolFile(path, ACCOUNT, bytes_max=ROOM).open()
        assert path.read_bytes() == encode(header)
        assert not is_spool_in_use(path)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """A file stands where the folder should be."""
    (tmp_path / "spool").write_text("")
    with pytest.raises(SpoolUnusable, match="cannot be used"):
        SpoolFile(tmp_path / "spool" / "x", ACCOUNT, bytes_max=ROOM).open()


def test_a_disk_that_is_full_leaves_whole_lines(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a line is taken away again, so that the next one can be read."""
    file, _ = opened(path)
    write = os.write

    def half(descriptor: int, data: bytes) -> int:
        write(descriptor, bytes(data)[:10])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", half)
    with pytest.raises(SpoolUnusable, match="No space left"):
        file.append([begun(1)])
    monkeypatch.undo()
    file.append([begun(2)])
    file.close()
    again, records = opened(path)
    again.close()
    assert records == (begun(2),)


def test_after_a_failed_sync_nothing_counts_until_it_is_made_anew(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the system could not bring to the disk it may forget without a word."""
    file, _ = opened(path)

    def fails(_: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(SpoolUnusable, match="does not keep"):
        file.append([begun(1)])
    with pytest.raises(SpoolUnusable, match="cannot be emptied"):
        file.clear()
    monkeypatch.undo()
    with pytest.raises(SpoolUnusable, match="the disk has failed"):
        file.append([begun(2)])
    file.clear()
    file.append([begun(3)])
    file.close()


async def test_the_disk_is_waited_for_in_a_thread(tmp_path: Path) -> None:
    """The real spool keeps, counts and reads back without holding up the event loop."""
    spool = make_spool(tmp_path, ACCOUNT, SpoolSettings())
    assert (await spool.open()).records == ()
    await spool.begin([(OrderNumber(1), intent(1))])
    await spool.add(sent(1).record, sent(1).events)
    assert spool.orders == 1
    await spool.close()
    again = make_spool(tmp_path, ACCOUNT, SpoolSettings())
    contents = await again.open()
    await again.close()
    assert contents.records[1:] == (begun(1), sent(1))
