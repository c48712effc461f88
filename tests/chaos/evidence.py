"""What both sides say when nothing moves any more, and what was found wrong with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from tests.chaos.intents import Intent

Row = dict[str, Any]


@dataclass
class Verdict:
    """What does not agree, in words."""

    duplicates: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    unexplained: list[str] = field(default_factory=list)
    late: list[str] = field(default_factory=list)
    """Not wrong: orders of exits that the exchange accepted only after they had been presumed absent, as its own events
    and the journal's lines prove, so that what went in their place was filled as well."""
    plans: set[int] = field(default_factory=set)
    """Plans of which one of these sentences speaks."""

    @property
    def is_clean(self) -> bool:
        """Whether everything agrees."""
        return not (self.duplicates or self.lost or self.unexplained)


@dataclass(frozen=True)
class Evidence:
    """Listings of both sides, taken when nothing was moving any more."""

    ours: list[Row]
    our_trades: list[Row]
    theirs: list[Row]
    their_trades: list[Row]
    posts_by_tag: dict[str, int]
    """Placements that may have made an order: all that arrived but those refused for speed, in so many words."""
    their_net: list[Row]
    our_legs: list[Row]
    """Legs of all strategies."""
    promised: dict[str, int]
    """Idempotency key → order number of its receipt."""
    refused: frozenset[str]
    """Keys whose orders were refused."""
    accounts: dict[str, str] = field(default_factory=dict)
    """Idempotency key → account it was given to."""
    mismatches: tuple[str, ...] = ()
    """What the program itself cannot explain."""
    broken: tuple[str, ...] = ()
    """Receipts that contradict earlier ones of the same key."""
    intents: tuple[Intent, ...] = ()
    """What was asked beside the orders, with the last answer to each key."""
    our_plans: list[Row] = field(default_factory=list)
    """Records of all plans, as the program last told them."""
    our_triggers: list[Row] = field(default_factory=list)
    their_triggers: list[Row] = field(default_factory=list)
    trigger_posts: dict[str, int] = field(default_factory=dict)
    """By account, placements of triggers that may have made one."""
    conversion_puts: dict[str, int] = field(default_factory=dict)
    """By account, conversions that may have been made."""
    outside_tags: frozenset[str] = frozenset()
    """Of orders that another program gave."""
    histories: dict[int, list[Row]] = field(default_factory=dict)
    """Order number → the lines of the journal, of the orders of plans."""
    accepted_at: dict[str, float] = field(default_factory=dict)
    """Account and order id → epoch second at which the exchange accepted the order, by its own events."""
    requests: list[Row] = field(default_factory=list)
    """What reached the exchange, by its own log."""


def at(row: Row, name: object) -> str:
    """A name with its account: each account counts its own orders."""
    return f"{row.get('account', '')} {name}".strip()


def their_positions(net: list[Row]) -> dict[str, int]:
    """What is held by account, contract and product, as the exchange says; nothing that is flat."""
    return _summed((at(row, f"{row['tradingsymbol']} {row['product']}"), int(row["quantity"])) for row in net)


def our_positions(legs: list[Row]) -> dict[str, int]:
    """The same, of all strategies' legs together."""
    return _summed(
        (at(leg, f"{leg['instrument']['tradingsymbol']} {leg['product']}"), int(leg["holding"]["signed_quantity"]))
        for leg in legs
    )


def _summed(pairs: Iterable[tuple[str, int]]) -> dict[str, int]:
    found: Counter[str] = Counter()
    for name, units in pairs:
        found[name] += units
    return {name: units for name, units in found.items() if units}
