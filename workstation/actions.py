"""The one registry of what keys do. Bindings, key line, help, palette and the keymap of the settings are made from it.

Letters act only in the place they are listed for. On grids and lists small letters only draft, cancelling excepted.
No action but the panic key has priority over an input or a dialog: an order key can never fire while something is
being typed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from engine.core.errors import InvalidInput
from workstation.presenters.action import Action, Place, When
from workstation.presenters.action_table import ACTIONS

__all__ = ["ACTIONS", "PLACE_TITLES", "Action", "Place", "Registry", "When", "key_sign"]

PLACE_TITLES = {
    Place.APP: "Everywhere",
    Place.DESK: "On every screen",
    Place.CHAIN: "Chain, ticket and depth",
    Place.LIST: "Lists",
    Place.STRATEGIES: "Strategies",
    Place.STRATEGY: "Strategy screen",
    Place.VOLATILITY: "Volatility screen",
    Place.TAPE: "On every screen of a replay; a pane's own keys come first",
    Place.REPLAY: "Replay screen",
    Place.ENGINE: "Engine room",
    Place.DOCTOR: "Doctor",
    Place.RULES: "Rules of the market",
    Place.CHARTS: "Charts",
    Place.SEARCH: "Searching an instrument",
    Place.PROMPT: "Typing a time or a filter",
    Place.ORDERS: "Orders",
    Place.EXECUTION: "Orders screen",
    Place.EVENTS: "Events",
    Place.BAR: "Command bar",
    Place.DIALOG: "Dialogs",
    Place.PANIC: "Panic panel",
}


KEY_SIGNS = {
    "left_square_bracket": "[",
    "right_square_bracket": "]",
    "left_curly_bracket": "{",
    "right_curly_bracket": "}",
    "plus": "+",
    "minus": "-",
    "equals_sign": "=",
    "less_than_sign": "<",
    "greater_than_sign": ">",
    "full_stop": ".",
    "slash": "/",
    "colon": ":",
    "question_mark": "?",
    "exclamation_mark": "!",
    "backslash": "\\",
    "space": "Space",
    "enter": "Enter",
    "escape": "Esc",
    "tab": "Tab",
    "shift+tab": "S-Tab",
    "up": "Up",
    "down": "Down",
    "left": "Left",
    "right": "Right",
    "pageup": "PgUp",
    "pagedown": "PgDn",
    "home": "Home",
    "end": "End",
}


def key_sign(key: str) -> str:
    """A key as a person reads it: ``]``, ``Ctrl-G``, ``F1``."""
    if key in KEY_SIGNS:
        return KEY_SIGNS[key]
    modifier, plus, rest = key.partition("+")
    if plus:
        return f"{modifier.capitalize()}-{rest.upper() if len(rest) == 1 else KEY_SIGNS.get(rest, rest)}"
    return key.upper() if len(key) > 1 else key


class Registry:
    """The actions with the keys that are in force."""

    def __init__(self, actions: Iterable[Action] = ACTIONS, keymap: Mapping[str, str] | None = None) -> None:
        """Apply ``keymap``: action id to keys, comma separated.

        Raises:
            InvalidInput: an unknown action, an action left without a key, or a key used twice in one place.
        """
        self.keymap = dict(keymap or {})
        known = {action.id: action for action in actions}
        for name, keys in self.keymap.items():
            if name not in known:
                raise InvalidInput(
                    f'keymap names "{name}", which is no action. Actions are: {", ".join(sorted(known))}.',
                    field="keymap",
                )
            chosen = tuple(key.strip() for key in keys.split(",") if key.strip())
            if not chosen:
                raise InvalidInput(f'keymap leaves "{name}" without a key; name at least one.', field="keymap")
            known[name] = msgspec.structs.replace(known[name], keys=chosen)
        self.actions = tuple(known.values())
        self._conditions = {action.method: action.when for action in self.actions if action.when is not When.ALWAYS}
        self._refuse_clashes()

    def of(self, place: Place) -> tuple[Action, ...]:
        """The actions of a place."""
        return tuple(action for action in self.actions if action.place is place)

    def keys_of(self, action_id: str) -> str:
        """The first key of an action, as a person reads it."""
        return next(key_sign(action.keys[0]) for action in self.actions if action.id == action_id)

    def condition_of(self, method: str) -> When:
        """What must be the case for a method of a screen to be called by a key."""
        return self._conditions.get(method, When.ALWAYS)

    def _refuse_clashes(self) -> None:
        for place in Place:
            taken: dict[str, str] = {}
            for action in self.of(place):
                for key in action.keys:
                    if key in taken:
                        clash = f'"{key}" is given to both {taken[key]} and {action.id}'
                        raise InvalidInput(f"{clash}; one key does one thing in one place.", field="keymap")
                    taken[key] = action.id
