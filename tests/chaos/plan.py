"""How much of what a run does, and what it has counted so far."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from tests.chaos.intents import Intent

AIMS_OF_KILLS = 5
PER_OUTAGE = 10
"""Of the database and of the exchange one is made for so many kills of the engine, and always one of each."""


class Aim(StrEnum):
    """The moment at which something is killed."""

    UNSENT = "journalled-unsent"
    UNACCEPTED = "sent-unaccepted"
    UNANSWERED = "accepted-unanswered"
    UNJOURNALLED = "answered-unjournalled"
    UNLEDGERED = "fill-unledgered"
    RANDOM = "random"
    DATABASE = "PostgreSQL killed"
    EXCHANGE = "exchange killed"


AIMED = (Aim.UNSENT, Aim.UNACCEPTED, Aim.UNANSWERED, Aim.UNJOURNALLED, Aim.UNLEDGERED)


@dataclass(frozen=True)
class Plan:
    """One run.

    ``kills`` is the number of aimed kills of the engine, shared evenly by the five moments; a fifth as many come at
    random beside them, and a tenth each of the database and of the exchange. Times are in seconds.
    """

    orders: int
    kills: int
    seed: int
    accounts: int = 4
    rate_per_s: float = 6.0
    """Orders given to each account."""
    fault_rate: float = 0.04
    """Share of order requests that meet a fault by chance."""
    order_timeout_s: float = 7.0
    """How long the engine waits for an answer."""
    unknown_window_s: float = 30.0
    """How long it looks for an order without one."""
    random_kills: bool = True
    """Whether there are kills at random beside the aimed ones."""
    errand_share: float = 0.15
    """For each order, the chance that a trigger, a conversion or a plan is begun beside it."""
    reconcile_s: float = 60.0
    """How often it compares everything."""

    def outages(self) -> dict[Aim, int]:
        """How many of each kind are to be made."""
        each = -(-self.kills // AIMS_OF_KILLS)
        share = max(1, self.kills // PER_OUTAGE) if self.kills else 0
        counts = dict.fromkeys(AIMED, each)
        return counts | {Aim.RANDOM: each if self.random_kills else 0, Aim.DATABASE: share, Aim.EXCHANGE: share}


@dataclass
class Tally:
    """What has happened so far."""

    promised: dict[str, int] = field(default_factory=dict)
    """Idempotency key → order number of its receipt."""
    accounts: dict[str, str] = field(default_factory=dict)
    """Idempotency key → account it was given to."""
    refused: dict[str, str] = field(default_factory=dict)
    """Idempotency key → why it was refused for good."""
    refused_for_now: dict[str, str] = field(default_factory=dict)
    """Idempotency key → why it was refused last time; it is given again."""
    broken: list[str] = field(default_factory=list)
    """Promises that a second receipt contradicts."""
    repeated: int = 0
    """Receipts that named an order made before."""
    twins: int = 0
    """Commands given by two seats at once under one key."""
    deaths: int = 0
    """The engine ended without being killed."""
    modified: int = 0
    cancelled: int = 0
    exits: int = 0
    """Orders that reduce what the account holds."""
    commands: int = 0
    """Orders given by the ``order`` command."""
    outages: dict[Aim, int] = field(default_factory=lambda: dict.fromkeys(Aim, 0))
    """Kills that met their moment."""
    missed: dict[Aim, int] = field(default_factory=lambda: dict.fromkeys(Aim, 0))
    """Attempts that did not come to their moment, or could not be shown to have; most killed nothing."""
    intents: dict[str, Intent] = field(default_factory=dict)
    """Idempotency key → what was asked beside the orders."""
    changed: int = 0
    taken_back: int = 0
    """Triggers that were asked to be changed, and to be deleted."""
    outside_tags: set[str] = field(default_factory=set)
    """Tags of orders that another program gave."""
    plan_records: dict[int, dict[str, Any]] = field(default_factory=dict)
    """Plan number → what the program last said of it; it keeps the newest only."""
    faults: dict[str, int] = field(default_factory=dict)
    """Faults that struck at the exchange, by kind."""

    @property
    def kills(self) -> int:
        """Kills of the engine."""
        return sum(self.outages[aim] for aim in (*AIMED, Aim.RANDOM))
