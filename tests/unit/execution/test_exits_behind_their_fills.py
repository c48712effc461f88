"""An exit of a strategy whose fills the ledger does not hold yet: it is told so, not that nothing is held."""

from __future__ import annotations

from collections.abc import Sequence
from zoneinfo import ZoneInfo

from engine.core.commands import ExitPositions, Receipt
from engine.core.errors import UnknownStrategy
from engine.core.identifiers import StrategyNumber
from engine.core.plans import ExitScope, ExitTarget, PlanNumber, PlanRecord, PlanSpec, PlanTurn, PlanView
from engine.core.strategies import Leg, Strategy
from engine.execution.plans.exit_intake import ExitIntake
from engine.execution.plans.exit_schedule import ExitSettings
from tests.unit.execution.desk import ACCOUNT, OPENING, Desk, buy

MAIN, OWN = StrategyNumber(1), StrategyNumber(2)


class EmptyBook:
    """Two strategies of one account, neither of which holds anything by the ledger."""

    def __init__(self, rows: Sequence[Strategy]) -> None:
        self._rows = {row.number: row for row in rows}

    def strategy(self, number: StrategyNumber) -> Strategy:
        """By number."""
        if number not in self._rows:
            raise UnknownStrategy(f"There is no strategy #{number}.", field="strategy")
        return self._rows[number]

    def strategies(self, *, archived: bool = False) -> tuple[Strategy, ...]:
        """All of them; none is archived."""
        del archived
        return tuple(self._rows.values())

    def open_legs(self, strategy: StrategyNumber) -> tuple[Leg, ...]:
        """None."""
        del strategy
        return ()

    def leg(self, strategy: StrategyNumber, number: int) -> Leg | None:
        """None."""
        del strategy, number
        return None


class NoPlans:
    """A desk of plans that has none and is given none."""

    def __init__(self) -> None:
        self.submitted: list[PlanSpec] = []

    async def submit(
        self, spec: PlanSpec, *, sentence: str, key: str | None = None, seat: str = "", by: str = "person"
    ) -> Receipt:
        """Remember it."""
        del sentence, key, seat, by
        self.submitted.append(spec)
        return Receipt(accepted=True, message="")

    async def steer(self, number: PlanNumber, turn: PlanTurn, *, seat: str = "") -> Receipt:
        """There is none to steer."""
        del turn, seat
        return Receipt(accepted=False, message=f"There is no p{number}.")

    def views(self) -> tuple[PlanView, ...]:
        """None."""
        return ()

    async def made_by(self, key: str) -> PlanRecord | None:
        """None."""
        del key
        return None


async def test_an_exit_before_the_ledger_has_the_fill_says_that_it_is_on_its_way() -> None:
    """Named with its order, which is the default strategy's; another strategy holds nothing, and is told that."""
    async with Desk() as desk:
        number = await desk.resting(buy(quantity=130))
        desk.fills.keeps = True
        desk.broker.fill(desk.broker.of_tag(desk.order(number).tag).order_id)
        await desk.clock.advance(3)
        assert desk.executor.unbooked() != ()
        plans = NoPlans()
        book = EmptyBook(
            [
                Strategy(number=one, account=ACCOUNT, name=f"s{one}", is_default=one == OWN, created_at=OPENING)
                for one in (MAIN, OWN)
            ]
        )
        exits = ExitIntake(
            book=lambda: book,
            positions=desk.executor.positions,
            facts=desk.facts,
            judge=desk.executor,
            plans=plans,
            clock=desk.clock,
            zone=ZoneInfo("Asia/Kolkata"),
            settings=ExitSettings(),
            coming=desk.executor.unbooked,
        )
        early = await exits.submit(ExitPositions(target=ExitTarget(scope=ExitScope.STRATEGY, strategy=OWN)))
        assert not early.accepted
        assert f"What o{number} traded is on its way into the ledger" in early.message
        other = await exits.submit(ExitPositions(target=ExitTarget(scope=ExitScope.STRATEGY, strategy=MAIN)))
        assert "holds nothing to exit" in other.message
        desk.fills.book_kept()
        await desk.clock.advance(3)
        late = await exits.submit(ExitPositions(target=ExitTarget(scope=ExitScope.STRATEGY, strategy=OWN)))
        assert "holds nothing to exit" in late.message, "this book never gets it; nothing is on its way any more"
        assert plans.submitted == []
