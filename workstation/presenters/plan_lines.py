"""Plans as lines a person reads from top to bottom; used by the command and by screens."""

from __future__ import annotations

from engine.core.plans import PlanStep, PlanView
from workstation.formatting import clock_time, money_exact

UNKNOWN = "—"


def plan_lines(view: PlanView) -> list[str]:
    """What it does, how far it is, and each of its steps."""
    record = view.record
    account = f" ({record.account})" if record.account else ""
    lines = [f"{record.name} {record.state}  {record.sentence}{account}"]
    if record.progress.note:
        lines.append(f"     {record.progress.note}")
    facts = [f"made {clock_time(record.created_at)}"]
    if view.elapsed_s is not None:
        facts.append(
            f"works for {view.elapsed_s:.0f}s" if record.finished_at is None else f"took {view.elapsed_s:.0f}s"
        )
    if view.slippage is not None:
        facts.append(f"slippage {money_exact(view.slippage)}")
    if view.naked_quantity:
        since = "" if view.naked_s is None else f" for {view.naked_s:.1f}s"
        facts.append(f"{view.naked_quantity} units uncovered{since}")
    if view.eta_s is not None and record.finished_at is None:
        facts.append(f"next leaves in {view.eta_s:.0f}s")
    lines.append("     " + "  ".join(facts))
    lines += [f"     {step_line(step)}" for step in view.steps]
    return lines


def step_line(step: PlanStep) -> str:
    """One step: what, how far, at which price, by which orders."""
    words = [f"{step.words:<40} {step.state:<9}"]
    if step.quantity:
        words.append(f"{step.filled} of {step.quantity}")
    if step.average_price is not None:
        decided = "" if step.decided_price is None else f", decided at {step.decided_price}"
        words.append(f"avg {step.average_price}{decided}")
    words += [f"o{number}" for number in step.orders]
    return "  ".join(words).rstrip()
