"""What both implementations of the record of triggers and conversions must do."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import msgspec
import pytest

from engine.core.errors import StorageConflict, StorageError, WriterLost
from engine.core.identifiers import AccountId
from engine.core.instructions import (
    Baseline,
    Conversion,
    Instruction,
    InstructionEvent,
    InstructionKind,
    InstructionNumber,
    InstructionState,
)
from engine.core.repositories import Repositories
from engine.core.standing_triggers import GttKind, GttOrder, GttRequest
from engine.core.vocabulary import OrderType, Product, Side, Validity, Variety
from tests.contract.storage.conftest import TwoEngines
from tests.contract.storage.samples import ACCOUNT, CALL, MORNING, OTHER_ACCOUNT, intent, request

OCO = GttRequest(
    instrument=CALL,
    kind=GttKind.OCO,
    orders=(
        GttOrder(trigger_price=Decimal("60.05"), side=Side.SELL, quantity=65, price=Decimal(58)),
        GttOrder(trigger_price=Decimal(180), side=Side.SELL, quantity=65, price=Decimal("179.95")),
    ),
)


def placing(key: str = "k1", account: AccountId = ACCOUNT) -> Instruction:
    """A trigger that is about to be placed."""
    return Instruction(
        number=InstructionNumber(0),
        account=account,
        kind=InstructionKind.PLACE_GTT,
        idempotency_key=key,
        gtt=OCO,
        baseline=Baseline(triggers=(11, 12), has_triggers=True),
        seat="one",
        created_at=MORNING,
        updated_at=MORNING,
    )


def converting(key: str = "c1") -> Instruction:
    """A conversion that is about to be asked for."""
    return Instruction(
        number=InstructionNumber(0),
        account=ACCOUNT,
        kind=InstructionKind.CONVERT,
        idempotency_key=key,
        conversion=Conversion(
            instrument=CALL, side=Side.BUY, quantity=65, from_product=Product.NRML, to_product=Product.MIS
        ),
        baseline=Baseline(from_quantity=130, from_traded=65),
        created_at=MORNING,
        updated_at=MORNING,
    )


def step(before: Instruction, to_state: InstructionState, words: str = "") -> InstructionEvent:
    """One line of history."""
    return InstructionEvent(
        number=before.number,
        account=before.account,
        from_state=before.state,
        to_state=to_state,
        at=MORNING + timedelta(seconds=1),
        wall_at=MORNING,
        detail=words,
    )


async def test_what_is_asked_is_read_back_whole(store: Repositories, epoch: int) -> None:
    """Triggers and conversions come back with every figure exact; a key finds what it made."""
    first = await store.instructions.record(placing(), epoch=epoch)
    second = await store.instructions.record(converting(), epoch=epoch)
    assert second.number > first.number > 0
    assert await store.instructions.by_idempotency_key(ACCOUNT, "k1") == first
    assert await store.instructions.by_idempotency_key(ACCOUNT, "c1") == second
    assert await store.instructions.by_idempotency_key(OTHER_ACCOUNT, "k1") is None
    assert first.gtt == OCO
    assert second.baseline.from_quantity == 130


async def test_a_key_asks_once(store: Repositories, epoch: int) -> None:
    """The second writing of a key is refused, and nothing of it is kept."""
    await store.instructions.record(placing(), epoch=epoch)
    with pytest.raises(StorageConflict, match="nothing was written"):
        await store.instructions.record(placing(), epoch=epoch)
    assert len(await store.instructions.since(ACCOUNT, MORNING)) == 1


async def test_changes_leave_a_history(store: Repositories, epoch: int) -> None:
    """State, trigger and words change together with a line; what was asked never does."""
    made = await store.instructions.record(placing(), epoch=epoch)
    changed = msgspec.structs.replace(
        made,
        state=InstructionState.DONE,
        trigger_id=4_711_000_123,
        message="stands",
        updated_at=MORNING + timedelta(seconds=1),
        seat="another",
    )
    await store.instructions.change(changed, step(made, InstructionState.DONE, "answered"), epoch=epoch)
    (read,) = await store.instructions.since(ACCOUNT, MORNING)
    assert read == msgspec.structs.replace(changed, seat="one")
    (line,) = await store.instructions.history(made.number)
    assert (line.from_state, line.to_state, line.detail) == (
        InstructionState.SENDING,
        InstructionState.DONE,
        "answered",
    )
    assert line.sequence > 0


async def test_what_is_not_over_is_always_listed(store: Repositories, epoch: int) -> None:
    """Finished ones go with time; unknown ones are listed until they are known."""
    made = await store.instructions.record(placing(), epoch=epoch)
    later = MORNING + timedelta(days=3)
    assert await store.instructions.since(ACCOUNT, later) == (made,)
    done = msgspec.structs.replace(made, state=InstructionState.DONE)
    await store.instructions.change(done, step(made, InstructionState.DONE), epoch=epoch)
    assert await store.instructions.since(ACCOUNT, later) == ()


async def test_triggers_that_still_stand_are_always_listed(store: Repositories, epoch: int) -> None:
    """However old; one that was taken back, here or outside, is not, and one that could not be taken back is."""
    journal = store.instructions
    for trigger_id in (7, 8, 9):
        left = await journal.record(placing(f"k{trigger_id}"), epoch=epoch)
        done = msgspec.structs.replace(left, state=InstructionState.DONE, trigger_id=trigger_id)
        await journal.change(done, step(left, InstructionState.DONE), epoch=epoch)
    for trigger_id, state in ((8, InstructionState.DONE), (9, InstructionState.REFUSED)):
        taking = msgspec.structs.replace(
            placing(f"d{trigger_id}"),
            kind=InstructionKind.DELETE_GTT,
            state=state,
            trigger_id=trigger_id,
            gtt=None,
            baseline=Baseline(outside=True),
        )
        await journal.record(taking, epoch=epoch)
    listed = await journal.since(ACCOUNT, MORNING + timedelta(days=400))
    assert [(item.kind, item.trigger_id) for item in listed] == [
        (InstructionKind.PLACE_GTT, 7),
        (InstructionKind.PLACE_GTT, 9),
    ]
    whole = await journal.since(ACCOUNT, MORNING)
    assert [item.baseline.outside for item in whole] == [False, False, False, True, True]


async def test_an_old_writer_writes_nothing(engines: TwoEngines) -> None:
    """After another engine has taken the account over, neither a new one nor a change is written."""
    made = await engines.first.instructions.record(placing(), epoch=engines.epoch)
    await engines.first.writer_lock.release(ACCOUNT)
    assert await engines.second.writer_lock.acquire(ACCOUNT) is not None
    with pytest.raises(WriterLost):
        await engines.first.instructions.record(placing("k2"), epoch=engines.epoch)
    done = msgspec.structs.replace(made, state=InstructionState.DONE)
    with pytest.raises(WriterLost):
        await engines.first.instructions.change(done, step(made, InstructionState.DONE), epoch=engines.epoch)
    assert await engines.second.instructions.history(made.number) == ()


async def test_a_change_of_what_is_not_there_is_refused(store: Repositories, epoch: int) -> None:
    """An unknown number changes nothing."""
    strange = msgspec.structs.replace(placing(), number=InstructionNumber(99))
    with pytest.raises(StorageError, match="no instruction 99"):
        await store.instructions.change(strange, step(strange, InstructionState.DONE), epoch=epoch)


async def test_the_terms_of_rare_orders_are_kept(store: Repositories, epoch: int) -> None:
    """Time to live, legs, disclosed quantity and auction come back from the order and from its intent; a plain order
    has none.
    """
    wanted = request(
        order_type=OrderType.LIMIT,
        variety=Variety.ICEBERG,
        validity=Validity.TTL,
        validity_ttl=5,
        iceberg_legs=2,
        iceberg_quantity=65,
        disclosed_quantity=13,
        auction_number="22",
    )
    rare, plain = await store.journal.record_intents((intent(1, wanted=wanted), intent(2)), epoch=epoch)
    read = await store.journal.by_number(rare.number)
    kept = await store.journal.intent(rare.number)
    assert read is not None
    assert kept is not None
    assert read.request == kept.request == wanted
    again = await store.journal.by_number(plain.number)
    assert again is not None
    assert again.request == request()
    moved = msgspec.structs.replace(read, request=msgspec.structs.replace(wanted, validity_ttl=9))
    await store.journal.record_change(moved, (), epoch=epoch)
    changed = await store.journal.by_number(rare.number)
    assert changed is not None
    assert changed.request.validity_ttl == 9
