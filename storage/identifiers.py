"""Names inside PostgreSQL that cannot be parameters of a statement: checked against a white list of characters."""

from __future__ import annotations

import re

from engine.core.errors import InvalidInput

IDENTIFIER_LENGTH_MAX = 63
_IDENTIFIER = re.compile(rf"[a-z][a-z0-9_]{{0,{IDENTIFIER_LENGTH_MAX - 1}}}")


def checked_identifier(name: str) -> str:
    """Return ``name`` if it may stand in a statement unquoted.

    Raises:
        InvalidInput: it is anything but a lower-case letter followed by letters, digits and underscores (63 at most).
    """
    if _IDENTIFIER.fullmatch(name) is None:
        raise InvalidInput(
            f'"{name}" cannot be the name of a database or role: lower-case letters, digits and underscores, '
            f"a letter first, at most {IDENTIFIER_LENGTH_MAX}.",
            field="database",
        )
    return name
