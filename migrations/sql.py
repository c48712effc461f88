"""Writes a script of many statements as a migration step."""

from __future__ import annotations

from alembic import op

LOCK_TIMEOUT = "5s"
"""A step that has to wait longer for a table gives up, rather than blocking everybody who queues behind it."""


def run_sql(script: str) -> None:
    """Make ``script`` a part of the step, as it stands: nothing in it is taken for a parameter."""
    output = op.get_context().impl
    output.static_output(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}';")
    output.static_output(script.strip())
