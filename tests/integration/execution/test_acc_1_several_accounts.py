"""ACC-1 for orders: four accounts in one engine, each with its own orders, budget, breaker, ledger and writer lock."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import cast

import msgspec
import pytest
import pytest_asyncio

from engine.client import EngineClient
from engine.core.commands import (
    CancelOrders,
    CreateStrategy,
    ExitPositions,
    HoldRisk,
    KillSwitch,
    MakePlan,
    ModifyOrder,
    MoveQuantity,
    OrderChange,
    Reconcile,
    ReleaseHold,
)
from engine.core.errors import BrokerError, Forbidden, InvalidInput
from engine.core.identifiers import AccountId, OrderNumber
from engine.core.orders import OrderState
from engine.core.plans import AtTime, ExitScope, ExitTarget
from engine.execution.breaker import Endpoint
from engine.server.own_engine import OwnEngine
from engine.server.remote_client import RemoteClient
from storage.databases import ensure_database, with_database
from storage.embedded import EmbeddedPostgres
from storage.writer_lock import PostgresWriterLock
from tests.integration.commands.console import new_console
from tests.kit.database import TEMPLATE
from tests.kit.desk_host import BROKER_POLL_S, Desk, Exchange, comes_to, eventually, new_desk, record_of, until
from tests.kit.several_accounts import (
    ACCOUNTS,
    FOUR,
    ONE,
    THREE,
    TWO,
    all_reconciled,
    an_option,
    books,
    main_of,
    number_of_main,
    placed,
    states_of,
    tags_at,
    with_four_accounts,
)
from workstation.assembly import Host

pytestmark = pytest.mark.asyncio(loop_scope="module")
FLOOD = 30
GONE = "error_503"
RESTING = "buy 1L nifty atm ce w0 @ bid-5"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def host(postgres_server: EmbeddedPostgres) -> AsyncIterator[Host]:
    """One engine with four accounts for the tests that leave it as they found it."""
    with new_desk(postgres_server, "four accounts") as made:
        async with with_four_accounts(made).opened() as opened:
            await all_reconciled(opened)
            yield opened


async def test_acc_1_each_order_goes_to_the_account_that_it_names(host: Host) -> None:
    """At the exchange each account's book holds its own orders and no other; without a name it is the first one's."""
    client = host.client
    _, request = await an_option(host)
    made = {}
    for account in ACCOUNTS:
        receipt = await placed(client, request, account)
        assert receipt.accepted, receipt.message
        (made[account],) = receipt.orders
        assert made[account].account == account
    for account, record in made.items():
        await comes_to(client, record.number, OrderState.OPEN)
        tags = await tags_at(host.exchange.root, account)
        assert record.tag in tags
        assert not {other.tag for other in made.values() if other.account != account} & set(tags)
    unnamed = (await placed(client, request, None)).orders[0]
    assert unnamed.account == ONE
    numbers = [record.number for record in await client.orders()]
    assert numbers == sorted(numbers)
    assert len(set(numbers)) == len(numbers)


async def test_acc_1_an_account_that_is_none_of_ours_is_refused_with_the_list(host: Host) -> None:
    """Nothing is sent anywhere, and the words say what there is; the preview says the same."""
    _, request = await an_option(host)
    before = await Exchange(host.exchange.root).posts()
    receipt = await placed(host.client, request, AccountId("ZZ9999"))
    assert not receipt.accepted
    assert receipt.message == f"ZZ9999 is no account of this engine; it has {', '.join(ACCOUNTS)}."
    with pytest.raises(InvalidInput, match="ZZ9999"):
        await host.client.positions(AccountId("ZZ9999"))
    with pytest.raises(InvalidInput, match="ZZ9999"):
        await host.client.interpret("buy 1L nifty", AccountId("ZZ9999"))
    assert await Exchange(host.exchange.root).posts() == before


async def test_acc_1_commands_find_the_account_of_their_order_and_strategy(host: Host) -> None:
    """Numbers are the same over all accounts: a change, a cancel and a strategy go to their owner."""
    client, root = host.client, host.exchange.root
    _, request = await an_option(host)
    kept = (await placed(client, request, TWO)).orders[0]
    both = [(await placed(client, request, account)).orders[0] for account in (THREE, FOUR)]
    for record in (kept, *both):
        await comes_to(client, record.number, OrderState.OPEN)
    assert request.price is not None
    change = OrderChange(price=request.price + Decimal("0.05"))
    assert (await client.submit(ModifyOrder(number=kept.number, change=change))).accepted

    async def is_changed() -> bool:
        rows = await books(root)[TWO].orders()
        return any(row["tag"] == kept.tag and Decimal(str(row["price"])) == change.price for row in rows)

    await eventually(is_changed, "the changed price at the exchange", poll_s=0.3)
    receipt = await client.submit(CancelOrders(numbers=tuple(record.number for record in both)))
    assert receipt.accepted
    assert {record.account for record in receipt.orders} == {THREE, FOUR}
    for record in both:
        await comes_to(client, record.number, OrderState.CANCELLED)
    await comes_to(client, kept.number, OrderState.OPEN)

    mine = await client.submit(CreateStrategy(name="own-two", account=TWO))
    assert mine.strategy is not None
    by_strategy = await placed(client, msgspec.structs.replace(request, strategy=mine.strategy), None)
    assert [record.account for record in by_strategy.orders] == [TWO]
    await comes_to(client, by_strategy.orders[0].number, OrderState.OPEN)
    posts = await Exchange(root).posts()
    foreign = await placed(client, msgspec.structs.replace(request, strategy=mine.strategy), THREE)
    assert [violation.check for violation in foreign.violations] == ["strategy"]
    assert f"#{mine.strategy} is one of {TWO}" in foreign.message
    moved = await client.submit(
        MoveQuantity(strategy=mine.strategy, leg=1, to_strategy=await number_of_main(client, ONE))
    )
    assert f"one of {ONE}, not of {TWO}" in moved.message
    assert await Exchange(root).posts() == posts


async def test_acc_1_fills_land_in_the_ledger_of_their_account(host: Host) -> None:
    """One lot on each of two accounts: their strategies hold it, their broker's net says it, nobody else's does."""
    client = host.client
    option, request = await an_option(host)
    buy = msgspec.structs.replace(request, price=option.high)
    before = {account: sum(await _net(host, account)) for account in ACCOUNTS}
    for account in (THREE, FOUR):
        record = (await placed(client, buy, account)).orders[0]
        await comes_to(client, record.number, OrderState.COMPLETE)

    async def held(account: AccountId) -> int:
        return sum(leg.leg.holding.signed_quantity for leg in (await main_of(client, account)).legs)

    for account in (THREE, FOUR):

        async def has_it(account: AccountId = account) -> bool:
            return await held(account) == before[account] + option.lot

        await eventually(has_it, f"the fill in the ledger of {account}")
    assert sum(await _net(host, FOUR)) == before[FOUR] + option.lot
    assert await held(ONE) == before[ONE]
    fills = await client.trades()
    assert {fill.account for fill in fills} <= {THREE, FOUR}
    strategies = {value.strategy.number: value.strategy.account for value in await client.strategies()}
    assert all(fill.strategy is not None and strategies[fill.strategy] == fill.account for fill in fills)
    assert [money.account for money in [await client.funds(account) for account in ACCOUNTS]] == list(ACCOUNTS)


async def _net(host: Host, account: AccountId) -> list[int]:
    positions = await host.client.positions(account)
    assert {position.account for position in positions} <= {account}
    return [position.signed_quantity for position in positions]


async def test_acc_1_the_picture_names_every_account(host: Host) -> None:
    """Status: the first is in view, each has its figures; rows of all accounts are there, and say whose they are."""
    client = host.client
    _, request = await an_option(host)
    record = (await placed(client, request, FOUR)).orders[0]
    await until(
        lambda: record.number in {shown.number for shown in client.desk().orders},
        "the order in the picture of the desk",
    )
    status = client.desk().status
    assert status.account == ONE
    assert tuple(view.account for view in status.accounts) == ACCOUNTS
    assert all(view.writer and view.budget.day_limit for view in status.accounts)
    assert status.accounts[3].working_orders >= 1
    assert {value.strategy.account for value in client.desk().strategies} == set(ACCOUNTS)
    assert tuple(health.account for health in await client.execution_health()) == ACCOUNTS
    checks = (await client.doctor()).checks
    assert {check.account for check in checks if check.name == "writer"} == set(ACCOUNTS)

    async def roads() -> bool:
        # "Asked to wait" is an answer too: the broker's limits are shared with whatever else is asked just now.
        found = {check.account: check.outcome for check in (await client.doctor()).checks if check.name == "order road"}
        assert "block" not in found.values()
        return found == dict.fromkeys(ACCOUNTS, "ok")

    await eventually(roads, "an open order road of every account", poll_s=BROKER_POLL_S)


async def test_acc_1_a_flood_of_one_account_holds_no_other_up(host: Host) -> None:
    """With one account's queue full of entries another account's order rests at the broker before the flood is out."""
    client = host.client
    _, request = await an_option(host)
    flood = await asyncio.gather(*(placed(client, request, ONE) for _ in range(FLOOD)))
    assert all(receipt.accepted for receipt in flood)
    assert max(receipt.eta_s or 0.0 for receipt in flood) > 1.0
    other = await placed(client, request, TWO)
    assert other.eta_s is not None
    assert other.eta_s < 1.0  # at most the guard at the end of a second
    await comes_to(client, other.orders[0].number, OrderState.OPEN)
    assert OrderState.QUEUED in await states_of(client, ONE)
    health = {one.account: one for one in await client.execution_health()}
    assert health[ONE].queue
    assert not health[TWO].queue
    for receipt in flood:
        await comes_to(client, receipt.orders[0].number, OrderState.OPEN)
    assert all(one.rate_limited == 0 for one in await client.execution_health())
    only = await client.submit(CancelOrders(everything=True, account=ONE))
    assert only.accepted
    assert {record.account for record in only.orders} == {ONE}
    for receipt in flood:
        await comes_to(client, receipt.orders[0].number, OrderState.CANCELLED)
    assert (await record_of(client, other.orders[0].number)).state is OrderState.OPEN
    everywhere = await client.submit(CancelOrders(everything=True))
    assert everywhere.accepted
    assert f"{FOUR}: " in everywhere.message
    await until(lambda: not any(view.working_orders for view in client.desk().status.accounts), "no working order")


async def test_acc_1_the_grant_of_one_account_sees_and_touches_its_own_alone(host: Host) -> None:
    """Orders, trades, strategies, positions, money, health and events of the others are not there for it."""
    client = host.client
    _, request = await an_option(host)
    theirs, mine = [(await placed(client, request, account)).orders[0] for account in (ONE, TWO)]
    for record in (theirs, mine):
        await comes_to(client, record.number, OrderState.OPEN)
    view = OwnEngine(client, frozenset({TWO}))
    assert {record.account for record in await view.orders()} == {TWO}
    assert {fill.account for fill in await view.trades()} <= {TWO}
    assert {value.strategy.account for value in await view.strategies()} == {TWO}
    assert {position.account for position in await view.positions()} <= {TWO}
    assert [one.account for one in await view.execution_health()] == [TWO]
    assert (await view.funds()).account == TWO
    seen = view.desk()
    assert (seen.status.account, [one.account for one in seen.status.accounts]) == (TWO, [TWO])
    assert {record.account for record in seen.orders} == {TWO}
    assert not [event for event in await view.events() if event.account not in {TWO, None}]
    for command in (
        CancelOrders(numbers=(theirs.number,)),
        ModifyOrder(number=theirs.number, change=OrderChange(price=request.price)),
        HoldRisk(account=ONE),
        KillSwitch(strategy=await number_of_main(client, ONE)),
    ):
        with pytest.raises(Forbidden):
            await view.submit(command)
    with pytest.raises(Forbidden):
        await placed(view, msgspec.structs.replace(request, strategy=await number_of_main(client, ONE)), None)  # type: ignore[arg-type]
    own = await placed(view, request, None)  # type: ignore[arg-type]
    assert [record.account for record in own.orders] == [TWO]
    assert (await view.submit(CancelOrders(everything=True))).accepted
    await comes_to(client, mine.number, OrderState.CANCELLED)
    assert (await record_of(client, theirs.number)).state is OrderState.OPEN


async def test_acc_1_an_exit_of_everything_of_one_account_names_that_one_alone(host: Host) -> None:
    """With an account, everything is that account's; without one it is every account's; a strange one is refused."""
    client, target = host.client, ExitTarget(scope=ExitScope.ACCOUNT)
    one = await client.preview(ExitPositions(target=target, everything=True, account=FOUR))
    assert one.account == FOUR
    assert one.sentence.startswith(f"{FOUR}: ")
    assert not any(account in one.sentence for account in (ONE, TWO, THREE))
    everywhere = await client.preview(ExitPositions(target=target, everything=True))
    assert all(f"{account}: " in everywhere.sentence for account in ACCOUNTS)
    strange = await client.submit(ExitPositions(target=target, everything=True, account=AccountId("ZZ9999")))
    assert [violation.check for violation in strange.violations] == ["account"]


async def test_acc_1_a_hold_of_one_account_leaves_the_others_trading(host: Host) -> None:
    """The owner of one account holds, compares and releases it: another's entries go out, and nobody is disarmed."""
    client = host.client
    _, request = await an_option(host)
    mode = client.desk().status.mode
    view = OwnEngine(client, frozenset({THREE}))
    resting = (await placed(client, request, THREE)).orders[0]
    await comes_to(client, resting.number, OrderState.OPEN)
    for command in (HoldRisk(), KillSwitch(), KillSwitch(strategy=await number_of_main(client, THREE))):
        words = (await view.preview(command)).sentence
        assert THREE in words
        assert not any(account in words for account in (ONE, TWO, FOUR, "all accounts"))
    held = await view.submit(HoldRisk())
    assert held.accepted, held.message
    assert THREE in held.message
    try:
        await comes_to(client, resting.number, OrderState.CANCELLED)
        refused = await placed(client, request, THREE)
        assert [violation.check for violation in refused.violations] == ["lock"]
        other = await placed(client, request, FOUR)
        assert other.accepted, other.message
        await comes_to(client, other.orders[0].number, OrderState.OPEN)
        assert client.desk().status.mode is mode
        compared = await view.submit(Reconcile())
        assert compared.message.startswith(THREE)
        assert not any(account in compared.message for account in (ONE, TWO, FOUR))
    finally:
        released = await view.submit(ReleaseHold())
    assert released.message == f"The hold of {THREE} is released."
    assert (await placed(client, request, THREE)).accepted
    assert (await client.submit(CancelOrders(everything=True))).accepted


async def test_acc_1_a_plan_of_one_account_acts_on_its_own_alone(host: Host) -> None:
    """Made by the owner of one account without naming it: "cancel all" cancels what is that account's."""
    client = host.client
    _, request = await an_option(host)
    theirs, mine = [(await placed(client, request, account)).orders[0] for account in (TWO, FOUR)]
    for record in (theirs, mine):
        await comes_to(client, record.number, OrderState.OPEN)
    view = cast("EngineClient", OwnEngine(client, frozenset({FOUR})))
    soon = host.engine.clock.market_now() + timedelta(seconds=1)
    made = await view.submit(MakePlan(trigger=AtTime(at=soon), sentence="cancel all"))
    assert made.accepted, made.message
    assert [plan.record.account for plan in await view.plans() if plan.record.number == made.plan] == [FOUR]
    await comes_to(client, mine.number, OrderState.CANCELLED)
    assert (await record_of(client, theirs.number)).state is OrderState.OPEN
    assert (await client.submit(CancelOrders(numbers=(theirs.number,)))).accepted


async def test_acc_1_a_sentence_for_an_account_means_its_strategies(host: Host) -> None:
    """Each account has a strategy called main: named for an account it is its own, otherwise none is guessed."""
    client = host.client
    option, _ = await an_option(host)
    sentence = f"buy 1L {option.words} @ {option.low}"
    found = await client.interpret(sentence, FOUR)
    assert getattr(found.command, "account", None) == FOUR
    created = await client.submit(CreateStrategy(name="fly-four", account=FOUR))
    assert created.strategy is not None
    assert (await client.interpret("archive fly-four", FOUR)).command is not None
    assert (await client.interpret("archive fly-four", ONE)).command is None
    ambiguous = (await client.interpret("archive main")).error
    assert ambiguous is not None
    assert "of different accounts" in ambiguous.message
    assert getattr((await client.interpret(sentence)).command, "account", None) is None


# -- accounts that are broken ----------------------------------------------------------------------------------------


async def test_acc_1_an_outage_of_one_account_leaves_the_others_working(desk: Desk) -> None:
    """Three gateway errors open that account's breaker; others send at once, and its money is declared by its name."""
    async with with_four_accounts(desk).opened() as host:
        await all_reconciled(host)
        client, exchange = host.client, Exchange(host.exchange.root)
        _, request = await an_option(host)
        await exchange.fault(GONE, account=TWO, count=200)
        for _ in range(3):
            receipt = await placed(client, request, TWO)
            await comes_to(client, receipt.orders[0].number, OrderState.UNKNOWN, OrderState.PRESUMED_ABSENT)
        refused = await placed(client, request, TWO)
        assert "breaker" in {violation.check for violation in refused.violations}
        health = {one.account: one for one in await client.execution_health()}
        states = {
            account: {view.endpoint: view.state for view in one.breakers}[Endpoint.ORDERS]
            for account, one in health.items()
        }
        assert states == {ONE: "closed", TWO: "open", THREE: "closed", FOUR: "closed"}
        for account in (ONE, THREE, FOUR):
            receipt = await placed(client, request, account)
            assert receipt.accepted, receipt.message
            await comes_to(client, receipt.orders[0].number, OrderState.OPEN)
            assert await client.positions(account) == ()
        with pytest.raises(BrokerError, match=TWO):
            await client.positions()
        await until(lambda: any(TWO in words for words in client.desk().status.degraded), "the word that it is broken")
        named = {view.account for view in client.desk().status.accounts if view.degraded}
        assert named == {TWO}


async def test_acc_1_the_writer_is_one_for_each_account(desk: Desk) -> None:
    """An account whose lock another engine holds is only looked at; when it lets go, this engine takes it over."""
    await ensure_database(desk.server_dsn, desk.database, template=TEMPLATE)
    lock = PostgresWriterLock(with_database(desk.server_dsn, desk.database))
    try:
        assert await lock.acquire(THREE) is not None
        async with with_four_accounts(desk).opened() as host:
            client = host.client
            await until(
                lambda: len([one for one in host.engine.desks if one.executor is not None]) == 3, "three at work"
            )
            _, request = await an_option(host)
            refused = await placed(client, request, THREE)
            assert [violation.check for violation in refused.violations] == ["writer"]
            assert THREE in refused.message
            sent = await placed(client, request, FOUR)
            await comes_to(client, sent.orders[0].number, OrderState.OPEN)
            writers = {view.account: view.writer for view in client.desk().status.accounts}
            assert writers == {ONE: True, TWO: True, THREE: False, FOUR: True}
            assert any(THREE in words for words in client.desk().status.degraded)
            await lock.release(THREE)
            await all_reconciled(host)
            late = await placed(client, request, THREE)
            assert late.accepted, late.message
            await comes_to(client, late.orders[0].number, OrderState.OPEN)
            assert late.orders[0].tag in await tags_at(host.exchange.root, THREE)
    finally:
        await lock.close()


async def resting_on_each(socket: str) -> dict[OrderNumber, AccountId]:
    """One resting order for each account, through the door of an engine: number and account."""
    client = await RemoteClient.attach(Path(socket))
    try:
        numbers: dict[OrderNumber, AccountId] = {}
        for account in ACCOUNTS:

            async def order(account: AccountId = account) -> OrderNumber | None:
                found = await client.interpret(RESTING, account)
                if found.command is None:
                    return None
                receipt = await client.submit(found.command)
                return receipt.orders[0].number if receipt.accepted else None

            numbers[await eventually(order, f"an order of {account}", poll_s=0.2)] = account
        for number in numbers:
            await comes_to(client, number, OrderState.OPEN)
        return numbers
    finally:
        await client.close()


async def test_acc_1_a_killed_engine_comes_back_with_every_account(postgres_server: EmbeddedPostgres) -> None:
    """Kill -9 with orders resting on four accounts: the next engine knows each, at its account, and none came twice."""
    with new_console(postgres_server, "four accounts killed") as console:
        with_four_accounts(console.desk)
        console.write_configuration()
        engine = await asyncio.to_thread(console.headless)
        assert engine.ready["accounts"] == list(ACCOUNTS)
        numbers = await resting_on_each(engine.ready["socket"])
        await asyncio.to_thread(engine.end, signal.SIGKILL)
        again = await asyncio.to_thread(console.headless)
        try:
            said = await asyncio.gather(
                *(
                    asyncio.to_thread(console.run, *words)
                    for words in (
                        ("orders", "--json"),
                        ("orders", "--json", "--account", FOUR),
                        ("funds", "--json"),
                        ("trades", "--account", "ZZ9999"),
                        ("order", RESTING, "--account", TWO, "--dry-run", "--json"),
                    )
                )
            )
            everyone, mine, money, stranger, dry = said
            assert {row["number"]: row["account"] for row in everyone.data} == numbers
            assert {row["state"] for row in everyone.data} == {"OPEN"}
            assert [numbers[row["number"]] for row in mine.data] == [FOUR]
            assert [row["account"] for row in money.data] == list(ACCOUNTS)
            assert (stranger.code, FOUR in stranger.words) == (2, True)
            preview = dry.data["preview"]
            assert (preview["account"], preview["sentence"][: len(TWO) + 6]) == (TWO, f"{TWO}: Buys")
            posts = await Exchange(again.ready["exchange_root"]).posts()
            assert list(posts.values()) == [1] * len(ACCOUNTS)
        finally:
            await asyncio.to_thread(again.end)
