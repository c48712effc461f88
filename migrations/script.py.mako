"""${message}."""

from __future__ import annotations

from migrations.sql import run_sql

revision = "${up_revision}"
down_revision = ${repr(down_revision)}
branch_labels = None
depends_on = None

UPGRADE = """
"""

DOWNGRADE = """
"""


def upgrade() -> None:
    """Go one step forward."""
    run_sql(UPGRADE)


def downgrade() -> None:
    """Go back to where the step began."""
    run_sql(DOWNGRADE)
