"""The SQL of migration steps, as Alembic writes it. Loading this module loads Alembic: import it only to migrate."""

from __future__ import annotations

import io
from pathlib import Path

from alembic import command
from alembic.config import Config

BASE = "base"
DROP_VERSION_TABLE = "DROP TABLE schema_version;\n"
"""Alembic leaves its table, empty; the script of an upgrade from nothing would find it in its way."""


def upgrade_sql(folder: Path, source: str, target: str) -> str:
    """The script from step ``source`` (``base`` for none) up to ``target``."""
    output = io.StringIO()
    command.upgrade(_configuration(folder, output), f"{source}:{target}", sql=True)
    return output.getvalue()


def downgrade_sql(folder: Path, source: str, target: str) -> str:
    """The script from step ``source`` down to ``target`` (``base`` for none, which leaves not a table behind)."""
    output = io.StringIO()
    command.downgrade(_configuration(folder, output), f"{source}:{target}", sql=True)
    if target == BASE:
        output.write(DROP_VERSION_TABLE)
    return output.getvalue()


def _configuration(folder: Path, output: io.StringIO) -> Config:
    configuration = Config(stdout=output, output_buffer=output)
    configuration.set_main_option("script_location", str(folder).replace("%", "%%"))
    configuration.set_main_option("path_separator", "os")
    return configuration
