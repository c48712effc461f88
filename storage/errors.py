"""What can go wrong with keeping things, as leaves of the project's tree of errors.

::

    SetupError
    ├── ServerProblem            the private PostgreSQL server cannot be used as asked
    │   ├── ProgramsMissing      no PostgreSQL programs on this machine
    │   ├── FolderUnusable       the data folder cannot be written, or is another user's
    │   ├── ForeignFolder        the folder holds something that is not ours
    │   ├── FolderNewer          the folder was made by a later release of this program
    │   ├── WrongServerVersion   the data belong to another major version of PostgreSQL
    │   ├── DiskFull             no space left
    │   └── ServerNotReady       it ended, or did not come up or down in time
    └── SchemaProblem            the database's tables are not what this release expects
        ├── ForeignSchema        tables that are not ours
        ├── SchemaNewer          tables of a later release
        └── MigrationFailed      a step was refused, or another process holds the lock; nothing of the step remains
    StorageError
    ├── StorageUnavailable, StorageTimeout, StorageConflict, WriterLost    (engine.core.errors)
    │   └── UniqueRefused        StorageConflict with the name of the rule
    ├── StorageFull              the server has no space left to write; reading still works
    └── RowRefused               another rule of the schema refused a row

Each of them leaves the data as they were.
"""

from __future__ import annotations

from engine.core.errors import SetupError, StorageConflict, StorageError


class ServerProblem(SetupError):
    """The private PostgreSQL server cannot be used as asked; the data are untouched."""


class ProgramsMissing(ServerProblem):
    """No PostgreSQL programs were found in any of the places looked at."""


class FolderUnusable(ServerProblem):
    """The data folder cannot be written, or belongs to another user of the machine."""


class ForeignFolder(ServerProblem):
    """The folder named as the data folder holds files that this program did not make."""


class FolderNewer(ServerProblem):
    """The data folder was laid out by a later release of this program."""


class WrongServerVersion(ServerProblem):
    """The data belong to a major version of PostgreSQL that is not installed."""


class DiskFull(ServerProblem):
    """The disk (or the shared memory) that the server needs has no space left."""


class ServerNotReady(ServerProblem):
    """The server ended at once, or did not come up (or down) within the set time."""


class SchemaProblem(SetupError):
    """The tables of the database are not those that this release works with; nothing was changed."""


class ForeignSchema(SchemaProblem):
    """The database holds tables that are not ours."""


class SchemaNewer(SchemaProblem):
    """The database was migrated by a later release."""


class MigrationFailed(SchemaProblem):
    """A migration was refused or could not get its lock; it was rolled back whole."""


class StorageFull(StorageError):
    """The server has no space left to write. What was acknowledged is kept; nothing new can be."""


class RowRefused(StorageError):
    """A rule of the schema (a check, a reference, a column that must be filled) refused a row."""

    def __init__(self, message: str, constraint: str) -> None:
        """Keep the name of the rule."""
        super().__init__(message)
        self.constraint = constraint


class UniqueRefused(StorageConflict):
    """A uniqueness rule refused a row."""

    def __init__(self, message: str, constraint: str) -> None:
        """Keep the name of the rule, so that a repository can say it in the words of the field."""
        super().__init__(message)
        self.constraint = constraint
