"""What every record of plans must do: one plan for one key, for the newest writer only, given back exactly."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import msgspec
import pytest

from engine.core.errors import InvalidInput, StorageError, WriterLost
from engine.core.identifiers import StrategyNumber
from engine.core.plans import (
    OVER,
    AtTime,
    BasketPlan,
    Chase,
    Comparison,
    ExitGoal,
    ExitManner,
    ExitPlan,
    ExitScope,
    ExitTarget,
    Floors,
    Iceberg,
    LegFailure,
    LegPlan,
    OrderPlan,
    PlanNumber,
    PlanProgress,
    PlanRecord,
    PlanSpec,
    PlanState,
    PriceTest,
    Slice,
    TimedPlan,
    Twap,
    WhenPrice,
)
from engine.core.repositories import Repositories
from engine.core.vocabulary import Product
from storage.errors import RowRefused
from tests.contract.storage.conftest import TwoEngines
from tests.contract.storage.samples import ACCOUNT, CALL, MORNING, OTHER_ACCOUNT, account, request, stop_request

NO_PLAN = PlanNumber(987_654)
SPECS: tuple[PlanSpec, ...] = (
    OrderPlan(request=stop_request(), manner=Slice(size=65)),
    OrderPlan(request=request(), manner=Iceberg(pieces=5)),
    OrderPlan(request=request(), manner=Twap(duration_s=0.1)),
    OrderPlan(request=request(), manner=Chase(ticks=3)),
    BasketPlan(
        legs=(request(), stop_request()),
        leg_plan=LegPlan(on_failure=LegFailure.CHASE, slippage_max=Decimal("1.05")),
    ),
    ExitPlan(
        target=ExitTarget(scope=ExitScope.LEG, strategy=StrategyNumber(3), leg=2),
        percent=50,
        manner=ExitManner.NOW,
        flat_by=MORNING,
        goals=(ExitGoal(instrument=CALL, product=Product.NRML, signed_quantity=-65, strategy=StrategyNumber(3)),),
    ),
    TimedPlan(trigger=AtTime(at=MORNING), sentence="exit 3", floors=Floors(credit_min=Decimal("100.50"))),
    TimedPlan(
        trigger=WhenPrice(
            test=PriceTest(instrument=CALL, comparison=Comparison.AT_MOST, level=Decimal(24_500), for_s=30.0)
        ),
        sentence='note 1 "ünïcode \\ and \x00"',
    ),
)


def plan(key: int = 1, *, spec: PlanSpec = SPECS[0], **changes: object) -> PlanRecord:
    """A plan that is not recorded yet; those of two numbers have two keys."""
    moment = MORNING + timedelta(seconds=key)
    made = PlanRecord(
        number=PlanNumber(0),
        account=ACCOUNT,
        spec=spec,
        state=PlanState.RUNNING,
        idempotency_key=f"key {key}",
        sentence=f"plan {key}",
        progress=PlanProgress(step=1, note="begins", facts={"start": "05:00"}),
        seat="terminal 1",
        by="rule r2",
        created_at=moment,
        updated_at=moment,
    )
    return msgspec.structs.replace(made, **changes)


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: type(getattr(spec, "manner", spec)).__name__)
async def test_a_plan_is_read_back_as_written(store: Repositories, epoch: int, spec: PlanSpec) -> None:
    """Every kind with every field: decimals exactly, times aware, what was left open still open."""
    written = await store.plans.record(plan(spec=spec), epoch=epoch)
    assert written.number > 0
    assert msgspec.structs.replace(written, number=PlanNumber(0)) == plan(spec=spec)
    assert await store.plans.by_number(written.number) == written
    assert await store.plans.by_idempotency_key(ACCOUNT, "key 1") == written


async def test_a_key_makes_one_plan(store: Repositories, epoch: int) -> None:
    """The same key gives the plan it made, whatever else is said, and uses no number up."""
    first = await store.plans.record(plan(), epoch=epoch)
    again = await store.plans.record(plan(spec=SPECS[3], sentence="another"), epoch=epoch)
    other = await store.plans.record(plan(2), epoch=epoch)
    assert again == first
    assert other.number == first.number + 1
    assert await store.plans.unfinished(ACCOUNT) == (first, other)


async def test_a_key_is_of_one_account(engines: TwoEngines) -> None:
    """Two accounts may use the same key, and neither sees the other's plan."""
    await engines.first.accounts.save(account(OTHER_ACCOUNT))
    other_epoch = await engines.first.writer_lock.acquire(OTHER_ACCOUNT)
    assert other_epoch is not None
    mine = await engines.first.plans.record(plan(), epoch=engines.epoch)
    theirs = await engines.first.plans.record(plan(account=OTHER_ACCOUNT), epoch=other_epoch)
    assert mine.number != theirs.number
    assert await engines.first.plans.unfinished(ACCOUNT) == (mine,)
    assert await engines.first.plans.since(OTHER_ACCOUNT, MORNING) == (theirs,)
    assert await engines.first.plans.by_idempotency_key(OTHER_ACCOUNT, "key 2") is None


async def test_what_a_plan_is_stays(store: Repositories, epoch: int) -> None:
    """An update replaces state, progress and times; specification, words and origin are as they were recorded."""
    first = await store.plans.record(plan(), epoch=epoch)
    moment = MORNING + timedelta(minutes=5)
    progress = PlanProgress(step=3, note="done", facts={"a": "\x00ü"})
    changed = msgspec.structs.replace(
        first,
        spec=SPECS[2],
        sentence="another",
        seat="another",
        by="another",
        idempotency_key="another",
        created_at=moment,
        state=PlanState.DONE,
        progress=progress,
        updated_at=moment,
        finished_at=moment,
    )
    await store.plans.update(changed, epoch=epoch)
    assert await store.plans.by_number(first.number) == msgspec.structs.replace(
        first, state=PlanState.DONE, progress=progress, updated_at=moment, finished_at=moment
    )


async def test_the_unfinished_are_every_state_that_is_no_end(store: Repositories, epoch: int) -> None:
    """Oldest first; a plan in any of the four ends is not among them."""
    for number, state in enumerate(PlanState, start=1):
        await store.plans.record(plan(number, state=state), epoch=epoch)
    unfinished = await store.plans.unfinished(ACCOUNT)
    assert [item.state for item in unfinished] == [state for state in PlanState if state not in OVER]


async def test_since_gives_the_days_plans_and_all_that_go_on(store: Repositories, epoch: int) -> None:
    """An old plan that is over is left out, unless it was changed since; an old one that goes on is there."""
    old = [
        await store.plans.record(plan(number, state=state), epoch=epoch)
        for number, state in enumerate((PlanState.DONE, PlanState.RUNNING, PlanState.FAILED), start=1)
    ]
    later = MORNING + timedelta(hours=1)
    await store.plans.update(msgspec.structs.replace(old[2], updated_at=later), epoch=epoch)
    new = await store.plans.record(plan(4, state=PlanState.DROPPED, created_at=later, updated_at=later), epoch=epoch)
    found = await store.plans.since(ACCOUNT, later)
    assert [item.number for item in found] == [old[1].number, old[2].number, new.number]


async def test_an_old_writer_changes_nothing(engines: TwoEngines) -> None:
    """With an epoch that is not the newest neither a new plan nor an update is written."""
    first = await engines.first.plans.record(plan(), epoch=engines.epoch)
    with pytest.raises(WriterLost):
        await engines.first.plans.record(plan(2), epoch=engines.epoch + 1)
    with pytest.raises(WriterLost):
        await engines.first.plans.update(msgspec.structs.replace(first, state=PlanState.DONE), epoch=engines.epoch + 1)
    assert await engines.second.plans.unfinished(ACCOUNT) == (first,)


async def test_an_unknown_plan_is_no_silent_update(engines: TwoEngines) -> None:
    """A number that is nobody's, and another account's, is an error and changes nothing."""
    await engines.first.accounts.save(account(OTHER_ACCOUNT))
    other_epoch = await engines.first.writer_lock.acquire(OTHER_ACCOUNT)
    assert other_epoch is not None
    mine = await engines.first.plans.record(plan(), epoch=engines.epoch)
    done = msgspec.structs.replace(mine, state=PlanState.DONE)
    with pytest.raises(StorageError, match="no plan"):
        await engines.first.plans.update(msgspec.structs.replace(done, number=NO_PLAN), epoch=engines.epoch)
    with pytest.raises(StorageError, match="no plan"):
        await engines.first.plans.update(msgspec.structs.replace(done, account=OTHER_ACCOUNT), epoch=other_epoch)
    assert await engines.first.plans.by_number(mine.number) == mine
    assert await engines.first.plans.by_number(NO_PLAN) is None


async def test_impossible_plans_are_refused(store: Repositories, epoch: int) -> None:
    """A plan with a number, without a key, of an account nobody knows, or with a time without a zone."""
    with pytest.raises(ValueError, match="number"):
        await store.plans.record(plan(number=PlanNumber(4)), epoch=epoch)
    with pytest.raises(RowRefused):
        await store.plans.record(plan(idempotency_key=""), epoch=epoch)
    with pytest.raises(ValueError, match="time zone"):
        await store.plans.record(plan(created_at=MORNING.replace(tzinfo=None)), epoch=epoch)
    with pytest.raises((InvalidInput, WriterLost)):
        await store.plans.record(plan(account=OTHER_ACCOUNT), epoch=epoch)
    assert await store.plans.unfinished(ACCOUNT) == ()
