"""The log file: bounded, rotated, and never with a token in it. Nothing is ever printed over a screen."""

from __future__ import annotations

import logging
import re
from logging.handlers import RotatingFileHandler

from engine.core.errors import SetupError
from engine.server.audit import JWT_SHAPE
from workstation.locations import Locations
from workstation.settings import LogSettings

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
FORMAT = "%(asctime)s %(levelname)s %(name)s %(message)s"
NOISY = ("httpx", "httpcore", "websockets", "asyncio", "alembic", "keyring", "aiohttp")
REDACTED = "[redacted]"
NAMED = "access_token|request_token|refresh_token|public_token|enctoken|api_secret|api_key|password|totp|checksum"
SECRETS = re.compile(
    rf"""(?ix)
    authorization["']?\s*[:=]\s*["']?(?:token|bearer)\s+[^\s"',}}]+      # the header, as the wire or as a dict has it
    | \b(?:token|bearer)\s+[a-z0-9]{{6,64}}:[a-z0-9]{{16,64}}           # its value alone: key and token
    | {JWT_SHAPE}                                                     # in small letters it would be one of our ids
    | \b(?:{NAMED})["']?\s*[=:]\s*["']?[^\s&"',}})]+                  # a field by its name, in a URL, a form or a dict
    | [a-z0-9._%+-]+@[a-z0-9-]+(?:\.[a-z0-9-]+)*\.[a-z]{{2,}}          # a mail address
    | (?<![\w.])(?:\+?91[\s-]?)?[6-9]\d{{9}}(?!\w|\.\d)               # an Indian mobile number, no part of an id
    """
)


def redacted(text: str) -> str:
    """The text without what looks like a credential, a mail address or a telephone number."""
    return SECRETS.sub(REDACTED, text)


class RedactingFormatter(logging.Formatter):
    """Formats a record, its traceback too, without what nobody may read in a log."""

    def format(self, record: logging.LogRecord) -> str:
        """The finished line or lines."""
        return redacted(super().format(record))


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
    handler.setFormatter(RedactingFormatter(FORMAT))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(settings.level)
    for library in NOISY:
        logging.getLogger(library).setLevel(logging.WARNING)
