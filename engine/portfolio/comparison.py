"""Our ledger against the broker's net positions. Every difference is a line in words until it is explained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from engine.core.identifiers import InstrumentKey
from engine.core.positions import BrokerPosition
from engine.core.vocabulary import Product
from engine.portfolio.book import NetKey


class Mismatch(msgspec.Struct, frozen=True, kw_only=True):
    """One instrument and product where the broker and the ledger do not agree; signed units."""

    instrument: InstrumentKey
    product: Product
    broker: int
    ledger: int

    @property
    def unexplained(self) -> int:
        """What the broker has beyond the ledger; signed."""
        return self.broker - self.ledger

    @property
    def sentence(self) -> str:
        """The line a person reads."""
        return (
            f"unexplained {self.unexplained:+d} {self.instrument} {self.product}: "
            f"the broker has {self.broker:+d}, the strategies together {self.ledger:+d}."
        )


def compare_positions(net: Mapping[NetKey, int], positions: Sequence[BrokerPosition]) -> tuple[Mismatch, ...]:
    """Every difference between the ledger's net and the broker's, by instrument; empty when they agree."""
    broker: dict[NetKey, int] = {}
    for position in positions:
        key = NetKey(position.instrument, position.product)
        broker[key] = broker.get(key, 0) + position.signed_quantity
    return tuple(
        Mismatch(instrument=key.instrument, product=key.product, broker=broker.get(key, 0), ledger=net.get(key, 0))
        for key in sorted(broker.keys() | net.keys())
        if broker.get(key, 0) != net.get(key, 0)
    )
