"""Whose a row and a command are, and what is left of a desk when one account is looked at alone."""

from __future__ import annotations

import msgspec
import pytest

from engine.core.commands import (
    CancelOrders,
    Command,
    ExitPositions,
    KillSwitch,
    ModifyOrder,
    OrderChange,
    PlaceBasket,
    PlaceOrder,
    Reconcile,
)
from engine.core.identifiers import AccountId, OrderNumber, StrategyNumber
from engine.core.plans import ExitScope, ExitTarget
from engine.core.views import DeskView
from tests.kit.fake_engine import FakeEngineClient
from tests.kit.fake_market import FixedClock
from tests.kit.four_accounts_desk import ACCOUNTS, ONE, THREE, TWO, FourAccountsEngine
from workstation.presenters.accounts import column_of, desk_of, headed, names_rows, whose, whose_words


@pytest.fixture
def desk() -> DeskView:
    """Four accounts; strategies 11, 12 and 13 are those of the second, third and fourth."""
    return FourAccountsEngine(FixedClock()).desk()


def commands(desk: DeskView) -> list[tuple[Command, AccountId | None]]:
    """Commands and whose they are."""
    of_two = next(order for order in desk.orders if order.account == TWO)
    plain = msgspec.structs.replace(of_two.request, strategy=None)
    of_three = msgspec.structs.replace(plain, strategy=StrategyNumber(12))
    return [
        (PlaceOrder(request=plain), ONE),
        (PlaceOrder(request=plain, account=TWO), TWO),
        (PlaceOrder(request=of_three), THREE),
        (PlaceBasket(legs=(plain, of_three)), THREE),
        (ModifyOrder(number=of_two.number, change=OrderChange(quantity=65)), TWO),
        (ModifyOrder(number=OrderNumber(999), change=OrderChange(quantity=65)), None),
        (CancelOrders(numbers=(of_two.number,)), TWO),
        (CancelOrders(numbers=tuple(order.number for order in desk.orders)), None),
        (CancelOrders(everything=True), None),
        (CancelOrders(everything=True, account=TWO), TWO),
        (ExitPositions(target=ExitTarget(scope=ExitScope.STRATEGY, strategy=StrategyNumber(12))), THREE),
        (ExitPositions(target=ExitTarget(scope=ExitScope.ACCOUNT), everything=True), None),
        (KillSwitch(), None),
        (Reconcile(account=THREE), THREE),
    ]


def test_a_review_names_the_account_that_a_command_is_for(desk: DeskView) -> None:
    """By its account, its order, its strategy; the first one's where the engine would take that; none for all."""
    for command, account in commands(desk):
        assert whose(command, desk) == account, command
    assert whose_words(desk.status, TWO) == f"Bimal {TWO}"
    assert whose_words(desk.status, None) == "4 accounts"


def test_one_account_alone_keeps_what_calls_a_person(desk: DeskView) -> None:
    """Rows and money are its own; events, alarms and unknown orders stay those of all."""
    alarmed = msgspec.structs.replace(
        desk, status=msgspec.structs.replace(desk.status, unknown_orders=3, degraded=("The feed is late.",))
    )
    seen = desk_of(alarmed, TWO)
    assert seen is not None
    assert {order.account for order in seen.orders} == {value.strategy.account for value in seen.strategies} == {TWO}
    assert (seen.status.account, seen.status.account_name) == (TWO, "Bimal")
    assert seen.status.budget == desk.status.accounts[1].budget
    assert (seen.status.unknown_orders, seen.status.degraded) == (3, ("The feed is late.",))
    assert seen.events == alarmed.events
    assert desk_of(alarmed, None) is alarmed
    assert desk_of(alarmed, AccountId("GONE")) is alarmed


def test_with_one_account_no_row_says_whose_it_is(desk: DeskView) -> None:
    """No column, and the very same lines; with several a column wide enough for every name."""
    single = FakeEngineClient(FixedClock()).desk()
    assert not names_rows(single.status, None)
    assert column_of(ACCOUNTS, named=False) == 0
    line = (("row", ""),)
    assert headed(line, 0, "x") is line
    assert names_rows(desk.status, None)
    assert not names_rows(desk.status, TWO)
    width = column_of(ACCOUNTS, named=True)
    assert headed(line, width, TWO)[0] == (f" {TWO} ", "muted")
