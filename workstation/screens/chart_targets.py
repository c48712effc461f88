"""Which instruments lie at hand for the Charts screen: those of the chain's cursor and of the strategy looked at."""

from __future__ import annotations

from collections.abc import Sequence

from engine.core.errors import UnknownInstrument
from engine.core.instruments import Instrument
from engine.core.views import ChainView, DeskView
from engine.core.vocabulary import InstrumentKind
from workstation.presenters.chart_choice import ChartTarget
from workstation.presenters.desk_state import DeskState, Selection


def cursor_target(state: DeskState, view: ChainView | None) -> ChartTarget | None:
    """The contract under the cursor of a chain; ``None`` where there is none."""
    selection = state.selection(view)
    return None if selection is None else _contract(state, selection)


def targets_at_hand(state: DeskState, view: ChainView | None, desk: DeskView | None) -> list[ChartTarget]:
    """Call and put under the cursor, the chain's index and nearest future, legs of the strategy, each once."""
    found: list[ChartTarget] = []
    selection = state.selection(view)
    if view is not None and selection is not None:
        sides = (InstrumentKind.CALL, view.calls), (InstrumentKind.PUT, view.puts)
        for kind, columns in sides:
            token = int(columns.token[selection.row])
            contract = Selection(
                token=token,
                underlying=selection.underlying,
                strike=selection.strike,
                kind=kind,
                row=selection.row,
            )
            found += [target] if (target := _contract(state, contract)) is not None else []
    if state.key is not None:
        name = state.key.underlying
        found.append(ChartTarget(words=name, kind=InstrumentKind.INDEX))
        found.append(ChartTarget(words=f"{name} fut", kind=InstrumentKind.FUTURE))
    tokens = {target.token for target in found if target.token}
    for value in desk.strategies if desk is not None else ():
        if value.strategy.number == state.strategy:
            held = [leg.leg for leg in value.legs if leg.leg.token not in tokens]
            found += [ChartTarget(key=leg.instrument) for leg in held]
    return found


def chosen(target: ChartTarget, found: Sequence[Instrument]) -> Instrument:
    """The instrument that a target means, among what a search found.

    Raises:
        UnknownInstrument: it is not among them.
    """
    for instrument in found:
        if target.key is not None:
            if instrument.key == target.key:
                return instrument
        elif target.token:
            if instrument.token == target.token:
                return instrument
        elif target.kind is None or instrument.kind is target.kind:
            return instrument
    if target.key is None and not target.token and found:
        return found[0]
    raise UnknownInstrument(f'No instrument answers to "{target.search}" today.', field="instrument")


def step_from(targets: Sequence[ChartTarget], current: ChartTarget | None, step: int) -> ChartTarget | None:
    """The target so many places on, round the list; its first where the current one is not in it."""
    if not targets:
        return None
    here = next((place for place, target in enumerate(targets) if target == current), None)
    return targets[0] if here is None else targets[(here + step) % len(targets)]


def _contract(state: DeskState, selection: Selection) -> ChartTarget | None:
    if not selection.token:
        return None
    return ChartTarget(words=state.words_of(selection), token=selection.token, kind=selection.kind)
