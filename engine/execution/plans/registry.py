"""Which algorithm works which plan."""

from __future__ import annotations

from collections.abc import Mapping

from engine.core.errors import InvalidInput
from engine.core.plans import Chase, Iceberg, OrderPlan, PlanRecord, PlanSpec, Slice, Twap
from engine.execution.plans.algorithm import Algorithm
from engine.execution.plans.chase import ChaseAlgorithm
from engine.execution.plans.iceberg import IcebergAlgorithm
from engine.execution.plans.slicing import SliceAlgorithm
from engine.execution.plans.twap import TwapAlgorithm


class PlanAlgorithms:
    """Algorithms by the type of the specification, for one order by that of its manner.

    Args:
        others: Algorithms of other kinds than the manners of one order.
    """

    def __init__(self, others: Mapping[type, Algorithm]) -> None:
        self._by_kind: dict[type, Algorithm] = {
            Slice: SliceAlgorithm(),
            Iceberg: IcebergAlgorithm(),
            Twap: TwapAlgorithm(),
            Chase: ChaseAlgorithm(),
            **others,
        }

    def knows(self, spec: PlanSpec) -> bool:
        """Whether there is one for such a plan."""
        return _kind(spec) in self._by_kind

    def of(self, plan: PlanRecord) -> Algorithm:
        """The algorithm of a plan.

        Raises:
            InvalidInput: there is none for its kind.
        """
        kind = _kind(plan.spec)
        found = self._by_kind.get(kind)
        if found is None:
            raise InvalidInput(f"{plan.name} is a {kind.__name__}, which this engine cannot work.", field="spec")
        return found


def _kind(spec: PlanSpec) -> type:
    return type(spec.manner) if isinstance(spec, OrderPlan) else type(spec)
