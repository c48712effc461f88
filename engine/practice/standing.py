"""What stays in force from session to session: an account's triggers, alerts and holdings.

Invariant: changed only by the records that are also in the book; a number of a trigger is given once.
"""

from __future__ import annotations

from typing import Any

import msgspec

from engine.practice.calendar_facts import stamp

_PAISE = 100.0
KEPT_SECONDS = 7 * 86_400.0
"""Triggers that are no longer active are shown for this long (market time)."""
_FIRST_TRIGGER = 100_001
_HISTORY_KEPT = 100
SINGLE, TWO_LEG = "single", "two-leg"
ACTIVE, TRIGGERED, DELETED, EXPIRED = "active", "triggered", "deleted", "expired"
ENABLED, DISABLED = "enabled", "disabled"


class TriggerLeg(msgspec.Struct, frozen=True):
    """The limit order of one leg: units, price in paise."""

    side: str
    quantity: int
    price: int
    product: str
    order_type: str


class TriggerResult(msgspec.Struct, frozen=True):
    """What came of a trigger that fired; ``seen`` is the last price (paise) that fired it."""

    leg: int
    moment: float
    seen: int
    order_id: str = ""
    reason: str = ""


class Trigger(msgspec.Struct, frozen=True):
    """A good-till-triggered order; prices in paise, instants in epoch seconds."""

    number: int
    kind: str
    status: str
    exchange: str
    symbol: str
    token: int
    values: tuple[int, ...]
    last: int
    legs: tuple[TriggerLeg, ...]
    created: float
    updated: float
    expires: float
    result: TriggerResult | None = None

    @property
    def low(self) -> int | None:
        """Last price at or below which it fires; None when it only fires above."""
        if self.kind == TWO_LEG:
            return self.values[0]
        return self.values[0] if self.values[0] < self.last else None

    @property
    def high(self) -> int | None:
        """Last price at or above which it fires; None when it only fires below."""
        if self.kind == TWO_LEG:
            return self.values[1]
        return self.values[0] if self.values[0] >= self.last else None

    def to_wire(self, account: str) -> dict[str, Any]:
        """Return the object of ``GET /gtt/triggers``."""
        return {
            "id": self.number,
            "user_id": account,
            "parent_trigger": None,
            "type": self.kind,
            "created_at": stamp(self.created),
            "updated_at": stamp(self.updated),
            "expires_at": stamp(self.expires),
            "status": self.status,
            "condition": {
                "exchange": self.exchange,
                "last_price": self.last / _PAISE,
                "tradingsymbol": self.symbol,
                "trigger_values": [value / _PAISE for value in self.values],
                "instrument_token": self.token,
            },
            "orders": [self._order(account, number, leg) for number, leg in enumerate(self.legs)],
            "meta": {},
        }

    def _order(self, account: str, number: int, leg: TriggerLeg) -> dict[str, Any]:
        order = {
            "exchange": self.exchange,
            "tradingsymbol": self.symbol,
            "product": leg.product,
            "order_type": leg.order_type,
            "transaction_type": leg.side,
            "quantity": leg.quantity,
            "price": leg.price / _PAISE,
        }
        result = self.result
        if result is None or result.leg != number:
            return order | {"result": None}
        told = {
            "status": "failed" if result.reason else "success",
            "order_id": result.order_id,
            "rejection_reason": result.reason,
        }
        more = {
            "account_id": account,
            "validity": "DAY",
            "meta": "{}",
            "timestamp": stamp(result.moment),
            "triggered_at": result.seen / _PAISE,
            "order_result": told,
        }
        return order | {"result": order | more}


class Alert(msgspec.Struct, frozen=True):
    """A price alert: a side compared with a constant (rupees) or with another instrument."""

    uuid: str
    name: str
    status: str
    lhs_exchange: str
    lhs_symbol: str
    operator: str
    rhs_kind: str
    rhs_constant: float
    rhs_exchange: str
    rhs_symbol: str
    created: float
    updated: float
    holds: bool = False
    """Whether the condition held when it was last looked at: it is told when it begins to hold."""
    times: tuple[tuple[float, float], ...] = ()
    """(instant, last price in rupees) of each time it was told, oldest first; the last hundred are kept."""
    count: int = 0

    def told(self, moment: float, price: float) -> Alert:
        """Return the alert after it was told once more."""
        times = (*self.times, (moment, price))[-_HISTORY_KEPT:]
        return msgspec.structs.replace(self, holds=True, times=times, count=self.count + 1, updated=moment)


class Holding(msgspec.Struct, frozen=True):
    """Shares held; quantities in units, prices in rupees. The exchange trades none: they only stand in the account."""

    tradingsymbol: str
    exchange: str
    isin: str
    quantity: int
    average_price: float
    last_price: float
    close_price: float
    instrument_token: int = 0
    t1_quantity: int = 0
    product: str = "CNC"


class TriggerRecord(msgspec.Struct, frozen=True, tag="trigger"):
    """A trigger after a change of its state."""

    trigger: Trigger


class AlertRecord(msgspec.Struct, frozen=True, tag="alert"):
    """An alert after a change of its state."""

    alert: Alert


class HoldingsRecord(msgspec.Struct, frozen=True, tag="holdings"):
    """All holdings of the account."""

    holdings: tuple[Holding, ...]


StandingRecord = TriggerRecord | AlertRecord | HoldingsRecord


class Standing:
    """Triggers, alerts and holdings of one account."""

    def __init__(self) -> None:
        self.triggers: dict[int, Trigger] = {}
        self.alerts: dict[str, Alert] = {}
        self.holdings: tuple[Holding, ...] = ()
        self.version = 0
        """Grows with every change."""

    @property
    def next_trigger(self) -> int:
        """The number of the next trigger."""
        return max(self.triggers, default=_FIRST_TRIGGER - 1) + 1

    def apply(self, record: StandingRecord) -> None:
        """Apply one record."""
        self.version += 1
        match record:
            case TriggerRecord(trigger):
                self.triggers[trigger.number] = trigger
            case AlertRecord(alert) if alert.status == DELETED:
                self.alerts.pop(alert.uuid, None)
            case AlertRecord(alert):
                self.alerts[alert.uuid] = alert
            case HoldingsRecord(holdings):
                self.holdings = holdings

    def active_triggers(self) -> list[Trigger]:
        """Return the triggers that wait for their price."""
        return [trigger for trigger in self.triggers.values() if trigger.status == ACTIVE]

    def shown_triggers(self, now: float) -> list[Trigger]:
        """Return the active triggers and those that ended lately, oldest first."""
        rows = self.triggers.values()
        return [row for row in rows if row.status == ACTIVE or now - row.updated <= KEPT_SECONDS]

    def records(self, now: float) -> list[StandingRecord]:
        """Return what a fresh book must hold of it; what is no longer shown is let go, except the last number."""
        last = self.triggers.get(self.next_trigger - 1)
        kept = {row.number: row for row in ([last] if last is not None else [])}
        kept |= {row.number: row for row in self.shown_triggers(now)}
        self.triggers = dict(sorted(kept.items()))
        holdings = [HoldingsRecord(self.holdings)] if self.holdings else []
        triggers = [TriggerRecord(row) for row in self.triggers.values()]
        return [*holdings, *triggers, *(AlertRecord(row) for row in self.alerts.values())]
