"""The process that flattens by itself, against a broker in memory: flat, once, shorts first, stops last."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

import pytest

from engine.core.commands import OrderChange
from engine.core.errors import BrokerUnavailable, SessionExpired
from engine.core.identifiers import BrokerOrderId, InstrumentKey, OrderTag
from engine.core.orders import OrderRequest
from engine.core.ports import LastLook
from engine.core.quotes import DepthLevel, Quote
from engine.core.standing_triggers import GttKind, GttOrder, GttRequest, GttStatus
from engine.core.vocabulary import OrderType, Product, QuoteState, Side, Variety
from engine.execution.kill_journal import KILL_TAG_PREFIX, KillJournal, read_last_kill
from engine.execution.kill_process import KillRun
from engine.execution.kill_report import KillReport
from engine.execution.kill_round import ContractFacts
from engine.execution.settings import KillSettings
from tests.kit.fake_broker import LOT, Call, FakeBroker, Fault, option
from tests.unit.execution.desk import ACCOUNT, ManualClock, settle

SHORT = option(24_000).key
WING = option(24_500).key
ASK, BID = Decimal("100.50"), Decimal("99.50")
STEP_S = 0.25
PATIENCE_S = 400.0


class Pit(FakeBroker):
    """A broker with a market: orders that cross fill, a part at a time if told so."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(ACCOUNT, clock)
        self.depth = 10_000
        """Units that one order, or one new price, finds."""
        self.ask: dict[InstrumentKey, Decimal] = {}
        self.placed: list[tuple[InstrumentKey, Side, int]] = []
        self.describes = 0

    def leave(self, request: OrderRequest) -> BrokerOrderId:
        """Somebody else's order rests from now on."""
        return self._accept(request, OrderTag("WSSOMEBODY")).order_id

    async def quotes(self, keys: Sequence[InstrumentKey]) -> dict[InstrumentKey, Quote]:
        return {
            key: Quote(
                token=1,
                state=QuoteState.LIVE,
                last=Decimal(100),
                bids=(DepthLevel(BID, self.depth, 1),),
                asks=(DepthLevel(self.ask.get(key, ASK), self.depth, 1),),
            )
            for key in keys
        }

    async def place_order(
        self, request: OrderRequest, tag: OrderTag, *, last_look: LastLook | None = None
    ) -> BrokerOrderId:
        self.placed.append((request.instrument, request.side, request.quantity))
        try:
            return await super().place_order(request, tag, last_look=last_look)
        finally:
            self._match()

    async def modify_order(
        self,
        order_id: BrokerOrderId,
        variety: Variety,
        request: OrderRequest,
        change: OrderChange,
        *,
        last_look: LastLook | None = None,
    ) -> BrokerOrderId:
        found = await super().modify_order(order_id, variety, request, change, last_look=last_look)
        self._match(order_id)
        return found

    async def describe(self, keys: Sequence[InstrumentKey]) -> dict[InstrumentKey, ContractFacts]:
        """Lots of 65, at most two of them in one order."""
        self.describes += 1
        facts = ContractFacts(underlying="NIFTY", tick=Decimal("0.05"), order_max=2 * LOT)
        return dict.fromkeys(keys, facts)

    def _match(self, only: BrokerOrderId | None = None) -> None:
        for order in list(self.orders_by_id.values()):
            is_ours = order.tag is not None and order.tag.startswith(KILL_TAG_PREFIX)
            is_new = not order.filled if only is None else order.order_id == only
            if not self.depth or order.status != "OPEN" or not is_ours or not is_new:
                continue
            touch = self.ask.get(order.request.instrument, ASK) if order.request.side is Side.BUY else BID
            price = order.price or touch
            if (price - touch) * order.request.side.sign >= 0:
                self.fill(order.order_id, min(self.depth, order.quantity - order.filled), touch)

    def net(self) -> dict[tuple[InstrumentKey, Product], int]:
        """What is held now."""
        net = dict(self.held)
        for fill in self.fills:
            key = (fill.instrument, fill.product)
            net[key] = net.get(key, 0) + fill.signed_quantity
        return {key: quantity for key, quantity in net.items() if quantity}


class Rig:
    """One kill against one pit."""

    def __init__(self, folder: Path, settings: KillSettings | None = None) -> None:
        self.clock = ManualClock()
        self.pit = Pit(self.clock)
        self.path = folder / "AB1234.journal"
        self.settings = settings or KillSettings()
        self.said: list[str] = []
        self._numbers = itertools.count(1)

    async def kill(self, *, flatten: bool = True) -> KillReport:
        """Run it to its end, time moving as it waits."""
        with KillJournal(self.path, self.clock.wall_now) as journal:
            run = KillRun(
                ACCOUNT,
                road=self.pit,
                reads=self.pit,
                describe=self.pit.describe,
                journal=journal,
                settings=self.settings,
                clock=self.clock,
                random_bytes=lambda length: next(self._numbers).to_bytes(length, "big"),
                flatten=flatten,
                say=self.said.append,
            )
            task = asyncio.ensure_future(run.run())
            while not task.done():
                assert self.clock.elapsed < PATIENCE_S, self.said
                await self.clock.advance(STEP_S)
            return await task


def limit(key: InstrumentKey, side: Side, *, stop: bool = False) -> OrderRequest:
    """An order of somebody else."""
    return OrderRequest(
        instrument=key,
        side=side,
        quantity=LOT,
        order_type=OrderType.SL if stop else OrderType.LIMIT,
        price=Decimal(150),
        trigger_price=Decimal(149) if stop else None,
    )


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    """A short of five lots with its stop, and a long wing of five."""
    made = Rig(tmp_path)
    made.pit.held = {(SHORT, Product.NRML): -5 * LOT, (WING, Product.NRML): 5 * LOT}
    return made


async def test_flat_with_slices_shorts_first_and_stops_last(rig: Rig) -> None:
    """Entries are cancelled before anything trades; the short goes in freeze slices, then the wing, then the stop."""
    stop = rig.pit.leave(limit(SHORT, Side.BUY, stop=True))
    entry = rig.pit.leave(limit(WING, Side.BUY))
    report = await rig.kill()
    assert report.is_done
    assert rig.pit.net() == {}
    assert {order.status for order in rig.pit.orders_by_id.values()} == {"CANCELLED", "COMPLETE"}
    bought = [quantity for key, side, quantity in rig.pit.placed if side is Side.BUY and key == SHORT]
    assert bought == [2 * LOT, 2 * LOT, LOT]
    sides = [side for _, side, _ in rig.pit.placed]
    assert sides == [Side.BUY] * 3 + [Side.SELL] * 3
    calls = [subject for call, subject in rig.pit.sequence if call is Call.CANCEL]
    assert calls == [entry, stop]
    last_buy = max(place for place, (call, _) in enumerate(rig.pit.sequence) if call is Call.PLACE and place < 5)
    assert rig.pit.sequence.index((Call.CANCEL, stop)) > last_buy
    legs = {leg.instrument: leg for leg in report.legs}
    assert legs[SHORT].slippage == 0
    assert legs[SHORT].average_price == ASK
    assert legs[WING].flat_s is not None


async def test_residuals_follow_the_market_until_flat(rig: Rig) -> None:
    """A thin book gives a lot at a time: new prices, never a second order for the same units."""
    rig.pit.depth = LOT
    rig.pit.held = {(SHORT, Product.NRML): -2 * LOT}
    report = await rig.kill()
    assert report.is_done
    assert rig.pit.net() == {}
    assert rig.pit.placed == [(SHORT, Side.BUY, 2 * LOT)]
    assert Call.MODIFY in {call for call, _ in rig.pit.sequence}


async def test_a_lost_answer_is_looked_up_and_never_sent_again(rig: Rig) -> None:
    """The order was made, the answer lost: found by its tag, one order, flat."""
    rig.pit.held = {(SHORT, Product.NRML): -LOT}
    rig.pit.arm(Call.PLACE, Fault.LOSE_ANSWER)
    report = await rig.kill()
    assert report.is_done
    assert report.is_sure
    assert set(rig.pit.posts.values()) == {1}
    assert len(rig.pit.accepted) == 1


async def test_an_order_that_was_never_made_is_presumed_absent_after_the_window(rig: Rig) -> None:
    """It counts as filled for the whole window; then what is held decides, with a new tag, and the report says so."""
    rig.pit.held = {(SHORT, Product.NRML): -LOT}
    rig.pit.arm(Call.PLACE, Fault.LOSE_REQUEST)
    report = await rig.kill()
    assert report.is_done
    assert not report.is_sure
    assert rig.pit.net() == {}
    assert list(rig.pit.posts.values()) == [1, 1]
    assert report.elapsed_s >= rig.settings.unknown_window_s


async def test_a_stop_that_fires_meanwhile_is_not_doubled(rig: Rig) -> None:
    """The broker's stop buys the short back while ours works: ours is cancelled, or what is too much is taken back."""
    rig.pit.held = {(SHORT, Product.NRML): -LOT}
    stop = rig.pit.leave(limit(SHORT, Side.BUY, stop=True))
    rig.pit.depth = 0  # nobody sells to us
    killing = asyncio.ensure_future(rig.kill())
    while not rig.pit.placed:
        await settle()
    await rig.clock.advance(0.5)
    rig.pit.set_status(stop, "OPEN")
    rig.pit.fill(stop)
    report = await killing
    assert report.is_done
    assert rig.pit.net() == {}
    assert len(rig.pit.placed) == 1


async def test_what_the_broker_refuses_is_tried_otherwise(rig: Rig) -> None:
    """A limit outside the band is refused: the market order with the broker's own protection goes."""
    rig.pit.held = {(SHORT, Product.NRML): -LOT}
    rig.pit.arm(Call.PLACE, Fault.REFUSE, Fault.TOO_FAST)
    report = await rig.kill()
    assert report.is_done
    kinds = [order.request.order_type for order in rig.pit.orders_by_id.values()]
    assert kinds
    assert rig.pit.net() == {}


async def test_without_flattening_only_entries_go(rig: Rig) -> None:
    """Stops and exits of what is held rest on, and nothing is traded."""
    stop = rig.pit.leave(limit(SHORT, Side.BUY, stop=True))
    leave = rig.pit.leave(limit(SHORT, Side.BUY))
    entry = rig.pit.leave(limit(SHORT, Side.SELL))
    report = await rig.kill(flatten=False)
    assert report.is_done
    assert (report.cancelled, report.kept) == (1, 2)
    assert rig.pit.orders_by_id[entry].status == "CANCELLED"
    assert {rig.pit.orders_by_id[stop].status, rig.pit.orders_by_id[leave].status} == {"TRIGGER PENDING", "OPEN"}
    assert rig.pit.placed == []


async def test_standing_triggers_go_when_all_is_flat(rig: Rig) -> None:
    """A trigger that outlived its position could only open one."""
    request = GttRequest(
        instrument=SHORT,
        kind=GttKind.SINGLE,
        orders=(GttOrder(trigger_price=Decimal(150), side=Side.BUY, quantity=LOT, price=Decimal(151)),),
    )
    number = rig.pit.leave_trigger(request)
    report = await rig.kill()
    assert report.triggers == 0
    assert rig.pit.triggers[number].status is GttStatus.DELETED
    place = rig.pit.sequence.index((Call.DELETE_GTT, str(number)))
    assert place == len(rig.pit.sequence) - 1


async def test_reads_that_fail_are_tried_until_they_come(rig: Rig) -> None:
    """An outage of seconds delays it; nothing is sent blindly meanwhile."""
    rig.pit.break_reads(BrokerUnavailable("gone"), Call.ORDERS)
    killing = asyncio.ensure_future(rig.kill())
    await settle()
    assert not rig.pit.sequence
    rig.pit.heal()
    report = await killing
    assert report.is_done


async def test_an_ended_session_is_said_and_ends_it(rig: Rig) -> None:
    """Without a login nothing can be done, and nobody waits five minutes to hear it."""
    rig.pit.break_reads(SessionExpired("log in again"), Call.ORDERS)
    with pytest.raises(SessionExpired):
        await rig.kill()


async def test_what_cannot_be_done_in_time_is_named(rig: Rig) -> None:
    """Nobody sells: it gives up, says what is left, and the wing was never sold from under the short."""
    rig.settings = KillSettings(give_up_s=20.0)
    rig.pit.depth = 0
    report = await rig.kill()
    assert not report.is_done
    assert SHORT.tradingsymbol in report.words
    assert {key for key, _, _ in rig.pit.placed} == {SHORT}


async def test_every_order_is_in_the_journal_before_it_is_sent(rig: Rig) -> None:
    """The last kill can be read back: every tag that reached the broker stands in it."""
    await rig.kill()
    lines = read_last_kill(rig.path)
    assert lines[0].what == "begin"
    assert lines[-1].what == "end"
    assert {line.tag for line in lines if line.what == "place"} == set(rig.pit.posts)


async def test_the_pace_is_kept(rig: Rig) -> None:
    """However much there is to do, no second sees more requests than the setting."""
    rig.pit.held = {(option(24_000 + 50 * step).key, Product.NRML): -10 * LOT for step in range(6)}
    moments: list[float] = []
    arrive = rig.pit._arrive

    async def counted(call: Call, subject: str) -> Fault | None:
        moments.append(rig.clock.monotonic())
        return await arrive(call, subject)

    rig.pit._arrive = counted  # type: ignore[method-assign]
    report = await rig.kill()
    assert report.is_done
    assert len(moments) >= 30
    for start in moments:
        assert sum(start <= moment < start + 1.0 for moment in moments) <= rig.settings.per_second
