"""Which conversions without an answer explain what is held now. Pure.

A movement answers as many conversions as it has room for and no more: what others of the contract are known to have
moved since the figures before is taken off first, and so are the fills. What is left has to be explained to the unit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations

from engine.core.instructions import Baseline, Conversion, Instruction, InstructionNumber, InstructionState
from engine.core.vocabulary import Product

Moved = tuple[int, int]
"""Signed units that went into the old product and into the new one."""

NOTHING: Moved = (0, 0)
TOGETHER_MAX = 4
"""Conversions that one reading may show at once; more of them without an answer are left to a person."""
SEARCHED_MAX = 12
"""Conversions without an answer, the newest, that are considered together."""


def explained(
    questions: Sequence[Instruction], others: Iterable[Instruction], now: Mapping[InstructionNumber, Baseline]
) -> tuple[Instruction, ...]:
    """Those of ``questions`` that were done by the figures of this moment, the newest first; none in doubt.

    One alone is preferred to several, and a newer one to an older: what was done is the same, and a sum never counts a
    movement twice.

    Args:
        questions: Without an answer, of one contract.
        others: All other conversions of the contract that are known.
        now: The figures of this moment in the products of each question, by its number.
    """
    done = tuple(item for item in others if item.state is InstructionState.DONE)
    newest = sorted((item for item in questions if item.conversion is not None), key=lambda item: -item.number)
    left = {item.number: _unexplained(item, done, now[item.number]) for item in newest}
    searched = newest[:SEARCHED_MAX]
    for size in range(1, min(TOGETHER_MAX, len(searched)) + 1):
        for several in combinations(searched, size):
            # Nothing moved is no proof: two that would cancel out were more likely not done at all.
            if all(left[item.number] == _sum(several, item) != NOTHING for item in several):
                return several
    return ()


def _unexplained(question: Instruction, done: Iterable[Instruction], now: Baseline) -> Moved:
    """What moved since a question's figures before, without fills and without what others are known to have moved."""
    before = question.baseline
    theirs = _sum((item for item in done if _is_after(item, question)), question)
    return (
        (now.from_quantity - before.from_quantity) - (now.from_traded - before.from_traded) - theirs[0],
        (now.to_quantity - before.to_quantity) - (now.to_traded - before.to_traded) - theirs[1],
    )


def _is_after(done: Instruction, question: Instruction) -> bool:
    """Whether one that is done moved after a question's figures before were read.

    A newer one was sent after them. An older one that was still looked for then was not in them: what they showed was
    judged before the question was made.
    """
    return done.number > question.number or done.updated_at > question.created_at


def _sum(several: Iterable[Instruction], question: Instruction) -> Moved:
    """What conversions move of the two products of a question."""
    wanted = [item.conversion for item in several if item.conversion is not None]
    if question.conversion is None:
        return 0, 0
    old, new = question.conversion.from_product, question.conversion.to_product
    return sum(_into(item, old) for item in wanted), sum(_into(item, new) for item in wanted)


def _into(wanted: Conversion, product: Product) -> int:
    """Signed units that a conversion brings into a product."""
    signed = wanted.side.sign * wanted.quantity
    return signed * ((product is wanted.to_product) - (product is wanted.from_product))
