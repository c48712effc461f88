"""A steady screen: no colour settings of the caller, no blinking cursor."""

from __future__ import annotations

import pytest
from textual import app, pilot
from textual.widgets import Input

from tests.tui.quiet import until_quiet


@pytest.fixture(autouse=True)
def steady_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures must not depend on the terminal the tests run in, nor on the moment."""
    for variable in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(Input, "_toggle_cursor", lambda _: None)
    for module in (app, pilot):
        monkeypatch.setattr(module, "wait_for_idle", until_quiet)
