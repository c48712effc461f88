"""The made-up engine of the screens with four accounts: each has a strategy, an order, and one thing of every kind."""

from __future__ import annotations

from decimal import Decimal
from typing import cast

import msgspec

from engine.core.commands import Interpretation, PlaceOrder
from engine.core.execution import ExecutionHealth
from engine.core.identifiers import AccountId, StrategyNumber
from engine.core.orders import OrderRequest, OrderState
from engine.core.plans import PlanNumber
from engine.core.strategies import Strategy
from engine.core.views import AccountView, DeskView
from engine.core.vocabulary import InstrumentKind, Mark, Side, Venue
from engine.language.parser import interpret
from engine.language.resolver import Resolver
from tests.kit.fake_engine import FakeEngineClient
from tests.kit.fake_market import FixedClock
from tests.kit.fake_orders import dead_letter, difference, exit_plan, trigger

ACCOUNTS = tuple(AccountId(f"PR000{number}") for number in range(1, 5))
ONE, TWO, THREE, FOUR = ACCOUNTS
STRIKE = 24_400


class FourAccountsEngine(FakeEngineClient):
    """Its own book is spread over the accounts: strategies by turns, orders with their strategy's number."""

    def __init__(self, clock: FixedClock) -> None:
        super().__init__(clock)
        self.venue, self.venue_note = Venue.PRACTICE, "seed 7 from 14 Jan"
        mains = [
            Strategy(
                number=StrategyNumber(11 + place),
                account=account,
                name="main",
                is_default=True,
                created_at=clock.market_now(),
            )
            for place, account in enumerate(ACCOUNTS[1:])
        ]
        first = [msgspec.structs.replace(strategy, account=ONE) for strategy in self.strategy_list]
        self.strategy_list[:] = [*first, *mains]
        self.order_list[:] = [msgspec.structs.replace(order, account=ONE) for order in self.order_list]
        option = self.option("NIFTY", 0, STRIKE, InstrumentKind.PUT)
        for place, account in enumerate(ACCOUNTS[1:], start=1):
            number = 10 + place
            self.legs[number] = [
                self.leg(number, 1, option.token, -place * option.lot_size, Decimal("150.25")),
            ]
            request = OrderRequest(
                instrument=option.key,
                side=Side.BUY,
                quantity=place * option.lot_size,
                price=Decimal("120.05"),
                strategy=StrategyNumber(number),
            )
            self.add_order(request, OrderState.OPEN, account=account)
        now = clock.market_now()
        self.worked = tuple(
            msgspec.structs.replace(
                view := exit_plan(now, number=20 + place),
                record=msgspec.structs.replace(view.record, number=PlanNumber(20 + place), account=account),
            )
            for place, account in enumerate(ACCOUNTS)
        )
        self.letters = tuple(
            msgspec.structs.replace(dead_letter(now, 50 + place), account=account)
            for place, account in enumerate(ACCOUNTS)
        )
        self.standing = tuple(
            msgspec.structs.replace(trigger(now, 7001 + place), account=account)
            for place, account in enumerate(ACCOUNTS)
        )
        self.differences = tuple(
            msgspec.structs.replace(difference(now), account=account, mismatch_id=f"m{place}")
            for place, account in enumerate(ACCOUNTS)
        )
        self.asked_for: list[AccountId | None] = []
        """The accounts that sentences were read for."""
        self.touch()

    async def interpret(self, text: str, account: AccountId | None = None) -> Interpretation:
        """See ``EngineClient``: for an account the command names it."""
        self.asked_for.append(account)
        if text.startswith("account"):
            return interpret(text, cast("Resolver", None))  # that sentence asks nothing of the world
        found = await super().interpret(text)
        command = found.command
        if account is not None and isinstance(command, PlaceOrder):
            return msgspec.structs.replace(found, command=msgspec.structs.replace(command, account=account))
        return found

    def desk(self) -> DeskView:
        """See ``EngineClient``."""
        whole = super().desk()
        accounts = tuple(self._account(whole, place, account) for place, account in enumerate(ACCOUNTS))
        status = msgspec.structs.replace(
            whole.status, account=ONE, account_name="Asha", accounts=accounts, day_profit=accounts[0].day_profit
        )
        return msgspec.structs.replace(whole, status=status)

    async def execution_health(self) -> tuple[ExecutionHealth, ...]:
        """See ``EngineClient``."""
        (health,) = await super().execution_health()
        return tuple(
            msgspec.structs.replace(health, account=account, working=place) for place, account in enumerate(ACCOUNTS)
        )

    def _account(self, desk: DeskView, place: int, account: AccountId) -> AccountView:
        values = [value for value in desk.strategies if value.strategy.account == account]
        return AccountView(
            account=account,
            name=("Asha", "Bimal", "Chitra", "Dev")[place],
            writer=True,
            budget=msgspec.structs.replace(desk.status.budget, day_used=100 * place + 41),
            day_profit={mark: sum((value.profit[mark] for value in values), Decimal(0)) for mark in Mark},
            day_profit_partial=dict.fromkeys(Mark, ()),
            day_net={},
            funds=None,
            unknown_orders=0,
            working_orders=1,
            degraded=(),
        )
