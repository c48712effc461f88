"""From the registry of actions to the screen library's bindings."""

from __future__ import annotations

from textual.binding import Binding, BindingType

from workstation.actions import ACTIONS, Place


def bindings_of(*places: Place) -> list[BindingType]:
    """Bindings of the given places. Only the panic key has priority: an input and a dialog keep their keys."""
    return [
        Binding(
            ",".join(action.keys),
            action.handler,
            action.label,
            tooltip=action.help,
            id=action.id,
            show=False,
            priority=action.priority,
        )
        for action in ACTIONS
        if action.place in places
    ]
