"""Exit codes of every command; part of the contract with scripts."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """What a command's end means."""

    DONE = 0
    REFUSED = 1
    """Understood and refused: a check, a mode, the broker's no. The reasons are on standard error."""
    USAGE = 2
    """The words of the command are wrong."""
    UNAVAILABLE = 3
    """The engine, the broker or the database cannot be reached now; what was asked was not done."""
    SETUP = 4
    """The program cannot start as asked (configuration, port, data folder, schema)."""
    UNKNOWN_OUTCOME = 5
    """It may have been done: look before doing it again, or repeat with the same --key."""
    INTERRUPTED = 130
