"""A small engine of two accounts: what belongs to one says so, and every figure of the first is known by its name."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from engine.core.execution import ExecutionHealth
from engine.core.identifiers import AccountId, StrategyNumber
from engine.core.operations import OperationsView
from engine.core.positions import BrokerPosition, Funds
from engine.core.strategies import Strategy
from engine.core.views import AccountView, Check, DeskView, DoctorView
from engine.core.vocabulary import Product
from tests.kit.plain_engine import ACCOUNT, LOT_SIZE, MARKET_TIME, PlainEngine

SECOND = AccountId("ZZ9999")
FIRST_MAIN, SECOND_MAIN = StrategyNumber(1), StrategyNumber(2)


class TwoAccountEngine(PlainEngine):
    """Accounts ``ACCOUNT`` and ``SECOND``, each with a strategy called main."""

    def __init__(self) -> None:
        super().__init__()
        self.analysed = frozenset({FIRST_MAIN, SECOND_MAIN})
        self._strategies = [
            Strategy(number=number, account=account, name="main", is_default=True, created_at=MARKET_TIME)
            for number, account in ((FIRST_MAIN, ACCOUNT), (SECOND_MAIN, SECOND))
        ]

    def desk(self) -> DeskView:
        """See ``EngineClient``."""
        desk = super().desk()
        accounts = tuple(self._account(desk, account) for account in (ACCOUNT, SECOND))
        words = tuple(text for view in accounts for text in view.degraded)
        status = msgspec.structs.replace(
            desk.status, accounts=accounts, degraded=("The feed is late.", *words), unknown_orders=2
        )
        positions = tuple(row for account in (ACCOUNT, SECOND) for row in self._held(account))
        return msgspec.structs.replace(desk, status=status, positions=positions)

    async def positions(self, account: AccountId | None = None) -> tuple[BrokerPosition, ...]:
        """See ``EngineClient``."""
        return tuple(row for one in (ACCOUNT, SECOND) if account in {None, one} for row in self._held(one))

    async def funds(self, account: AccountId | None = None) -> Funds:
        """See ``EngineClient``."""
        return msgspec.structs.replace(await super().funds(), account=account or ACCOUNT)

    async def execution_health(self) -> tuple[ExecutionHealth, ...]:
        """See ``EngineClient``."""
        (health,) = await super().execution_health()
        return tuple(msgspec.structs.replace(health, account=account, degraded=()) for account in (ACCOUNT, SECOND))

    async def operations(self) -> OperationsView:
        """See ``EngineClient``."""
        view = await super().operations()
        accounts = tuple(
            msgspec.structs.replace(view.accounts[0], account=account, name=f"of {account}")
            for account in (ACCOUNT, SECOND)
        )
        return msgspec.structs.replace(view, accounts=accounts, degraded=self.desk().status.degraded)

    async def doctor(self) -> DoctorView:
        """See ``EngineClient``."""
        view = await super().doctor()
        own = [
            Check(name="funds", outcome="ok", message=f"{account}: 900 free", account=account)
            for account in (ACCOUNT, SECOND)
        ]
        said = Check(name="service", outcome="note", message=f"LOGIN NEEDED: the session of {ACCOUNT} is over")
        return msgspec.structs.replace(view, checks=(*view.checks, *own, said))

    def _held(self, account: AccountId) -> tuple[BrokerPosition, ...]:
        """One contract each, more of it for the first."""
        first = self.instruments[0]
        units = 2 * LOT_SIZE if account == ACCOUNT else LOT_SIZE
        position = BrokerPosition(
            instrument=first.key,
            token=first.token,
            product=Product.NRML,
            signed_quantity=units,
            average_price=Decimal("100.05"),
            overnight_quantity=0,
            multiplier=Decimal(1),
            value=Decimal("-100.05") * units,
            account=account,
        )
        return (position,)

    def _account(self, desk: DeskView, account: AccountId) -> AccountView:
        status = desk.status
        return AccountView(
            account=account,
            name=f"Holder of {account}",
            writer=True,
            budget=status.budget,
            day_profit=status.day_profit,
            day_profit_partial=status.day_profit_partial,
            day_net=status.day_net,
            funds=None,
            unknown_orders=1,
            working_orders=sum(record.state.is_working and record.account == account for record in desk.orders),
            degraded=(f"{account}: funds could not be read.",),
        )
