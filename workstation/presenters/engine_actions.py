"""The actions of engine room, doctor, rules and replay, and those that work on every screen of a replay."""

from __future__ import annotations

from collections.abc import Iterable

from workstation.presenters.action import Action, Place, When, action_of


def place_actions() -> Iterable[Action]:
    """Keys that open these screens from everywhere."""
    desk = Place.DESK
    yield action_of(desk, "replay", "f7", "replay", "screen.open('replay')", "Open the tape that is played again.")
    yield action_of(
        desk,
        "engine",
        "f8",
        "engine room",
        "screen.open('engine')",
        "Open the engine room: connections, capacity, queues, tape, gaps, accounts.",
    )
    yield action_of(desk, "doctor", "f9", "doctor", "screen.open('doctor')", "Run every check of the preflight.")
    yield action_of(
        desk, "rules", "f10", "rules", "screen.open('rules')", "Open the dated facts of the market that are in force."
    )


def tape_actions() -> Iterable[Action]:
    """Keys that move the tape, on every screen while the venue is a replay."""

    def tape(name: str, keys: str, label: str, handler: str, sentence: str, *, line: bool = False) -> Action:
        return action_of(Place.TAPE, name, keys, label, handler, sentence, line=line, when=When.REPLAY)

    yield tape("toggle", "space", "play/pause", "screen.tape_toggle", "Play the tape, or pause it.", line=True)
    yield tape(
        "slower",
        "less_than_sign left_square_bracket",
        "speed",
        "screen.tape_speed(-1)",
        "Slower: 60, 30, 10, 5, 2, 1, 0.5, 0.25.",
        line=True,
    )
    yield tape(
        "faster",
        "greater_than_sign right_square_bracket",
        "speed",
        "screen.tape_speed(1)",
        "Faster: 0.25, 0.5, 1, 2, 5, 10, 30, 60.",
        line=True,
    )
    yield tape("step", "full_stop", "step", "screen.tape_step", "One frame on, then pause; 20. is twenty frames.")
    yield tape("back", "left ctrl+left", "minute back", "screen.tape_seek(-1)", "One minute back; a count is minutes.")
    yield tape("forward", "right ctrl+right", "minute on", "screen.tape_seek(1)", "One minute on; a count is minutes.")
    yield tape("far_back", "shift+left", "ten minutes back", "screen.tape_seek(-10)", "Ten minutes back.")
    yield tape("far_forward", "shift+right", "ten minutes on", "screen.tape_seek(10)", "Ten minutes on.")


def replay_actions() -> Iterable[Action]:
    """Keys of the replay screen, beside those of every screen of a replay."""
    yield action_of(
        Place.REPLAY, "seek", "slash", "seek", "screen.seek", "Type a time such as 13:05, or a distance.", line=True
    )


def engine_actions() -> Iterable[Action]:
    """Keys of the engine room."""
    place = Place.ENGINE
    yield action_of(
        place, "zoom", "z", "zoom", "screen.zoom", "The chosen part alone, or all of them again.", line=True
    )
    yield action_of(place, "down", "j down", "lines", "screen.scroll(1)", "Scroll the chosen part down.", line=True)
    yield action_of(place, "up", "k up", "lines", "screen.scroll(-1)", "Scroll the chosen part up.", line=True)
    yield action_of(
        place,
        "record",
        "T",
        "record",
        "screen.record",
        "Begin a tape of what the feed brings, or end it.",
        line=True,
    )
    yield action_of(
        place,
        "login",
        "L",
        "new login",
        "screen.renew",
        "Take the login that was just stored for each account that needs one.",
        line=True,
    )
    yield action_of(place, "rules", "r", "rules", "screen.open('rules')", "Open the rules of the market.", line=True)
    yield action_of(place, "why", "y", "why", "screen.why", "Say in full what is not as it should be.", line=True)


def doctor_actions() -> Iterable[Action]:
    """Keys of the doctor."""
    place = Place.DOCTOR
    yield action_of(place, "again", "r", "again", "screen.again", "Run every check again.", line=True)
    yield action_of(place, "down", "j down", "lines", "screen.scroll(1)", "Scroll down.", line=True)
    yield action_of(place, "up", "k up", "lines", "screen.scroll(-1)", "Scroll up.", line=True)


def rules_actions() -> Iterable[Action]:
    """Keys of the rules."""
    place = Place.RULES
    yield action_of(place, "filter", "slash", "filter", "screen.filter", "Show only rows with these words.", line=True)
    yield action_of(
        place, "day_back", "left_square_bracket", "day", "screen.day(-1)", "In force a day earlier.", line=True
    )
    yield action_of(
        place,
        "day_next",
        "right_square_bracket",
        "day",
        "screen.day(1)",
        "In force a day later; 30] is thirty days.",
        line=True,
    )
    yield action_of(place, "today", "equals_sign", "today", "screen.today", "In force today.", line=True)


def prompt_actions() -> Iterable[Action]:
    """Keys of a line that is being typed on a screen that lies over the Desk."""
    place = Place.PROMPT
    yield action_of(
        place, "take", "enter", "take", "screen.take_prompt", "Take what was typed.", line=True, palette=False
    )
    yield action_of(
        place, "close", "escape", "close", "screen.close_prompt", "Forget what was typed.", line=True, palette=False
    )
