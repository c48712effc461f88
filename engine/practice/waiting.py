"""Everything of an account that waits for a price without being an order: its triggers and its alerts."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence

from engine.practice.alerts import AlertDesk
from engine.practice.changes import Changes
from engine.practice.floor import Floor
from engine.practice.ledger import Ledger
from engine.practice.order_desk import OrderDesk
from engine.practice.quirks import Quirks
from engine.practice.settings import ServiceSettings
from engine.practice.triggers import TriggerDesk, TriggerRules

_DISTANCES = (0.0025, 0.0)
"""Least distance of a trigger from the last price: said to be a quarter of a per cent, not documented."""


class Waiting:
    """Triggers and alerts of one account.

    Args:
        settings: How many there may be.
        floor: The market now.
        ledger: The account's state.
        changes: How state is changed.
        orders: Where a fired trigger's order is placed.
        index_tokens: Tokens of the quotes' index columns.
        new_id: Makes ids of alerts.
    """

    def __init__(
        self,
        *,
        settings: ServiceSettings,
        floor: Floor,
        ledger: Ledger,
        changes: Changes,
        orders: OrderDesk,
        index_tokens: Callable[[], Sequence[int]],
        new_id: Callable[[], str] = lambda: str(uuid.uuid4()),
    ) -> None:
        seed = ledger.venue.seed if ledger.venue is not None else 0
        rules = TriggerRules(settings.active_triggers, Quirks(seed).pick("trigger distance", _DISTANCES))
        self.triggers = TriggerDesk(floor=floor, ledger=ledger, changes=changes, orders=orders, rules=rules)
        self.alerts = AlertDesk(
            floor=floor,
            ledger=ledger,
            changes=changes,
            index_tokens=index_tokens,
            most=settings.alerts,
            new_id=new_id,
        )

    def resume(self) -> None:
        """Finish what a kill interrupted."""
        self.triggers.resume()

    def step(self) -> None:
        """Look at the quotes of this instant. The caller commits what is left to commit."""
        self.triggers.step()
        self.alerts.step()
