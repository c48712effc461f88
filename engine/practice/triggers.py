"""Good-till-triggered orders: placed, changed, deleted; fired by the market's last price, whoever is connected.

Invariant: a trigger fires once. That it fired and the order it makes are one frame of the book, so a kill between them
leaves either both or neither. A two-leg trigger that fires on one side is over on the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import time, timedelta
from typing import TypeVar

import msgspec
import numpy as np

from engine.practice import wire
from engine.practice.calendar_facts import epoch
from engine.practice.changes import Changes
from engine.practice.contracts import Contract
from engine.practice.floor import Floor
from engine.practice.ledger import Ledger
from engine.practice.noise import IntArray
from engine.practice.order_desk import OrderDesk
from engine.practice.standing import (
    ACTIVE,
    DELETED,
    EXPIRED,
    SINGLE,
    TRIGGERED,
    TWO_LEG,
    Trigger,
    TriggerLeg,
    TriggerRecord,
    TriggerResult,
)
from engine.practice.universe import Universe
from engine.practice.wire import KiteError, input_error

_PAISE = 100
_SLACK = 1e-6
_HIGHEST_PAISE = 0xFFFFFFFF
_NEVER_LOW, _NEVER_HIGH = -1, 1 << 62
_LEGS = {SINGLE: 1, TWO_LEG: 2}
ORIGIN = "gtt:"
"""What the orders say that triggers made, followed by the trigger's number."""
Parsed = TypeVar("Parsed")


class ConditionForm(msgspec.Struct, frozen=True):
    """The ``condition`` field of a request."""

    exchange: str
    tradingsymbol: str
    trigger_values: list[float]
    last_price: float


class LegForm(msgspec.Struct, frozen=True):
    """One element of the ``orders`` field of a request."""

    exchange: str
    tradingsymbol: str
    transaction_type: str
    quantity: int
    order_type: str
    product: str
    price: float


@dataclass(frozen=True, slots=True)
class TriggerRules:
    """What a request is checked against.

    Attributes:
        most: Active triggers of an account.
        distance: Least distance of a trigger from the last price, relative.
    """

    most: int = 250
    distance: float = 0.0025


@dataclass(frozen=True, slots=True)
class _Levels:
    """The waiting triggers as columns: row of the contract, and the last prices (paise) at which each fires."""

    number: list[int]
    row: IntArray
    low: IntArray
    high: IntArray


class TriggerDesk:
    """The triggers of one account.

    Args:
        floor: The market now.
        ledger: The account's state.
        changes: How state is changed.
        orders: Where a fired trigger's order is placed.
        rules: What requests are checked against.
    """

    def __init__(
        self, *, floor: Floor, ledger: Ledger, changes: Changes, orders: OrderDesk, rules: TriggerRules
    ) -> None:
        self._floor = floor
        self._standing = ledger.standing
        self._ledger = ledger
        self._changes = changes
        self._orders = orders
        self._rules = rules
        none = np.zeros(0, dtype=np.int64)
        self._levels = _Levels([], none, none, none)
        self._levels_of: tuple[int, Universe] | None = None

    def place(self, form: Mapping[str, str]) -> int:
        """Accept a trigger and return its number, durably.

        Raises:
            KiteError: The request is refused.
        """
        if len(self._standing.active_triggers()) >= self._rules.most:
            raise input_error(f"Maximum allowed active triggers exceeded: {self._rules.most}.")
        number, now = self._standing.next_trigger, self._floor.now()
        self._commit(self._read(form, number, created=now))
        return number

    def modify(self, number: int, form: Mapping[str, str]) -> None:
        """Replace what an active trigger waits for and does.

        Raises:
            KiteError: The request is refused, or the trigger is not active.
        """
        self._commit(self._read(form, number, created=self._active(number).created))

    def delete(self, number: int) -> None:
        """Delete an active trigger.

        Raises:
            KiteError: It is not active.
        """
        self._commit(self._changed(self._active(number), DELETED))

    def step(self) -> None:
        """Fire what the last prices reach, and end what has expired."""
        universe = self._floor.day.universe
        if self._levels_of is None or self._levels_of != (self._standing.version, universe):
            self._expire()
            self._levels, self._levels_of = self._columns(), (self._standing.version, universe)
        levels = self._levels
        if not levels.number or self._floor.closed:
            return
        last = self._floor.quotes.last[levels.row]
        reached = np.flatnonzero((last > 0) & ((last <= levels.low) | (last >= levels.high)))
        for index in reached.tolist():
            self._fire(self._standing.triggers[levels.number[index]], int(last[index]))

    def resume(self) -> None:
        """Write down which order a trigger made that had fired when the exchange was killed."""
        origins = {order.origin: order.order_id for order in self._ledger.orders.values() if order.origin}
        for trigger in list(self._standing.triggers.values()):
            result = trigger.result
            if trigger.status == TRIGGERED and result is not None and not (result.order_id or result.reason):
                order_id = origins.get(f"{ORIGIN}{trigger.number}", "")
                settled = msgspec.structs.replace(result, order_id=order_id)
                self._commit(msgspec.structs.replace(trigger, result=settled))

    def _fire(self, trigger: Trigger, last: int) -> None:
        contract = self._floor.contract(trigger.token)
        if self._floor.row(trigger.token) is None:
            return
        if self._floor.is_over(contract):
            self._commit(self._changed(trigger, EXPIRED))
            return
        leg = 1 if trigger.kind == TWO_LEG and last >= trigger.values[1] else 0
        result = TriggerResult(leg, self._floor.now(), last)
        fired = msgspec.structs.replace(trigger, status=TRIGGERED, updated=self._floor.now(), result=result)
        # Recorded, not committed: accepting the order makes both durable in one frame.
        self._changes.record(TriggerRecord(fired))
        try:
            placement = self._orders.submit(_form(trigger, trigger.legs[leg]), origin=f"{ORIGIN}{trigger.number}")
        except KiteError as error:
            result = msgspec.structs.replace(result, reason=error.message)
        else:
            result = msgspec.structs.replace(result, order_id=placement.order_id)
        self._commit(msgspec.structs.replace(fired, result=result))

    def _expire(self) -> None:
        listed = self._floor.day.universe.by_token
        for trigger in self._standing.active_triggers():
            contract = listed.get(trigger.token)
            if contract is None or contract.symbol != trigger.symbol or trigger.expires <= self._floor.now():
                self._changes.record(TriggerRecord(self._changed(trigger, EXPIRED)))

    def _columns(self) -> _Levels:
        rows = self._floor.day.universe.row_of
        waiting = [trigger for trigger in self._standing.active_triggers() if trigger.token in rows]
        lows = [_NEVER_LOW if trigger.low is None else trigger.low for trigger in waiting]
        highs = [_NEVER_HIGH if trigger.high is None else trigger.high for trigger in waiting]
        return _Levels(
            [trigger.number for trigger in waiting],
            np.array([rows[trigger.token] for trigger in waiting], dtype=np.int64),
            np.array(lows, dtype=np.int64),
            np.array(highs, dtype=np.int64),
        )

    def _active(self, number: int) -> Trigger:
        trigger = self._standing.triggers[number]
        if trigger.status != ACTIVE:
            raise input_error(f"Trigger {number} is {trigger.status}; only active triggers can be changed.")
        return trigger

    def _changed(self, trigger: Trigger, status: str) -> Trigger:
        return msgspec.structs.replace(trigger, status=status, updated=self._floor.now())

    def _commit(self, trigger: Trigger) -> None:
        self._changes.record(TriggerRecord(trigger))
        self._changes.commit()

    def _read(self, form: Mapping[str, str], number: int, created: float) -> Trigger:
        kind = form.get("type", "")
        if kind not in _LEGS:
            raise input_error(f"Invalid `type`: {kind or 'missing'}. Allowed are {', '.join(_LEGS)}.")
        condition = _parsed(form, "condition", ConditionForm)
        legs = _parsed(form, "orders", list[LegForm])
        contract = self._floor.day.universe.by_key.get(f"{condition.exchange}:{condition.tradingsymbol}")
        if contract is None or contract.is_index or contract.expiry is None:
            raise input_error(f"Invalid `tradingsymbol`: {condition.exchange}:{condition.tradingsymbol}.")
        if len(condition.trigger_values) != _LEGS[kind] or len(legs) != _LEGS[kind]:
            raise input_error(f"A {kind} trigger has {_LEGS[kind]} `trigger_values` and as many `orders`.")
        last = _price(condition.last_price, "last_price", contract, on_tick=False)
        values = tuple(_price(value, "trigger_values", contract, on_tick=False) for value in condition.trigger_values)
        self._check_values(kind, values, last)
        return Trigger(
            number=number,
            kind=kind,
            status=ACTIVE,
            exchange=contract.exchange,
            symbol=contract.symbol,
            token=contract.token,
            values=values,
            last=last,
            legs=tuple(_leg(leg, contract) for leg in legs),
            created=created,
            updated=self._floor.now(),
            expires=epoch(contract.expiry + timedelta(days=1), time()),
        )

    def _check_values(self, kind: str, values: tuple[int, ...], last: int) -> None:
        if kind == TWO_LEG and not values[0] < last < values[1]:
            raise input_error(
                "Invalid `trigger_values`: the stoploss trigger lies below the last price and the target trigger above."
            )
        for value in values:
            if value == last:
                raise input_error("Trigger price cannot be the same as the last price.")
            if abs(value - last) < self._rules.distance * last - _SLACK:
                share = self._rules.distance * 100
                raise input_error(f"Trigger price must be at least {share:g}% away from the last price.")


def _leg(leg: LegForm, contract: Contract) -> TriggerLeg:
    if (leg.exchange, leg.tradingsymbol) != (contract.exchange, contract.symbol):
        raise input_error("Invalid `orders`: the orders of a trigger are for the instrument of its condition.")
    if leg.transaction_type not in {wire.BUY, wire.SELL}:
        raise input_error(f"Invalid `transaction_type`: {leg.transaction_type}. Allowed are BUY, SELL.")
    if leg.order_type != wire.LIMIT:
        raise input_error(f"Invalid `order_type`: {leg.order_type}. Orders of triggers are LIMIT.")
    if leg.product != wire.NRML:
        raise input_error(f"Invalid `product`: {leg.product}. For {contract.exchange} triggers it is NRML.")
    if leg.quantity <= 0 or (contract.lot and leg.quantity % contract.lot):
        raise input_error(f"Invalid `quantity`. It should be in multiples of the lot size {contract.lot}.")
    price = _price(leg.price, "price", contract, on_tick=True)
    return TriggerLeg(leg.transaction_type, leg.quantity, price, leg.product, leg.order_type)


def _price(value: float, name: str, contract: Contract, *, on_tick: bool) -> int:
    if not 0.0 < value * _PAISE <= _HIGHEST_PAISE:
        raise input_error(f"Invalid `{name}`: {value}. It should be greater than 0.")
    paise = round(value * _PAISE)
    if on_tick and (abs(value * _PAISE - paise) > _SLACK * _PAISE or paise % contract.tick):
        raise input_error(f"Invalid `{name}`: {value}. Tick size for this instrument is {contract.tick / _PAISE:.2f}.")
    return paise


def _parsed(form: Mapping[str, str], name: str, kind: type[Parsed]) -> Parsed:
    text = form.get(name, "")
    if not text:
        raise input_error(f"Missing or empty field `{name}`")
    try:
        return msgspec.json.decode(text, type=kind)
    except (msgspec.DecodeError, UnicodeEncodeError) as error:
        raise input_error(f"Invalid JSON for `{name}`: {error}.") from error


def _form(trigger: Trigger, leg: TriggerLeg) -> dict[str, str]:
    """Return the placement form of a fired leg."""
    return {
        "exchange": trigger.exchange,
        "tradingsymbol": trigger.symbol,
        "transaction_type": leg.side,
        "order_type": leg.order_type,
        "product": leg.product,
        "quantity": str(leg.quantity),
        "price": f"{leg.price / _PAISE:.2f}",
        "validity": wire.DAY,
    }
