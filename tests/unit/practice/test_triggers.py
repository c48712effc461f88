"""Good-till-triggered orders: what is accepted, when they fire, and that each fires once whatever is killed when."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from engine.practice.contracts import Contract
from engine.practice.settings import ServiceSettings
from engine.practice.standing import KEPT_SECONDS, Trigger
from engine.practice.triggers import TriggerDesk, TriggerRules
from engine.practice.wire import KiteError
from tests.unit.practice.conftest import Venue


def desk(venue: Venue) -> TriggerDesk:
    """Return the triggers of a venue."""
    return venue.exchange.waiting.triggers


def last_price(venue: Venue, contract: Contract) -> float:
    """Return a contract's last price in rupees."""
    return int(venue.exchange.floor.quotes.last[venue.row(contract)]) / 100


def form(contract: Contract, values: list[float], last: float, **changes: Any) -> dict[str, str]:
    """Return the form of a trigger that sells one lot at a low price, on each leg."""
    leg = {
        "exchange": contract.exchange,
        "tradingsymbol": contract.symbol,
        "transaction_type": "SELL",
        "quantity": contract.lot,
        "order_type": "LIMIT",
        "product": "NRML",
        "price": 1.0,
    } | changes.pop("leg", {})
    condition = {
        "exchange": contract.exchange,
        "tradingsymbol": contract.symbol,
        "trigger_values": values,
        "last_price": last,
    } | changes.pop("condition", {})
    kind = "single" if len(values) == 1 else "two-leg"
    fields = {"type": kind, "condition": json.dumps(condition), "orders": json.dumps([leg] * len(values))}
    return fields | changes


def triggers(venue: Venue) -> dict[int, Trigger]:
    """Return the triggers as the ledger has them."""
    return venue.exchange.ledger.standing.triggers


@pytest.mark.parametrize(
    ("values", "told", "fires"),
    [
        ([0.5], 1.0, False),
        ([2.0], 1.0, False),
        ([1.5], 2.0, True),
        ([0.9], 0.5, True),
        ([0.5, 1.5], 1.0, False),
        ([0.2, 0.9], 0.5, True),
        ([1.1, 3.0], 2.0, True),
    ],
)
def test_when_a_trigger_fires(venue: Venue, values: list[float], told: float, fires: bool) -> None:
    """A single trigger fires from the side it was placed from, a two-leg one at or beyond either value (in multiples of
    the true last price; ``told`` is the last price that the client gave).
    """
    contract = venue.contract()
    last = last_price(venue, contract)
    number = desk(venue).place(form(contract, [value * last for value in values], told * last))
    venue.exchange.step()
    assert triggers(venue)[number].status == ("triggered" if fires else "active")
    assert len(venue.exchange.ledger.orders) == fires


@pytest.mark.parametrize(("values", "leg"), [([1.1, 3.0], 0), ([0.2, 0.9], 1)])
def test_one_leg_fires_and_the_other_is_over(venue: Venue, values: list[float], leg: int) -> None:
    """The leg whose side the price reached places its order; the other has no result and never fires."""
    contract = venue.contract()
    last = last_price(venue, contract)
    told = sum(values) / 2 * last
    number = desk(venue).place(form(contract, [value * last for value in values], told))
    for _ in range(3):
        venue.advance(1.0)
    (order,) = venue.exchange.ledger.orders.values()
    assert order.origin == f"gtt:{number}"
    shown = triggers(venue)[number].to_wire("PR0001")["orders"]
    assert shown[leg]["result"]["order_result"] == {
        "status": "success",
        "order_id": order.order_id,
        "rejection_reason": "",
    }
    assert shown[leg]["result"]["triggered_at"] == pytest.approx(last, rel=0.2)
    assert shown[1 - leg]["result"] is None
    assert order.status not in {"PUT ORDER REQ RECEIVED", "VALIDATION PENDING"}


def test_an_order_that_is_refused_is_the_triggers_result(venue: Venue, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the order desk refuses the order, the trigger says failed and why, and does not try again."""
    contract = venue.contract()
    last = last_price(venue, contract)
    number = desk(venue).place(form(contract, [2 * last], 3 * last))

    def refuse(*_: object, **__: object) -> None:
        raise KiteError(400, "InputException", "Not today.")  # type: ignore[arg-type]

    monkeypatch.setattr(venue.exchange.desk, "submit", refuse)
    venue.exchange.step()
    monkeypatch.undo()
    venue.advance(1.0)
    result = triggers(venue)[number].to_wire("PR0001")["orders"][0]["result"]["order_result"]
    assert result == {"status": "failed", "order_id": "", "rejection_reason": "Not today."}
    assert not venue.exchange.ledger.orders
    venue.restart()
    assert triggers(venue)[number].result is not None
    assert triggers(venue)[number].status == "triggered"


def test_triggers_survive_a_restart(venue: Venue) -> None:
    """Placed, changed and deleted triggers are what they were; numbers go on."""
    contract = venue.contract()
    last = last_price(venue, contract)
    first, second = (desk(venue).place(form(contract, [value * last], last)) for value in (2.0, 3.0))
    desk(venue).modify(first, form(contract, [0.1 * last, 4 * last], last))
    desk(venue).delete(second)
    before = dict(triggers(venue))
    venue.restart()
    assert triggers(venue) == before
    assert (before[first].kind, before[second].status) == ("two-leg", "deleted")
    assert desk(venue).place(form(contract, [2 * last], last)) == second + 1


def test_a_kill_between_the_order_and_its_note(venue: Venue, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed after the order was accepted and before the trigger's result was written, the restart finds the order and
    makes no second one.
    """
    contract = venue.contract()
    last = last_price(venue, contract)
    number = desk(venue).place(form(contract, [2 * last], 3 * last))
    submit = venue.exchange.desk.submit

    class Killed(BaseException):
        """The process ends here."""

    def accept_and_die(*args: Any, **more: Any) -> None:
        submit(*args, **more)
        raise Killed

    monkeypatch.setattr(venue.exchange.desk, "submit", accept_and_die)
    with pytest.raises(Killed):
        venue.exchange.step()
    monkeypatch.undo()
    venue.restart()
    for _ in range(3):
        venue.advance(1.0)
    (order,) = venue.exchange.ledger.orders.values()
    result = triggers(venue)[number].result
    assert result is not None
    assert result.order_id == order.order_id


def test_a_kill_before_the_order_leaves_an_active_trigger(venue: Venue, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed before the order was accepted, the trigger is active again and fires then."""
    contract = venue.contract()
    last = last_price(venue, contract)
    number = desk(venue).place(form(contract, [2 * last], 3 * last))

    class Killed(BaseException):
        """The process ends here."""

    def die(*_: object, **__: object) -> None:
        raise Killed

    monkeypatch.setattr(venue.exchange.desk, "submit", die)
    with pytest.raises(Killed):
        venue.exchange.step()
    monkeypatch.undo()
    venue.restart()
    assert triggers(venue)[number].status == "active"
    venue.exchange.step()
    assert len(venue.exchange.ledger.orders) == 1
    assert triggers(venue)[number].status == "triggered"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"type": "three-leg"}, "Invalid `type`"),
        ({"condition": {"tradingsymbol": "NOTHING"}}, "tradingsymbol"),
        ({"condition": {"exchange": "NSE", "tradingsymbol": "NIFTY 50"}}, "tradingsymbol"),
        ({"condition": {"trigger_values": [100.0, 200.0]}}, "single trigger has 1"),
        ({"condition": {"trigger_values": [-1.0]}}, "trigger_values"),
        ({"condition": {"trigger_values": [1e300]}}, "trigger_values"),
        ({"condition": {"trigger_values": "100"}}, "Invalid JSON for `condition`"),
        ({"condition": {"last_price": 0.0}}, "last_price"),
        ({"orders": "nothing"}, "Invalid JSON for `orders`"),
        ({"orders": ""}, "Missing or empty field `orders`"),
        ({"leg": {"tradingsymbol": "OTHER"}}, "orders"),
        ({"leg": {"transaction_type": "HOLD"}}, "transaction_type"),
        ({"leg": {"order_type": "MARKET"}}, "LIMIT"),
        ({"leg": {"product": "MIS"}}, "NRML"),
        ({"leg": {"quantity": 1}}, "lot size"),
        ({"leg": {"price": 1.03}}, "Tick size"),
        ({"leg": {"price": 0.0}}, "price"),
    ],
)
def test_ill_formed_triggers(venue: Venue, changes: dict[str, Any], words: str) -> None:
    """Each wrong field is refused in words that name it, and no trigger is made."""
    contract = venue.contract()
    last = last_price(venue, contract)
    changes = {key: dict(value) if isinstance(value, dict) else value for key, value in changes.items()}
    with pytest.raises(KiteError, match=words):
        desk(venue).place(form(contract, [2 * last], last, **changes))
    assert not triggers(venue)


@pytest.mark.parametrize(
    ("values", "distance", "accepted"),
    [
        ([1.0], 0.0, False),
        ([1.002], 0.0, True),
        ([1.002], 0.0025, False),
        ([1.003], 0.0025, True),
        ([0.9, 0.95], 0.0, False),
        ([1.05, 1.1], 0.0, False),
        ([1.1, 0.9], 0.0, False),
        ([0.9, 1.1], 0.0025, True),
    ],
)
def test_sides_and_distance(venue: Venue, values: list[float], distance: float, accepted: bool) -> None:
    """A trigger may not be at the last price or nearer than the rules say; two legs lie on both sides of it."""
    exchange = venue.exchange
    rules = TriggerRules(250, distance)
    own = TriggerDesk(
        floor=exchange.floor, ledger=exchange.ledger, changes=exchange.changes, orders=exchange.desk, rules=rules
    )
    request = form(venue.contract(), [value * 1000 for value in values], 1000.0)
    if accepted:
        own.place(request)
    else:
        with pytest.raises(KiteError):
            own.place(request)


def test_no_more_than_the_cap_and_a_cheap_step(make_venue: Callable[..., Venue]) -> None:
    """The 250th trigger is accepted and the next is not; with all of them waiting a step costs next to nothing."""
    venue = make_venue(service=replace(ServiceSettings(), active_triggers=250))
    contract = venue.contract()
    last = last_price(venue, contract)
    for number in range(250):
        desk(venue).place(form(contract, [0.1 * last, (2.0 + number / 100) * last], last))
    with pytest.raises(KiteError, match="250"):
        desk(venue).place(form(contract, [2 * last], last))
    desk(venue).step()
    begun = time.process_time()
    for _ in range(100):
        desk(venue).step()
    assert (time.process_time() - begun) / 100 < 0.001
    assert not venue.exchange.ledger.orders


def test_triggers_over_sessions(venue: Venue) -> None:
    """A trigger waits over the night; once its contract has expired so has it; what ended is shown for a week."""
    contract = venue.contract()
    last = last_price(venue, contract)
    waits = desk(venue).place(form(contract, [0.01 * last, 50 * last], last))
    deleted = desk(venue).place(form(contract, [50 * last], last))
    desk(venue).delete(deleted)
    assert contract.expiry is not None
    while venue.exchange.floor.day.session.day <= contract.expiry:
        venue.exchange.close_session()
        assert triggers(venue)[waits].status in {"active", "triggered"}
        venue.exchange.open_next_session()
        venue.restart()
        venue.exchange.step()
        if triggers(venue)[waits].status == "triggered":
            pytest.fail("the trigger fired at fifty times its price")
    assert triggers(venue)[waits].status == "expired"
    now = venue.exchange.floor.now()
    standing = venue.exchange.ledger.standing
    assert waits in {row.number for row in standing.shown_triggers(now)}
    assert standing.shown_triggers(now + KEPT_SECONDS + 1.0) == []
    kept = standing.records(now + KEPT_SECONDS + 1.0)
    assert len(kept) == 1
    assert standing.next_trigger == deleted + 1
