"""Alembic's entry: writes the chosen steps as SQL, each in a transaction of its own.

Alembic only writes; ``storage.migrate`` sends what it wrote to the server, under a lock, over the same driver that the
program uses for everything. So what runs is what ``db upgrade --sql`` prints, to the letter, and a step cannot do
anything that a person could not do by hand with the printed script.
"""

from __future__ import annotations

from alembic import context
from alembic.util import CommandError

VERSION_TABLE = "schema_version"


def main() -> None:
    """Write the steps.

    Raises:
        CommandError: Alembic was asked to connect by itself.
    """
    if not context.is_offline_mode():
        raise CommandError("Migrate with: workstation db upgrade, workstation db downgrade (or alembic … --sql)")
    context.configure(
        dialect_name="postgresql", literal_binds=True, version_table=VERSION_TABLE, transaction_per_migration=True
    )
    with context.begin_transaction():
        context.run_migrations()


main()
