"""Price alerts: made, changed, removed, and told when their condition begins to hold at a step of the market.

Simple alerts only: an alert that places a basket of orders (``ato``) is refused, because nothing documents what happens
to it on the way. Invariant: an alert is told once each time its condition turns from false to true.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from engine.practice.calendar_facts import stamp
from engine.practice.changes import Changes
from engine.practice.floor import Floor
from engine.practice.ledger import Ledger
from engine.practice.standing import DELETED, DISABLED, ENABLED, Alert, AlertRecord
from engine.practice.universe import Universe
from engine.practice.wire import ErrorType, KiteError, input_error

_PAISE = 100.0
_NEVER_AT = "0001-01-01 00:00:00"
_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
    "==": operator.eq,
}
_ATTRIBUTE = "LastTradedPrice"
_CONSTANT, _INSTRUMENT = "constant", "instrument"
_INDEX_EXCHANGES = {"INDICES": ("NSE", "BSE")}
"""The word under which an index is named in alerts, and where the list of instruments has it."""
_NAME_LENGTH = 100
_HIGHEST = 42_949_672.95
"""The highest price that the ticker can show (rupees)."""

Place = tuple[bool, int]
"""Where a price is read: (whether it is an index, its row or column)."""


class AlertDesk:
    """The alerts of one account.

    Args:
        floor: The market now.
        ledger: The account's state.
        changes: How state is changed.
        index_tokens: Tokens of the quotes' index columns.
        most: Alerts an account may have.
        new_id: Makes ids.
    """

    def __init__(
        self,
        *,
        floor: Floor,
        ledger: Ledger,
        changes: Changes,
        index_tokens: Callable[[], Sequence[int]],
        most: int,
        new_id: Callable[[], str],
    ) -> None:
        self._floor = floor
        self._standing = ledger.standing
        self._changes = changes
        self._index_tokens = index_tokens
        self._most = most
        self._new_id = new_id
        self._watched: list[tuple[str, Place, Place | None]] = []
        self._watched_of: tuple[int, Universe] | None = None

    def create(self, form: Mapping[str, str]) -> Alert:
        """Accept an alert, durably.

        Raises:
            KiteError: The request is refused.
        """
        if len(self._standing.alerts) >= self._most:
            raise input_error(f"Maximum allowed alerts exceeded: {self._most}.")
        alert = self._read(form, self._new_id(), self._floor.now())
        self._commit(alert)
        return alert

    def modify(self, uuid: str, form: Mapping[str, str]) -> Alert:
        """Change an alert; fields that are not given stay as they are.

        Raises:
            KiteError: The request is refused.
        """
        old = self.get(uuid)
        alert = self._read(_fields(old) | dict(form), uuid, old.created)
        alert = msgspec.structs.replace(alert, times=old.times, count=old.count)
        self._commit(alert)
        return alert

    def delete(self, uuids: list[str]) -> None:
        """Remove alerts.

        Raises:
            KiteError: One of them does not exist; none is removed.
        """
        for alert in [self.get(uuid) for uuid in uuids]:
            self._changes.record(AlertRecord(msgspec.structs.replace(alert, status=DELETED)))
        self._changes.commit()

    def get(self, uuid: str) -> Alert:
        """Return an alert.

        Raises:
            KiteError: HTTP 404: there is none of this id.
        """
        alert = self._standing.alerts.get(uuid)
        if alert is None:
            raise KiteError(404, ErrorType.GENERAL, f"Alert not found: {uuid}.")
        return alert

    def step(self) -> None:
        """Look at every alert against the quotes of this instant. The caller commits."""
        watched_of = (self._standing.version, self._floor.day.universe)
        if self._watched_of is None or self._watched_of != watched_of:
            self._watched, self._watched_of = self._watch(), watched_of
        for uuid, left, right in self._watched:
            alert = self._standing.alerts[uuid]
            price = self._price(left)
            other = alert.rhs_constant if right is None else self._price(right)
            holds = price > 0.0 and other > 0.0 and _OPERATORS[alert.operator](price, other)
            if holds and not alert.holds:
                self._changes.record(AlertRecord(alert.told(self._floor.now(), price)))
            elif alert.holds and not holds:
                self._changes.record(AlertRecord(msgspec.structs.replace(alert, holds=False)))

    def to_wire(self, alert: Alert, account: str) -> dict[str, Any]:
        """Return the object of ``GET /alerts``."""
        return {
            "type": "simple",
            "user_id": account,
            "uuid": alert.uuid,
            "name": alert.name,
            "status": alert.status,
            "disabled_reason": "",
            "lhs_attribute": _ATTRIBUTE,
            "lhs_exchange": alert.lhs_exchange,
            "lhs_tradingsymbol": alert.lhs_symbol,
            "operator": alert.operator,
            "rhs_type": alert.rhs_kind,
            "rhs_attribute": _ATTRIBUTE if alert.rhs_kind == _INSTRUMENT else "",
            "rhs_exchange": alert.rhs_exchange,
            "rhs_tradingsymbol": alert.rhs_symbol,
            "rhs_constant": alert.rhs_constant,
            "alert_count": alert.count,
            "created_at": stamp(alert.created),
            "updated_at": stamp(alert.updated),
        }

    def history(self, alert: Alert) -> list[dict[str, Any]]:
        """Return the objects of ``GET /alerts/{uuid}/history``, newest first."""
        right = f"{alert.rhs_constant:g}" if alert.rhs_kind == _CONSTANT else f"{alert.rhs_exchange}:{alert.rhs_symbol}"
        condition = f'{_ATTRIBUTE}("{alert.lhs_exchange}:{alert.lhs_symbol}") {alert.operator} {right}'
        token = self._token(alert.lhs_exchange, alert.lhs_symbol)
        return [
            {
                "uuid": alert.uuid,
                "type": "simple",
                "meta": [
                    {
                        "instrument_token": token or 0,
                        "tradingsymbol": alert.lhs_symbol,
                        "timestamp": stamp(moment),
                        "last_price": price,
                        "last_trade_time": _NEVER_AT,
                        "exchange_timestamp": _NEVER_AT,
                    }
                ],
                "condition": condition,
                "created_at": stamp(moment),
                "order_meta": None,
            }
            for moment, price in reversed(alert.times)
        ]

    def _commit(self, alert: Alert) -> None:
        self._changes.record(AlertRecord(alert))
        self._changes.commit()

    def _watch(self) -> list[tuple[str, Place, Place | None]]:
        watched = []
        for alert in self._standing.alerts.values():
            left = self._place(alert.lhs_exchange, alert.lhs_symbol)
            right = None if alert.rhs_kind == _CONSTANT else self._place(alert.rhs_exchange, alert.rhs_symbol)
            known = left is not None and (alert.rhs_kind == _CONSTANT or right is not None)
            if alert.status == ENABLED and left is not None and known:
                watched.append((alert.uuid, left, right))
        return watched

    def _token(self, exchange: str, symbol: str) -> int | None:
        by_key = self._floor.day.universe.by_key
        for place in _INDEX_EXCHANGES.get(exchange, (exchange,)):
            contract = by_key.get(f"{place}:{symbol}")
            if contract is not None:
                return contract.token
        return None

    def _place(self, exchange: str, symbol: str) -> Place | None:
        token = self._token(exchange, symbol)
        if token is None:
            return None
        indices = list(self._index_tokens())
        if token in indices:
            return True, indices.index(token)
        row = self._floor.day.universe.row_of.get(token)
        return None if row is None else (False, row)

    def _price(self, place: Place) -> float:
        quotes = self._floor.quotes
        is_index, at = place
        return int((quotes.index_last if is_index else quotes.last)[at]) / _PAISE

    def _read(self, form: Mapping[str, str], uuid: str, created: float) -> Alert:
        if form.get("type") != "simple":
            raise input_error("Invalid `type`. The practice exchange serves `simple` alerts; none that place orders.")
        name = form.get("name", "").strip()
        if not 0 < len(name) <= _NAME_LENGTH:
            raise input_error(f"Invalid `name`. It should have from 1 to {_NAME_LENGTH} characters.")
        status = form.get("status", ENABLED)
        if status not in {ENABLED, DISABLED}:
            raise input_error(f"Invalid `status`: {status}. Allowed are {ENABLED}, {DISABLED}.")
        sign, kind = form.get("operator", ""), form.get("rhs_type", "")
        if sign not in _OPERATORS:
            raise input_error(f"Invalid `operator`: {sign}. Allowed are {', '.join(_OPERATORS)}.")
        if kind not in {_CONSTANT, _INSTRUMENT}:
            raise input_error(f"Invalid `rhs_type`: {kind}. Allowed are {_CONSTANT}, {_INSTRUMENT}.")
        constant = 0.0
        sides = ["lhs"]
        if kind == _CONSTANT:
            constant = _number(form.get("rhs_constant", ""))
        else:
            sides.append("rhs")
        for side in sides:
            if form.get(f"{side}_attribute") != _ATTRIBUTE:
                raise input_error(f"Invalid `{side}_attribute`. Allowed is {_ATTRIBUTE}.")
            exchange, symbol = form.get(f"{side}_exchange", ""), form.get(f"{side}_tradingsymbol", "")
            if self._token(exchange, symbol) is None:
                raise input_error(f"Invalid `{side}_tradingsymbol`: {exchange}:{symbol} is not listed.")
        other = kind == _INSTRUMENT
        return Alert(
            uuid=uuid,
            name=name,
            status=status,
            lhs_exchange=form["lhs_exchange"],
            lhs_symbol=form["lhs_tradingsymbol"],
            operator=sign,
            rhs_kind=kind,
            rhs_constant=constant,
            rhs_exchange=form["rhs_exchange"] if other else "",
            rhs_symbol=form["rhs_tradingsymbol"] if other else "",
            created=created,
            updated=self._floor.now(),
        )


def _fields(alert: Alert) -> dict[str, str]:
    """Return the form that would make an alert again."""
    return {
        "type": "simple",
        "name": alert.name,
        "status": alert.status,
        "lhs_attribute": _ATTRIBUTE,
        "lhs_exchange": alert.lhs_exchange,
        "lhs_tradingsymbol": alert.lhs_symbol,
        "operator": alert.operator,
        "rhs_type": alert.rhs_kind,
        "rhs_constant": str(alert.rhs_constant),
        "rhs_attribute": _ATTRIBUTE,
        "rhs_exchange": alert.rhs_exchange,
        "rhs_tradingsymbol": alert.rhs_symbol,
    }


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError as error:
        raise input_error(f"Invalid `rhs_constant`: {text}. A number is expected.") from error
    if not 0.0 < value <= _HIGHEST:
        raise input_error(f"Invalid `rhs_constant`: {text}. It should be greater than 0.")
    return value
