"""The log file: bounded, rotated, and never with a token in it. Nothing is ever printed over a screen."""

from __future__ import annotations

import logging
import re
from logging.handlers import RotatingFileHandler

from engine.core.errors import SetupError
from workstation.locations import Locations
from workstation.settings import LogSettings

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
FORMAT = "%(asctime)s %(levelname)s %(name)s %(message)s"
SECRETS = re.compile(
    r"(?i)(authorization:\s*(?:token|bearer)\s+\S+|\beyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_=-]*)*|(?:access_token|request_token|api_secret|enctoken|password)[\"']?\s*[=:]\s*[\"']?[^\s&\"',}]+)"
)
NOISY = ("httpx", "httpcore", "websockets", "asyncio", "alembic")


class Redacting(logging.Filter):
    """Replaces what looks like a credential."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Rewrite the record's message; every record passes."""
        message = record.getMessage()
        redacted = SECRETS.sub("[redacted]", message)
        if redacted != message:
            record.msg, record.args = redacted, ()
        return True


def log_to_file(settings: LogSettings, locations: Locations, name: str) -> None:
    """Send this process's log to ``log/NAME.log`` in the data folder.

    Raises:
        SetupError: the level is no level.
    """
    if settings.level not in LEVELS:
        raise SetupError(f'[log] level: "{settings.level}" is not one of {", ".join(LEVELS)}.')
    locations.make()
    handler = RotatingFileHandler(
        locations.logs / f"{name}.log", maxBytes=settings.bytes_max, backupCount=settings.files_kept, encoding="utf-8"
    )
    handler.setFormatter(logging.Formatter(FORMAT))
    handler.addFilter(Redacting())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(settings.level)
    for library in NOISY:
        logging.getLogger(library).setLevel(logging.WARNING)
