"""What must never stand in a log: credentials in every shape they come in, mail addresses, telephone numbers."""

from __future__ import annotations

import logging
import secrets
import sys
from pathlib import Path

import pytest

from workstation.cli.logs import RedactingFormatter, log_to_file, redacted
from workstation.locations import Locations
from workstation.settings import LogSettings

TOKEN = secrets.token_hex(16)
"""As long as the broker's own."""
KEY = secrets.token_hex(8)
SHAPES = [
    f"Authorization: token {KEY}:{TOKEN}",
    f"headers={{'Authorization': 'token {KEY}:{TOKEN}'}}",
    f"sent token {KEY}:{TOKEN} to the broker",
    f"wss://ticker.invalid/?api_key={KEY}&access_token={TOKEN}",
    f"http://127.0.0.1:8765/?status=success&request_token={TOKEN}&state=x",
    f"{{'access_token': '{TOKEN}', 'user_id': 'AB1234'}}",
    f'{{"enctoken":"{TOKEN}"}}',
    f"api_secret={TOKEN}",
    f"Bearer eyJhbGciOi{TOKEN}.{TOKEN}.{TOKEN}",
    f"checksum={TOKEN}",
]


@pytest.mark.parametrize("text", SHAPES, ids=range(len(SHAPES)))
def test_a_credential_is_taken_out_of_every_shape(text: str) -> None:
    """Neither the token nor a part of it that would help is left."""
    clean = redacted(text)
    assert TOKEN not in clean
    assert "[redacted]" in clean


@pytest.mark.parametrize(
    "text", ["mail a.trader+x@example.co.in now", "call +91 9876543210", "call 9876543210", "+91-9876543210"]
)
def test_mail_and_telephone_are_taken_out(text: str) -> None:
    """A profile written to a log tells nobody how to reach its owner."""
    clean = redacted(text)
    assert "example" not in clean
    assert "9876543210" not in clean


@pytest.mark.parametrize(
    "text",
    [
        "order 1914227164488687616 o40 filled 1,950 at 105.35",
        "token 256265 has no slot",
        "instrument_token=9876543 of NFO:NIFTY26NOV24000CE",
        "at 1795000000123456789 ns, 1795000000 s",
        "9,87,65,43,210 rupees, 9876543210.55 of turnover",
        "2026-11-19 11:00:00 +0530",
    ],
)
def test_figures_of_a_trading_day_are_left_alone(text: str) -> None:
    """Order numbers, instrument tokens, times and amounts are what a log is for."""
    assert redacted(text) == text


def test_a_traceback_is_cleaned_too() -> None:
    """The value in an exception's words does not reach the file."""
    try:
        int(f"access_token={TOKEN}")
    except ValueError:
        record = logging.LogRecord("x", logging.ERROR, __file__, 1, "failed", None, sys.exc_info())
    line = RedactingFormatter("%(message)s").format(record)
    assert TOKEN not in line
    assert "ValueError" in line


def test_the_log_file_is_clean(tmp_path: Path) -> None:
    """Through the real handler, with the value as an argument of the message."""
    root = logging.getLogger()
    before = root.handlers, root.level
    try:
        log_to_file(LogSettings(), Locations(tmp_path), "test")
        logging.getLogger("engine.something").warning("refused %s", f"token {KEY}:{TOKEN}")
        for handler in root.handlers:
            handler.close()
        written = (tmp_path / "log" / "test.log").read_text()
    finally:
        root.handlers, root.level = before
    assert TOKEN not in written
    assert "[redacted]" in written
