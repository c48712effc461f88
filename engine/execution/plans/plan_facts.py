"""What a basket or an exit keeps over a restart, as text: moments, prices, counts."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal


class Facts:
    """The facts of a plan, read and changed as values."""

    def __init__(self, facts: dict[str, str]) -> None:
        """Begin with a copy of ``facts``."""
        self.text = dict(facts)

    def moment(self, name: str) -> datetime | None:
        """A moment (aware UTC)."""
        found = self.text.get(name)
        return None if found is None else datetime.fromisoformat(found)

    def begin(self, name: str, now: datetime) -> datetime:
        """The moment, which is now if it had not been set."""
        found = self.moment(name)
        if found is None:
            self.text[name] = now.isoformat()
            return now
        return found

    def set_moment(self, name: str, moment: datetime) -> None:
        """Keep a moment."""
        self.text[name] = moment.isoformat()

    def price(self, name: str) -> Decimal | None:
        """A price."""
        found = self.text.get(name)
        return None if found is None else Decimal(found)

    def set_price(self, name: str, price: Decimal) -> None:
        """Keep a price."""
        self.text[name] = str(price)

    def count(self, name: str) -> int:
        """A count; 0 when there is none."""
        return int(self.text.get(name, "0"))

    def set_count(self, name: str, count: int) -> None:
        """Keep a count; 0 is not kept."""
        if count:
            self.text[name] = str(count)
        else:
            self.text.pop(name, None)

    def has(self, name: str) -> bool:
        """Whether it is there."""
        return name in self.text

    def drop(self, *names: str) -> None:
        """Forget."""
        for name in names:
            self.text.pop(name, None)
