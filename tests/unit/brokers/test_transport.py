"""What the HTTP road does beside its requests."""

from __future__ import annotations

import importlib
import sys

import pytest

from engine.brokers.kite.transport import remember_absence

ABSENT = "no_package_has_this_name"


def test_an_absent_package_is_searched_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Importing it fails as before, and without looking through the folders again."""
    with monkeypatch.context() as patch:
        patch.delitem(sys.modules, ABSENT, raising=False)
        remember_absence(ABSENT)
        patch.setattr(sys, "meta_path", [])  # nobody could find anything now
        with pytest.raises(ModuleNotFoundError):
            importlib.import_module(ABSENT)
        assert sys.modules[ABSENT] is None
        del sys.modules[ABSENT]


def test_a_package_that_is_there_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loaded or not: it can be imported afterwards."""
    remember_absence("json")
    assert importlib.import_module("json") is sys.modules["json"]
    monkeypatch.delitem(sys.modules, "this", raising=False)
    remember_absence("this")
    assert "this" not in sys.modules
