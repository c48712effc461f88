"""The ledger's positions against the broker's, for reconciliations."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from engine.core.errors import BrokerError
from engine.core.positions import BrokerPosition
from engine.core.reconciling import MismatchKind
from engine.execution.mismatches import Finding
from engine.execution.reconciliation import Comparison
from engine.portfolio.comparison import Mismatch
from engine.portfolio.service import PortfolioService

logger = logging.getLogger(__name__)

KINDS = frozenset({MismatchKind.POSITION})


class PositionCheck:
    """Compares what the strategies hold together with the broker's net.

    Args:
        read: The broker's net positions, asked now.
        portfolio: The ledger; ``None`` while there is none.
    """

    def __init__(
        self,
        read: Callable[[], Awaitable[tuple[BrokerPosition, ...]]],
        portfolio: Callable[[], PortfolioService | None],
    ) -> None:
        self._read = read
        self._portfolio = portfolio

    async def compare(self) -> Comparison:
        """One reading."""
        try:
            positions = await self._read()
        except BrokerError as error:
            logger.warning("positions could not be compared: %s", error)
            return Comparison(kinds=KINDS, found=None)
        portfolio = self._portfolio()
        if portfolio is None:
            return Comparison(kinds=KINDS, found=None)
        return Comparison(kinds=KINDS, found=tuple(map(_finding, portfolio.compare(positions))))


def _finding(mismatch: Mismatch) -> Finding:
    return Finding(
        kind=MismatchKind.POSITION,
        subject=f"{mismatch.instrument} {mismatch.product}",
        words=mismatch.sentence.rstrip("."),
        ours=f"{mismatch.ledger:+d}",
        theirs=f"{mismatch.broker:+d}",
        difference=f"{mismatch.unexplained:+d}",
    )
