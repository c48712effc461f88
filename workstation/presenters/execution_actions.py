"""The keys of the Orders screen."""

from __future__ import annotations

from collections.abc import Iterable

from workstation.presenters.action import Action, Place, action_of


def execution_place_actions() -> Iterable[Action]:
    """The key that opens it from everywhere."""
    yield action_of(
        Place.DESK,
        "orders",
        "f12",
        "orders",
        "screen.open('orders')",
        "Open the orders: book, plans, dead letters, triggers, differences, limits.",
    )


def execution_actions() -> Iterable[Action]:
    """What its keys do to the row under the cursor. Cancelling is free; sending anything again is reviewed first."""
    place = Place.EXECUTION

    def key(name: str, keys: str, label: str, handler: str, sentence: str, *, line: bool = True) -> Action:
        return action_of(place, name, keys, label, handler, sentence, line=line, palette=False)

    yield key("cancel", "c", "cancel", "screen.cancel_row", "Cancel the order, the plan or the trigger of the row.")
    yield key("cancel_all", "C", "cancel all", "screen.cancel_all", "Review the cancelling of every working order.")
    yield key("resolve", "R", "look up", "screen.resolve", "Look the unknown order up, or compare all with the broker.")
    yield key("again", "s", "send again", "screen.send_again", "Review sending the dead letter of the row again.")
    yield key("close", "x", "close", "screen.close_letter", "Want nothing more of the dead letter of the row.")
    yield key("pause", "p", "pause", "screen.pause", "Pause the plan of the row, or let it go on.")
    yield key("hurry", "plus", "hurry", "screen.steer('hurry')", "The plan's next step of its prices now.")
    yield key("patient", "minus", "patient", "screen.steer('patient')", "The plan stays a step longer.")
    yield key("explain", "e", "explain", "screen.explain", "Say why the difference of the row is there.")
    yield key("why", "y", "why", "screen.why", "Say in full why the row is there and how it went.")
