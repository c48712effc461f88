"""Holding, killing and locking one executor: entries go, everything that protects stays."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest_asyncio

from engine.core.commands import ExitPositions, KillSwitch, Receipt, Unlock
from engine.core.locks import LockKind
from engine.core.orders import OrderRequest, OrderState
from engine.core.plans import ExitScope
from engine.core.vocabulary import OrderType, Side
from engine.execution.kill import KillDesk
from engine.execution.kill_journal import KillJournal, journal_path
from engine.execution.latch import LatchFolder, LatchWatch
from engine.execution.locks import DayFigures
from engine.execution.settings import LockLimits
from tests.kit.fake_broker import LOT, Call, option
from tests.unit.execution.desk import ACCOUNT, Desk, buy, settle

KEY = option().key
LIMITS = LockLimits(daily_loss=Decimal(1000), unlock_wait_s=30.0)


def order(side: Side, *, stop: bool = False, lots: int = 1) -> OrderRequest:
    """One order on the tests' contract."""
    price = Decimal(121) if stop else Decimal(100)
    return OrderRequest(
        instrument=KEY,
        side=side,
        quantity=lots * LOT,
        order_type=OrderType.SL if stop else OrderType.LIMIT,
        price=price,
        trigger_price=price - 1 if stop else None,
    )


class Rig:
    """A desk with its kill desk; the flattening is written down, not done."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.flattened: list[ExitPositions] = []
        self.disarmed: list[str] = []
        self.figures: DayFigures | None = None
        assert desk.locks is not None
        self.locks = desk.locks
        self.kill = KillDesk(
            executor=desk.executor,
            locks=desk.locks,
            limits=LIMITS,
            figures=lambda: self.figures,
            day_ends=lambda: desk.clock.market_now() + timedelta(hours=9),
            disarm=self.disarmed.append,
            flatten=self._flatten,
            siblings=lambda: (self.locks,),
            clock=desk.clock,
            notify=desk.ear.on_notice,
        )

    async def _flatten(self, command: ExitPositions, seat: str) -> Receipt:
        del seat
        self.flattened.append(command)
        return Receipt(accepted=True, message="p1 flattens.")

    def state(self, receipt: Receipt) -> OrderState:
        """How the order of a receipt stands."""
        return self.desk.order(receipt.orders[0].number).state


@pytest_asyncio.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    """One account with latches."""
    async with Desk(latches=LatchFolder(tmp_path / "latches", secrets.token_bytes)) as desk:
        yield Rig(desk)


async def test_a_hold_cancels_entries_and_leaves_stops_and_exits(rig: Rig) -> None:
    """One short position with its stop and its exit, and one resting entry: only the entry goes."""
    desk = rig.desk
    desk.facts.held = {KEY: -LOT}
    stop = await desk.resting(order(Side.BUY, stop=True))
    leave = await desk.resting(order(Side.BUY))
    entry = await desk.resting(order(Side.SELL))
    receipt = await rig.kill.hold("terminal")
    await desk.clock.advance(2)
    assert "1 of 1 resting" in receipt.message
    assert desk.order(entry).state is OrderState.CANCELLED
    assert {desk.order(stop).state, desk.order(leave).state} == {OrderState.TRIGGER_PENDING, OrderState.OPEN}
    assert rig.disarmed == ["terminal"]
    assert [view.kind for view in rig.kill.views()] == [LockKind.HOLD]


async def test_held_entries_are_refused_and_exits_go(rig: Rig) -> None:
    """After the hold a new entry is refused with the lock's words; an exit beside a resting stop is taken."""
    desk = rig.desk
    desk.facts.held = {KEY: -LOT}
    await desk.resting(order(Side.BUY, stop=True))
    await rig.kill.hold("terminal")
    entry = await desk.place(order(Side.SELL))
    assert not entry.accepted
    assert entry.violations[0].check == "lock"
    leave = await desk.place(order(Side.BUY))
    assert leave.accepted, leave.message
    assert (await rig.kill.release("terminal")).accepted
    assert (await desk.place(order(Side.SELL, lots=2))).accepted


async def test_unsent_entries_are_dropped(rig: Rig) -> None:
    """What waits in the queue for its second is never sent."""
    desk = rig.desk
    receipts = [await desk.place(buy(), settle_after=False) for _ in range(30)]
    await settle()
    sent = len(desk.broker.posts)
    assert sent < len(receipts)
    await rig.kill.hold("terminal")
    await desk.clock.advance(10)
    assert len(desk.broker.posts) == sent
    states = {rig.state(receipt) for receipt in receipts}
    assert states == {OrderState.CANCELLED, OrderState.NOT_SENT}


async def test_a_foreign_latch_stops_what_waits_exits_too(rig: Rig) -> None:
    """Another process pulls the switch while an entry and an exit wait: neither leaves, not even the one half way."""
    desk = rig.desk
    desk.facts.held = {KEY: -LOT}
    desk.executor._sending.budget.obey(2.0)
    leave = await desk.place(order(Side.BUY))
    entry = await desk.place(order(Side.SELL))
    assert leave.accepted
    assert entry.accepted
    assert desk.latches is not None
    desk.latches.set(ACCOUNT, by="workstation kill", words="flattens")
    await desk.clock.advance(5)
    assert not desk.broker.posts
    assert {rig.state(leave), rig.state(entry)} == {OrderState.NOT_SENT}


async def test_a_foreign_kill_is_said_though_the_journal_hangs(rig: Rig) -> None:
    """Whoever looks at the screen reads KILLED at once; that what waited was dropped is said when it is written."""
    desk = rig.desk
    desk.facts.held = {KEY: -LOT}
    desk.executor._sending.budget.obey(60.0)
    leave = await desk.place(order(Side.BUY))
    assert leave.accepted
    assert desk.latches is not None
    desk.latches.set(ACCOUNT, by="workstation kill", words="flattens")
    desk.journal.stall = asyncio.Event()
    looking = asyncio.create_task(rig.kill.look())
    await settle()
    assert desk.ear.heard("KILLED")
    assert not desk.ear.heard("dropped: 1;")
    desk.journal.stall.set()
    await looking
    assert desk.ear.heard("dropped: 1;")
    assert rig.state(leave) is OrderState.NOT_SENT


async def test_after_a_foreign_kill_nothing_is_placed_until_positions_are_read(rig: Rig) -> None:
    """An exit decided at once is refused; after the next reconciliation it is taken, and entries are not."""
    desk = rig.desk
    desk.facts.held = {KEY: -LOT}
    assert desk.latches is not None
    desk.latches.set(ACCOUNT, by="workstation kill", words="flattens")
    early = await desk.place(order(Side.BUY))
    assert "being read anew" in early.message
    await rig.kill.look()
    assert desk.ear.heard("KILLED")
    assert rig.disarmed == [""]
    assert (await desk.place(order(Side.BUY))).accepted
    assert not (await desk.place(order(Side.SELL))).accepted


async def test_while_a_kill_process_works_nothing_is_placed(rig: Rig) -> None:
    """Two that flatten would trade against each other: exits wait for the other's end."""
    desk = rig.desk
    desk.facts.held = {KEY: -LOT}
    assert desk.latches is not None
    desk.latches.set(ACCOUNT, by="workstation kill", words="flattens")
    path = journal_path(desk.latches.folder, ACCOUNT)
    with KillJournal(path, desk.clock.wall_now) as journal:
        journal.write("begin")
        await rig.kill.look()
        assert "its own process" in (await desk.place(order(Side.BUY))).message
        journal.write("end", "done after 1.0 s")
    await rig.kill.look()
    assert desk.ear.heard("done after 1.0 s")
    assert (await desk.place(order(Side.BUY))).accepted


async def test_the_last_look_of_the_road_withholds(rig: Rig) -> None:
    """The latch comes when the budget is taken and the request is on its way to the socket: nothing is sent."""
    desk = rig.desk
    desk.broker.close_gate(Call.ORDERS)
    taken = desk.executor._sender._launch

    def launch(command: object) -> None:
        assert desk.latches is not None
        desk.latches.set(ACCOUNT, by="workstation kill", words="flattens")
        taken(command)  # type: ignore[arg-type]

    desk.executor._sender._launch = launch  # type: ignore[method-assign]
    receipt = await desk.place(buy())
    await desk.clock.advance(1)
    assert not desk.broker.posts
    assert rig.state(receipt) is OrderState.NOT_SENT
    assert desk.executor.snapshot().budget.minute_used == 0


async def test_the_kill_switch_flattens_what_is_named(rig: Rig) -> None:
    """One strategy by its number; everything without one; with the lock it needs unlocking."""
    await rig.kill.kill(KillSwitch(strategy=rig.desk.strategy), "terminal")
    assert rig.flattened[0].target.scope is ExitScope.STRATEGY
    await rig.kill.kill(KillSwitch(lock=True), "terminal")
    assert rig.flattened[1].target.scope is ExitScope.ACCOUNT
    assert [view.kind for view in rig.kill.views()] == [LockKind.KILL, LockKind.HOLD]


async def test_unlocking_needs_a_wait_and_the_phrase(rig: Rig) -> None:
    """Asking starts the wait; the wrong phrase says the right one; the right one counts after the wait only."""
    await rig.kill.kill(KillSwitch(lock=True), "terminal")
    asked = await rig.kill.unlock(Unlock(phrase=""), "terminal")
    assert not asked.accepted
    assert '"unlock AB1234"' in asked.message
    assert not (await rig.kill.unlock(Unlock(phrase="unlock AB1234"), "terminal")).accepted
    await rig.desk.clock.advance(31)
    assert not (await rig.kill.unlock(Unlock(phrase="yes"), "terminal")).accepted
    assert (await rig.kill.unlock(Unlock(phrase="unlock AB1234"), "terminal")).accepted
    assert LockKind.KILL not in {view.kind for view in rig.kill.views()}
    assert b'"unlock"' in rig.locks.journal.read_bytes()


async def test_the_daily_loss_lock_falls_and_takes_entries_back(rig: Rig) -> None:
    """Judged on the exit money; the entry that rests is cancelled, a new one refused; blind is said, not locked."""
    entry = await rig.desk.resting(buy())
    rig.figures = DayFigures(low=None, high=Decimal(5))
    await rig.kill.look()
    assert "BLIND" in rig.kill.blind
    assert rig.kill.views() == ()
    rig.figures = DayFigures(low=Decimal(-1200), high=Decimal(-1200))
    await rig.kill.look()
    await rig.desk.clock.advance(2)
    assert rig.desk.order(entry).state is OrderState.CANCELLED
    assert [view.kind for view in rig.kill.views()] == [LockKind.DAILY_LOSS]
    assert not (await rig.desk.place(buy())).accepted
    assert rig.desk.ear.heard("LOCKED: daily loss")


async def test_a_restart_stays_locked(rig: Rig) -> None:
    """The hold of one engine is the hold of the next."""
    await rig.kill.hold("terminal")
    await rig.desk.restart()
    assert not (await rig.desk.place(buy())).accepted
    assert rig.desk.latches is not None
    assert LatchWatch(rig.desk.latches, ACCOUNT).look() is None
