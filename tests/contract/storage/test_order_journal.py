"""What every order journal must do: keep all or nothing, once, for the newest writer only, and give it back exactly."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

import msgspec
import pytest

from engine.core.decisions import EventFacts, LetterState, OrderDecision, QuoteSeen, UnsentCause
from engine.core.errors import InvalidInput, StorageConflict, UnknownOrder, UnknownStrategy, WriterLost
from engine.core.identifiers import BrokerOrderId, IntentId, OrderNumber, OrderTag, StrategyNumber
from engine.core.orders import TERMINAL, OrderEvent, OrderIntent, OrderRecord, OrderState, OrderTrigger
from engine.core.repositories import Repositories
from engine.core.vocabulary import QuoteState
from storage.errors import RowRefused
from tests.contract.storage.conftest import TwoEngines
from tests.contract.storage.samples import (
    ACCOUNT,
    MORNING,
    OTHER_ACCOUNT,
    account,
    event,
    intent,
    outside_order,
    request,
    stop_request,
)

NO_ORDER = OrderNumber(987_654)


async def journalled(store: Repositories, epoch: int, number: int = 1) -> OrderRecord:
    """One order in the journal."""
    (record,) = await store.journal.record_intents([intent(number)], epoch=epoch)
    return record


async def moved(store: Repositories, epoch: int, record: OrderRecord, state: OrderState) -> OrderRecord:
    """The order after a change of state."""
    changed = msgspec.structs.replace(record, state=state, updated_at=record.updated_at + timedelta(minutes=1))
    await store.journal.record_change(changed, [], epoch=epoch)
    return changed


async def test_intents_become_queued_orders_in_their_order(store: Repositories, epoch: int) -> None:
    """Each intent becomes a QUEUED order with a number, in the order given, with all that it said."""
    intents = [intent(3), intent(1, wanted=stop_request()), intent(2)]
    records = await store.journal.record_intents(intents, epoch=epoch)
    assert [record.intent_id for record in records] == [item.intent_id for item in intents]
    assert [record.state for record in records] == [OrderState.QUEUED] * 3
    assert [record.request for record in records] == [item.request for item in intents]
    assert [record.tag for record in records] == [item.tag for item in intents]
    assert sorted(record.number for record in records) == [record.number for record in records]
    assert len({record.number for record in records}) == 3


async def test_an_order_is_read_back_as_written(store: Repositories, epoch: int) -> None:
    """Every field of an intent survives: decimals exactly, times to the microsecond and aware, enums as enums."""
    (written,) = await store.journal.record_intents([intent(1, wanted=stop_request())], epoch=epoch)
    read = await store.journal.by_number(written.number)
    assert read == written
    assert read is not None
    assert str(read.request.trigger_price) == "100.00"
    assert read.created_at.utcoffset() == timedelta(0)


async def test_no_intents_need_no_writer(store: Repositories) -> None:
    """An empty batch writes nothing and asks nobody."""
    assert await store.journal.record_intents([], epoch=999) == ()


async def test_a_tag_is_used_once(store: Repositories, epoch: int) -> None:
    """A second order with the tag of another is refused: it could never be told apart at the broker."""
    await journalled(store, epoch)
    again = msgspec.structs.replace(intent(2), tag=intent(1).tag)
    with pytest.raises(StorageConflict, match="tag"):
        await store.journal.record_intents([again], epoch=epoch)


async def test_an_idempotency_key_makes_one_order(store: Repositories, epoch: int) -> None:
    """A second order with the key of another is refused."""
    await journalled(store, epoch)
    again = msgspec.structs.replace(intent(2), idempotency_key=intent(1).idempotency_key)
    with pytest.raises(StorageConflict, match="idempotency key"):
        await store.journal.record_intents([again], epoch=epoch)


async def test_an_intent_id_is_used_once(store: Repositories, epoch: int) -> None:
    """The very same intent written again, as after an unknown commit, is refused and not doubled."""
    record = await journalled(store, epoch)
    with pytest.raises(StorageConflict):
        await store.journal.record_intents([intent(1)], epoch=epoch)
    assert await store.journal.working(ACCOUNT) == (record,)


async def test_a_batch_is_kept_whole_or_not_at_all(store: Repositories, epoch: int) -> None:
    """One bad intent in a basket leaves no trace of its neighbours."""
    await journalled(store, epoch)
    bad = msgspec.structs.replace(intent(4), tag=intent(1).tag)
    with pytest.raises(StorageConflict):
        await store.journal.record_intents([intent(2), intent(3), bad], epoch=epoch)
    assert len(await store.journal.working(ACCOUNT)) == 1
    assert await store.journal.by_idempotency_key(ACCOUNT, intent(2).idempotency_key) is None


async def test_equal_tags_inside_one_batch_are_refused(store: Repositories, epoch: int) -> None:
    """The rule holds inside a batch too."""
    twin = msgspec.structs.replace(intent(2), tag=intent(1).tag)
    with pytest.raises(StorageConflict):
        await store.journal.record_intents([intent(1), twin], epoch=epoch)
    assert await store.journal.working(ACCOUNT) == ()


async def test_accounts_do_not_share_tags_and_keys(engines: TwoEngines) -> None:
    """The same tag and key in another account are another order."""
    await engines.first.accounts.save(account(OTHER_ACCOUNT))
    other_epoch = await engines.first.writer_lock.acquire(OTHER_ACCOUNT)
    assert other_epoch is not None
    mine = await journalled(engines.first, engines.epoch)
    (theirs,) = await engines.first.journal.record_intents([intent(1, account_id=OTHER_ACCOUNT)], epoch=other_epoch)
    assert mine.number != theirs.number
    assert await engines.first.journal.working(ACCOUNT) == (mine,)
    found = await engines.first.journal.by_idempotency_key(OTHER_ACCOUNT, intent(1).idempotency_key)
    assert found == theirs


async def test_a_batch_of_two_accounts_is_a_mistake(store: Repositories, epoch: int) -> None:
    """An epoch is of one account, so a batch is too."""
    with pytest.raises(ValueError, match="one account"):
        await store.journal.record_intents([intent(1), intent(2, account_id=OTHER_ACCOUNT)], epoch=epoch)


async def test_an_unknown_account_is_named(engines: TwoEngines) -> None:
    """An order for an account that was never saved is refused in words."""
    epoch = await engines.first.writer_lock.acquire(OTHER_ACCOUNT)
    assert epoch is not None
    with pytest.raises(InvalidInput, match="account is not known"):
        await engines.first.journal.record_intents([intent(1, account_id=OTHER_ACCOUNT)], epoch=epoch)


async def test_an_unknown_strategy_is_named(store: Repositories, epoch: int) -> None:
    """An order for a strategy that does not exist is refused in words."""
    wanted = request(strategy=StrategyNumber(77))
    with pytest.raises(UnknownStrategy):
        await store.journal.record_intents([intent(1, wanted=wanted)], epoch=epoch)


@pytest.mark.parametrize(
    "broken",
    [
        intent(1, wanted=request(quantity=0)),
        intent(1, wanted=request(quantity=-65)),
        intent(1, wanted=request(price=Decimal("NaN"))),
        intent(1, wanted=request(trigger_price=Decimal("Infinity"))),
        msgspec.structs.replace(intent(1), tag=OrderTag("twenty-one characters")),
        msgspec.structs.replace(intent(1), idempotency_key=""),
        msgspec.structs.replace(intent(1), intent_id=IntentId("")),
    ],
    ids=["no quantity", "negative quantity", "NaN", "infinity", "long tag", "no key", "no id"],
)
async def test_values_that_must_not_exist_are_refused(store: Repositories, epoch: int, broken: OrderIntent) -> None:
    """The last line of defence: a value that no check should have let through does not reach the journal."""
    with pytest.raises(RowRefused):
        await store.journal.record_intents([broken], epoch=epoch)
    assert await store.journal.working(ACCOUNT) == ()


async def test_a_time_without_zone_is_a_mistake(store: Repositories, epoch: int) -> None:
    """A naive time would be taken for the machine's local time; it is refused instead."""
    naive = msgspec.structs.replace(intent(1), created_at=datetime(2026, 11, 20, 9, 15))  # noqa: DTZ001
    with pytest.raises(ValueError, match="time zone"):
        await store.journal.record_intents([naive], epoch=epoch)


async def test_a_change_replaces_the_standing_and_appends_events(store: Repositories, epoch: int) -> None:
    """State, broker's id, fills, message and times are those of the newest record; the events follow each other."""
    queued = await journalled(store, epoch)
    accepted = msgspec.structs.replace(
        queued,
        state=OrderState.ACCEPTED,
        broker_order_id=BrokerOrderId("1234567890123456789"),
        filled_quantity=65,
        average_price=Decimal("105.123456789"),
        message="ok",
        sent_at=MORNING + timedelta(seconds=2),
        answered_at=MORNING + timedelta(seconds=3),
        updated_at=MORNING + timedelta(seconds=3),
        modifications=2,
        request=msgspec.structs.replace(queued.request, quantity=195, price=Decimal("106.05")),
    )
    sent = event(queued, OrderTrigger.SEND, OrderState.SENDING)
    answered = msgspec.structs.replace(
        sent, trigger=OrderTrigger.ANSWERED, from_state=OrderState.SENDING, to_state=OrderState.ACCEPTED
    )
    await store.journal.record_change(accepted, [sent, answered], epoch=epoch)
    assert await store.journal.by_number(queued.number) == accepted
    history = await store.journal.history(queued.number)
    assert [msgspec.structs.replace(line, sequence=0) for line in history] == [sent, answered]
    assert 0 < history[0].sequence < history[1].sequence


async def test_a_change_without_events_is_a_change(store: Repositories, epoch: int) -> None:
    """A standing may be refreshed without anything having happened to the state."""
    record = await journalled(store, epoch)
    changed = msgspec.structs.replace(record, message="seen in the book")
    await store.journal.record_change(changed, [], epoch=epoch)
    assert await store.journal.by_number(record.number) == changed
    assert await store.journal.history(record.number) == ()


async def test_what_identifies_an_order_is_never_rewritten(store: Repositories, epoch: int) -> None:
    """A record that claims another tag, key or intent changes the standing only."""
    record = await journalled(store, epoch)
    forged = msgspec.structs.replace(
        record,
        tag=OrderTag("OTHER"),
        idempotency_key="other",
        intent_id=None,
        created_at=MORNING + timedelta(days=1),
        message="forged",
    )
    await store.journal.record_change(forged, [], epoch=epoch)
    assert await store.journal.by_number(record.number) == msgspec.structs.replace(record, message="forged")


async def test_an_illegal_transition_is_recorded_as_not_applied(store: Repositories, epoch: int) -> None:
    """What the table of states does not allow is kept as an event all the same."""
    record = await journalled(store, epoch)
    odd = event(record, OrderTrigger.BOOK_COMPLETE, record.state, applied=False)
    await store.journal.record_change(record, [odd], epoch=epoch)
    (kept,) = await store.journal.history(record.number)
    assert (kept.applied, kept.from_state, kept.to_state) == (False, OrderState.QUEUED, OrderState.QUEUED)


async def test_a_change_of_an_unknown_order_writes_nothing(store: Repositories, epoch: int) -> None:
    """Neither the standing nor the event of an order that does not exist is kept."""
    record = msgspec.structs.replace(await journalled(store, epoch), number=NO_ORDER)
    with pytest.raises(UnknownOrder, match="o987654"):
        await store.journal.record_change(record, [event(record, OrderTrigger.DROP, OrderState.NOT_SENT)], epoch=epoch)
    assert await store.journal.history(NO_ORDER) == ()


async def test_an_event_of_another_order_is_a_mistake(store: Repositories, epoch: int) -> None:
    """Events are written with the order that they are about."""
    record = await journalled(store, epoch)
    strange = msgspec.structs.replace(event(record, OrderTrigger.DROP, OrderState.NOT_SENT), number=NO_ORDER)
    with pytest.raises(ValueError, match="o987654"):
        await store.journal.record_change(record, [strange], epoch=epoch)


async def test_two_orders_cannot_have_one_broker_id(store: Repositories, epoch: int) -> None:
    """The broker's answer belongs to one order; the change that claims it again is refused whole."""
    first, second = await store.journal.record_intents([intent(1), intent(2)], epoch=epoch)
    taken = BrokerOrderId("261120000000001")
    await store.journal.record_change(msgspec.structs.replace(first, broker_order_id=taken), [], epoch=epoch)
    claiming = msgspec.structs.replace(second, broker_order_id=taken, state=OrderState.ACCEPTED)
    with pytest.raises(StorageConflict, match="broker id"):
        await store.journal.record_change(
            claiming, [event(second, OrderTrigger.ANSWERED, OrderState.ACCEPTED)], epoch=epoch
        )
    assert await store.journal.by_number(second.number) == second
    assert await store.journal.history(second.number) == ()


async def test_odd_characters_do_not_stop_the_journal(store: Repositories, epoch: int) -> None:
    """A broker's message with characters that a database cannot hold is kept without them."""
    record = await journalled(store, epoch)
    odd = msgspec.structs.replace(record, message="refused\x00 \ud800 ₹")
    await store.journal.record_change(
        odd,
        [msgspec.structs.replace(event(record, OrderTrigger.LOST, OrderState.UNKNOWN), detail="a\x00b")],
        epoch=epoch,
    )
    read = await store.journal.by_number(record.number)
    assert read is not None
    assert read.message == "refused ? ₹"
    assert (await store.journal.history(record.number))[0].detail == "ab"


async def test_an_old_writer_changes_nothing(engines: TwoEngines) -> None:
    """After a second engine has become the writer, no kind of write of the first gets through."""
    record = await journalled(engines.first, engines.epoch)
    await engines.first.writer_lock.release(ACCOUNT)
    assert await engines.second.writer_lock.acquire(ACCOUNT) == engines.epoch + 1
    journal = engines.first.journal
    dropped = msgspec.structs.replace(record, state=OrderState.NOT_SENT)
    with pytest.raises(WriterLost, match="AB1234"):
        await journal.record_intents([intent(2)], epoch=engines.epoch)
    with pytest.raises(WriterLost):
        await journal.record_change(
            dropped, [event(record, OrderTrigger.DROP, OrderState.NOT_SENT)], epoch=engines.epoch
        )
    found = outside_order()
    with pytest.raises(WriterLost):
        await journal.adopt(found, event(found, OrderTrigger.BOOK_OPEN, OrderState.OPEN), epoch=engines.epoch)
    assert await engines.second.journal.working(ACCOUNT) == (record,)
    assert await engines.second.journal.history(record.number) == ()


async def test_an_epoch_never_given_out_writes_nothing(store: Repositories, epoch: int) -> None:
    """A number from the future is no better than one from the past."""
    with pytest.raises(WriterLost):
        await store.journal.record_intents([intent(1)], epoch=epoch + 1)


async def test_an_outside_order_is_adopted_with_a_number(store: Repositories, epoch: int) -> None:
    """An order from the phone gets a number, keeps all the broker said, and its history begins with the adoption."""
    found = outside_order()
    adopted = await store.journal.adopt(found, event(found, OrderTrigger.BOOK_OPEN, OrderState.OPEN), epoch=epoch)
    assert adopted.number > 0
    assert adopted == msgspec.structs.replace(found, number=adopted.number)
    assert await store.journal.by_number(adopted.number) == adopted
    (line,) = await store.journal.history(adopted.number)
    assert line.number == adopted.number
    assert line.trigger is OrderTrigger.BOOK_OPEN


async def test_an_outside_order_is_adopted_once(store: Repositories, epoch: int) -> None:
    """Two polls that see the same order adopt it once; so does one that sees an order of ours."""
    found = outside_order()
    seen = event(found, OrderTrigger.BOOK_OPEN, OrderState.OPEN)
    await store.journal.adopt(found, seen, epoch=epoch)
    with pytest.raises(StorageConflict, match="broker id"):
        await store.journal.adopt(found, seen, epoch=epoch)
    ours = msgspec.structs.replace(await journalled(store, epoch), broker_order_id=BrokerOrderId("42"))
    await store.journal.record_change(ours, [], epoch=epoch)
    with pytest.raises(StorageConflict):
        await store.journal.adopt(outside_order("42"), seen, epoch=epoch)
    assert len(await store.journal.working(ACCOUNT)) == 2


async def test_outside_orders_may_share_a_tag(store: Repositories, epoch: int) -> None:
    """Other programs put one tag on many orders; that is theirs to do."""
    for broker_order_id in ("1", "2"):
        found = outside_order(broker_order_id)
        await store.journal.adopt(found, event(found, OrderTrigger.BOOK_OPEN, OrderState.OPEN), epoch=epoch)
    assert [record.tag for record in await store.journal.working(ACCOUNT)] == [OrderTag("phone")] * 2


async def test_an_order_of_ours_is_not_adopted(store: Repositories, epoch: int) -> None:
    """Adopting what has an intent is a mistake of the caller."""
    record = await journalled(store, epoch)
    with pytest.raises(ValueError, match="adopted"):
        await store.journal.adopt(record, event(record, OrderTrigger.BOOK_OPEN, OrderState.OPEN), epoch=epoch)


async def test_working_orders_are_the_open_and_the_presumed_absent(store: Repositories, epoch: int) -> None:
    """Every state that may still trade is listed, and those given up, since they may appear late; nothing else."""
    expected = []
    for number, state in enumerate(OrderState, start=1):
        record = await moved(store, epoch, await journalled(store, epoch, number), state)
        if state not in TERMINAL or state is OrderState.PRESUMED_ABSENT:
            expected.append(record)
    assert await store.journal.working(ACCOUNT) == tuple(expected)


async def test_since_finds_what_was_made_or_changed(store: Repositories, epoch: int) -> None:
    """An old order changed today is of today; an old one that nothing happened to is not."""
    old, changed, young = await store.journal.record_intents([intent(1), intent(2), intent(100)], epoch=epoch)
    boundary = MORNING + timedelta(seconds=62)
    changed = await moved(store, epoch, changed, OrderState.COMPLETE)
    assert changed.updated_at == boundary
    assert await store.journal.since(ACCOUNT, boundary) == (changed, young)
    assert old not in await store.journal.since(ACCOUNT, boundary)


async def test_a_key_finds_its_order_at_any_time(store: Repositories, epoch: int) -> None:
    """Also after the order is done; an unknown key finds nothing."""
    record = await moved(store, epoch, await journalled(store, epoch), OrderState.COMPLETE)
    assert await store.journal.by_idempotency_key(ACCOUNT, "key 1") == record
    assert await store.journal.by_idempotency_key(ACCOUNT, "key 2") is None
    assert await store.journal.by_number(NO_ORDER) is None


async def test_what_decided_an_order_is_kept_with_its_intent(store: Repositories, epoch: int) -> None:
    """Reason, version, quotes with exact prices, notes in any script; the request stays as it was first wanted."""
    decision = OrderDecision(
        by="rule r2",
        version="3",
        words="mid 214.22 >= 214.20 \u20b9\x00",
        quotes=(
            QuoteSeen(
                instrument=request().instrument,
                state=QuoteState.ONE_SIDED,
                bid=Decimal("214.20"),
                ask=None,
                last=Decimal("0.05"),
                age_s=0.25,
            ),
        ),
        seat="tty1",
        lane="EXIT",
        adds_risk=False,
        checks="1",
        notes=("a", "b"),
        replays=OrderNumber(7),
    )
    wanted = msgspec.structs.replace(intent(1), decision=decision, wall_at=MORNING)
    (record,) = await store.journal.record_intents([wanted], epoch=epoch)
    changed = msgspec.structs.replace(record, request=msgspec.structs.replace(record.request, quantity=195))
    await store.journal.record_change(changed, [], epoch=epoch)
    assert await store.journal.intent(record.number) == wanted
    assert await store.journal.intent(NO_ORDER) is None


async def test_an_order_from_outside_has_no_intent(store: Repositories, epoch: int) -> None:
    """Nobody here wanted it."""
    found = outside_order()
    adopted = await store.journal.adopt(found, event(found, OrderTrigger.BOOK_OPEN, OrderState.OPEN), epoch=epoch)
    assert await store.journal.intent(adopted.number) is None


async def test_an_event_keeps_its_facts_and_both_clocks(store: Repositories, epoch: int) -> None:
    """Cause, decision and durations survive, also with characters that no database keeps."""
    record = await journalled(store, epoch)
    facts = EventFacts(
        cause=UnsentCause.TOO_FAST,
        decision=OrderDecision(words="asked"),
        attempt=2,
        queued_s=0.125,
        sending_s=0.5,
        answer_s=1.75,
        filled=65,
        asked=195,
        seat="tty1",
        replayed_as=OrderNumber(9),
    )
    plain = event(record, OrderTrigger.HELD_BACK, record.state)
    full = msgspec.structs.replace(plain, facts=facts, wall_at=MORNING + timedelta(seconds=7))
    odd = msgspec.structs.replace(plain, facts=EventFacts(seat="tty\ud800"))
    await store.journal.record_change(record, [plain, full, odd], epoch=epoch)
    history = await store.journal.history(record.number)
    assert [msgspec.structs.replace(line, sequence=0) for line in history[:2]] == [plain, full]
    assert history[2].facts.seat.startswith("tty")


@pytest.mark.parametrize("field", ["created_at", "wall_at"])
async def test_both_clocks_of_an_intent_know_their_zone(store: Repositories, epoch: int, field: str) -> None:
    """A naive time is refused, whichever clock it comes from."""
    naive = msgspec.structs.replace(intent(1), **{field: datetime(2026, 11, 20, 9, 15)})  # noqa: DTZ001
    with pytest.raises(ValueError, match="time zone"):
        await store.journal.record_intents([naive], epoch=epoch)


async def test_open_dead_letters_are_listed_newest_first(store: Repositories, epoch: int) -> None:
    """Of this account, at most as many as asked for; closed, replayed and ordinary orders are none."""
    records = await store.journal.record_intents([intent(number) for number in range(1, 6)], epoch=epoch)
    states = [LetterState.OPEN, LetterState.CLOSED, LetterState.OPEN, LetterState.REPLAYED, LetterState.NONE]
    for record, letter in zip(records, states, strict=True):
        changed = msgspec.structs.replace(record, state=OrderState.NOT_SENT, letter=letter)
        await store.journal.record_change(changed, [], epoch=epoch)
    found = await store.journal.dead_letters(ACCOUNT, 10)
    assert [record.number for record in found] == [records[2].number, records[0].number]
    assert {record.letter for record in found} == {LetterState.OPEN}
    assert [record.number for record in await store.journal.dead_letters(ACCOUNT, 1)] == [records[2].number]
    assert await store.journal.dead_letters(OTHER_ACCOUNT, 10) == ()


async def test_placements_are_counted_by_their_end_on_this_machines_clock(store: Repositories, epoch: int) -> None:
    """Those sent from a moment on: the end of the newest try where it is known, nothing where it is not."""
    records = await store.journal.record_intents([intent(number) for number in range(1, 5)], epoch=epoch)

    def sent(record: OrderRecord, second: int, **changes: object) -> OrderEvent:
        line = event(record, OrderTrigger.SEND, OrderState.SENDING)
        at = MORNING + timedelta(seconds=second)
        return msgspec.structs.replace(line, wall_at=at, **changes)

    answered, hanging, early, queued = records
    ends = [(OrderTrigger.LOST, 12), (OrderTrigger.ANSWERED, 40), (OrderTrigger.BOOK_OPEN, 90)]
    lines = [sent(answered, 10), *(sent(answered, second, trigger=trigger) for trigger, second in ends)]
    await store.journal.record_change(answered, lines, epoch=epoch)
    await store.journal.record_change(hanging, [sent(hanging, 11)], epoch=epoch)
    await store.journal.record_change(
        early, [sent(early, 9), sent(early, 10, trigger=OrderTrigger.REFUSED)], epoch=epoch
    )
    await store.journal.record_change(queued, [sent(queued, 20, applied=False)], epoch=epoch)
    found = await store.journal.placements(ACCOUNT, MORNING + timedelta(seconds=10))
    assert sorted(found, key=str) == [MORNING + timedelta(seconds=40), None]
    assert await store.journal.placements(OTHER_ACCOUNT, MORNING) == ()


async def test_an_order_that_leaves_is_sending_with_its_line_in_the_same_write(store: Repositories, epoch: int) -> None:
    """Its state, the moment and the line of history are there at once; what stays behind is QUEUED without any."""
    stays, leaves = intent(1), msgspec.structs.replace(intent(2), wall_at=MORNING)
    queued, sending = await store.journal.record_intents([stays, leaves], epoch=epoch, leaving={leaves.intent_id})
    assert (queued.state, queued.sent_at) == (OrderState.QUEUED, None)
    assert (sending.state, sending.sent_at) == (OrderState.SENDING, leaves.created_at)
    assert await store.journal.by_number(sending.number) == sending
    assert await store.journal.by_number(queued.number) == queued
    assert await store.journal.history(queued.number) == ()
    (line,) = await store.journal.history(sending.number)
    assert msgspec.structs.replace(line, sequence=0) == OrderEvent(
        number=sending.number,
        account=ACCOUNT,
        trigger=OrderTrigger.SEND,
        from_state=OrderState.QUEUED,
        to_state=OrderState.SENDING,
        applied=True,
        at=leaves.created_at,
        wall_at=MORNING,
    )


async def test_a_lost_writer_marks_nothing_as_sending(store: Repositories, epoch: int) -> None:
    """The fence is before the line too: nothing of it is written."""
    with pytest.raises(WriterLost):
        await store.journal.record_intents([intent(1)], epoch=epoch + 1, leaving={intent(1).intent_id})
    assert await store.journal.working(ACCOUNT) == ()
    assert await store.journal.by_idempotency_key(ACCOUNT, intent(1).idempotency_key) is None


async def test_a_merge_after_an_order_was_written_as_sending_adds_no_second_line(
    store: Repositories, epoch: int
) -> None:
    """A write that was reported as failed and had been made, told once more by the spool: one line, not two."""
    (number,) = await store.journal.reserve_numbers(ACCOUNT, 1, epoch=epoch)
    wanted = intent(1)
    (record,) = await store.journal.record_intents([wanted], epoch=epoch, numbers=[number], leaving={wanted.intent_id})
    (line,) = await store.journal.history(number)
    await store.journal.merge(wanted, record, [msgspec.structs.replace(line, sequence=0)], epoch=epoch)
    (kept,) = await store.journal.history(number)
    assert msgspec.structs.replace(kept, sequence=line.sequence) == line
