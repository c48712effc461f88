"""Reads over several accounts: who is asked, who is not, and what is remembered of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from engine.brokers.routing import FAILING, LIMITED, LOGIN_NEEDED, OK, ReadAccount, RoutedReads
from engine.core.accounts import Profile
from engine.core.bars import BarInterval, HistoricalBars
from engine.core.errors import BrokerError, BrokerRejected, BrokerUnavailable, InvalidInput, RateLimited, SessionExpired
from engine.core.funds_margin import BasketMargin
from engine.core.identifiers import AccountId, InstrumentKey
from engine.core.instruments import Instrument
from engine.core.orders import BrokerOrder, OrderRequest, Trade
from engine.core.positions import BrokerPosition, Funds
from engine.core.quotes import Quote
from engine.core.standing_triggers import Gtt
from engine.core.vocabulary import Exchange

NOW = datetime(2026, 11, 19, 5, 0, tzinfo=UTC)


class Road:
    """One account's reads: answers with its own name, counts, and fails as long as it is told to."""

    def __init__(self, name: str) -> None:
        self.name = AccountId(name)
        self.trouble: BrokerError | None = None
        self.asked: Counter[str] = Counter()

    def _ask(self, what: str) -> None:
        self.asked[what] += 1
        if self.trouble is not None:
            raise self.trouble

    async def profile(self) -> Profile:
        self._ask("profile")
        return Profile(account_id=self.name, name=self.name)

    async def orders(self) -> tuple[BrokerOrder, ...]:
        self._ask("orders")
        return ()

    async def trades(self) -> tuple[Trade, ...]:
        self._ask("trades")
        return ()

    async def positions(self) -> tuple[BrokerPosition, ...]:
        self._ask("positions")
        return ()

    async def funds(self) -> Funds:
        self._ask("funds")
        return Funds(net=Decimal(1), cash=Decimal(1), used=Decimal(0))

    async def order_margins(self, requests: Sequence[OrderRequest]) -> tuple[Decimal, ...]:
        self._ask("order_margins")
        return ()

    async def basket_margins(
        self, requests: Sequence[OrderRequest], *, consider_positions: bool = True
    ) -> BasketMargin:
        self._ask("basket_margins")
        del requests, consider_positions
        return BasketMargin(initial=Decimal(2), final=Decimal(1), orders=())

    async def gtts(self) -> tuple[Gtt, ...]:
        self._ask("gtts")
        return ()

    async def instruments(self, exchange: Exchange | None = None) -> tuple[Instrument, ...]:
        self._ask("instruments")
        return ()

    async def quotes(self, keys: Sequence[InstrumentKey]) -> dict[InstrumentKey, Quote]:
        self._ask("quotes")
        return {}

    async def history(self, token: int, interval: BarInterval, start: datetime, end: datetime) -> HistoricalBars:
        self._ask("history")
        return HistoricalBars(interval=interval, bars=())


class Desk:
    """Three accounts on a clock of the test's."""

    def __init__(self) -> None:
        self.now = 100.0
        self.roads = [Road("AB1234"), Road("CD5678"), Road("EF9012")]
        accounts = [
            ReadAccount(
                road.name,
                name=road.name,
                reads=road,
                roles=("reads",),
                token_until=lambda: NOW,
                monotonic=lambda: self.now,
            )
            for road in self.roads
        ]
        self.accounts = accounts
        self.reads = RoutedReads(accounts[0], accounts[1:])

    def counts(self, what: str) -> list[int]:
        """How often each account was asked."""
        return [road.asked[what] for road in self.roads]

    def states(self) -> list[str]:
        """How each account is."""
        return [item.state for item in self.reads.health()]


SHARED: dict[str, Callable[[RoutedReads], Awaitable[object]]] = {
    "instruments": lambda reads: reads.instruments(),
    "quotes": lambda reads: reads.quotes([]),
    "history": lambda reads: reads.history(1, BarInterval.MINUTE, NOW, NOW),
}
OWN: dict[str, Callable[[RoutedReads], Awaitable[object]]] = {
    "profile": lambda reads: reads.profile(),
    "orders": lambda reads: reads.orders(),
    "trades": lambda reads: reads.trades(),
    "positions": lambda reads: reads.positions(),
    "funds": lambda reads: reads.funds(),
    "order_margins": lambda reads: reads.order_margins([]),
    "basket_margins": lambda reads: reads.basket_margins([]),
    "gtts": lambda reads: reads.gtts(),
}


@pytest.mark.parametrize("what", SHARED)
async def test_what_is_the_same_for_everybody_goes_round(what: str) -> None:
    """Nine questions to three accounts are three each."""
    desk = Desk()
    for _ in range(9):
        await SHARED[what](desk.reads)
    assert desk.counts(what) == [3, 3, 3]


@pytest.mark.parametrize("what", OWN)
@pytest.mark.parametrize("trouble", [RateLimited("slow"), SessionExpired("over"), BrokerUnavailable("gone")])
async def test_what_belongs_to_an_account_is_never_read_through_another(what: str, trouble: BrokerError) -> None:
    """Another account's book, money or positions taken for one's own would be a catastrophe."""
    desk = Desk()
    desk.roads[0].trouble = trouble
    with pytest.raises(type(trouble)):
        await OWN[what](desk.reads)
    assert desk.counts(what) == [1, 0, 0]


@pytest.mark.parametrize(("trouble", "state"), [(RateLimited("slow"), LIMITED), (SessionExpired("over"), LOGIN_NEEDED)])
async def test_another_account_takes_over_on_limits_and_lost_sessions(trouble: BrokerError, state: str) -> None:
    """The caller notices nothing; the account is passed over from then on, and its health says why."""
    desk = Desk()
    desk.roads[0].trouble = trouble
    for _ in range(6):
        await desk.reads.quotes([])
    assert desk.counts("quotes") == [1, 3, 3]
    assert desk.states() == [state, OK, OK]
    assert desk.reads.health()[0].last_error == str(trouble)


@pytest.mark.parametrize("trouble", [BrokerUnavailable("gone"), BrokerRejected("no")])
async def test_other_troubles_are_not_carried_to_another_account(trouble: BrokerError) -> None:
    """A definite no is the answer; a broker that does not answer is said, once."""
    desk = Desk()
    desk.roads[0].trouble = trouble
    with pytest.raises(type(trouble)):
        await desk.reads.quotes([])
    assert desk.counts("quotes") == [1, 0, 0]
    assert desk.states() == [FAILING, OK, OK]


async def test_when_nobody_can_answer_the_last_trouble_is_said() -> None:
    """Each account is asked once, none twice."""
    desk = Desk()
    for road in desk.roads:
        road.trouble = RateLimited("slow")
    with pytest.raises(RateLimited):
        await desk.reads.quotes([])
    assert desk.counts("quotes") == [1, 1, 1]


async def test_a_limited_account_comes_back_when_its_time_is_over() -> None:
    """After the pause the broker asked for, not before."""
    desk = Desk()
    desk.roads[0].trouble = RateLimited("slow", retry_after_s=5.0)
    await desk.reads.quotes([])
    desk.roads[0].trouble = None
    desk.now += 4.9
    for _ in range(3):
        await desk.reads.quotes([])
    assert desk.counts("quotes")[0] == 1
    desk.now += 0.2
    for _ in range(3):
        await desk.reads.quotes([])
    assert desk.counts("quotes")[0] == 2
    assert desk.states() == [OK, OK, OK]


async def test_an_account_without_a_session_comes_back_with_a_login() -> None:
    """No time heals it, and no other account's login."""
    desk = Desk()
    desk.roads[1].trouble = SessionExpired("over")
    for _ in range(3):
        await desk.reads.quotes([])
    desk.roads[1].trouble = None
    desk.now += 1e6
    assert desk.states() == [OK, LOGIN_NEEDED, OK]
    desk.accounts[1].renewed()
    assert desk.states() == [OK, OK, OK]
    assert (desk.reads.health()[1].failures, desk.reads.health()[1].token_until) == (1, NOW)


def test_one_account_is_not_named_twice() -> None:
    """It would be asked twice as often as its limits allow."""
    desk = Desk()
    with pytest.raises(InvalidInput, match="twice"):
        RoutedReads(desk.accounts[0], [desk.accounts[0]])


@pytest.mark.parametrize("what", OWN)
async def test_each_account_reads_what_is_its_own(what: str) -> None:
    """The second account's own things come through the second account, whatever became of the first."""
    desk = Desk()
    desk.roads[0].trouble = SessionExpired("over")
    await OWN[what](desk.reads.of(desk.accounts[1].account))
    assert desk.counts(what) == [0, 1, 0]
    desk.roads[1].trouble = RateLimited("slow")
    with pytest.raises(RateLimited):
        await OWN[what](desk.reads.of(desk.accounts[1].account))
    assert desk.counts(what) == [0, 2, 0]


async def test_all_accounts_share_their_turns() -> None:
    """What is the same for everybody goes round over every account's view alike."""
    desk = Desk()
    views = [desk.reads.of(account.account) for account in desk.accounts]
    for _ in range(3):
        for view in views:
            await view.quotes([])
    assert desk.counts("quotes") == [3, 3, 3]


async def test_an_account_without_the_role_reads_serves_nobody_else() -> None:
    """Its health is shown and its own things are read; quotes go through the others."""
    desk = Desk()
    desk.accounts[2].roles = ("orders",)
    reads = RoutedReads(desk.accounts[0], desk.accounts[1:])
    for _ in range(4):
        await reads.quotes([])
    assert desk.counts("quotes") == [2, 2, 0]
    await reads.of(desk.accounts[2].account).funds()
    assert desk.counts("funds") == [0, 0, 1]
    assert len(reads.health()) == 3


def test_an_account_that_is_not_there_has_no_reads() -> None:
    """It is a mistake of set-up, and said at once."""
    with pytest.raises(InvalidInput, match="ZZ9999"):
        Desk().reads.of(AccountId("ZZ9999"))
