"""Which methods of the official client the tests of this folder drive, and proof that they did.

``@drives("orders", "trades")`` says what a test is for; the ``kite`` fixture fails a test that did not call that.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

Test = TypeVar("Test", bound=Callable[..., Any])
DRIVEN: dict[str, set[str]] = {}
"""Tests by the client's method."""


def drives(*methods: str) -> Callable[[Test], Test]:
    """Declare which methods of the client a test drives."""

    def mark(test: Test) -> Test:
        test.drives = methods  # type: ignore[attr-defined]
        for method in methods:
            DRIVEN.setdefault(method, set()).add(test.__qualname__)
        return test

    return mark


def declared(test: Callable[..., Any]) -> tuple[str, ...]:
    """Return what a test says that it drives."""
    return tuple(getattr(test, "drives", ()))


def public_methods(kind: type) -> set[str]:
    """Return the names of a class's public methods."""
    return {name for name, _ in inspect.getmembers(kind, inspect.isfunction) if not name.startswith("_")}


class Recorded:
    """The official client, noting which of its methods a test called.

    Args:
        client: The client.
    """

    def __init__(self, client: Any) -> None:
        self.client = client
        self.called: set[str] = set()

    def __getattr__(self, name: str) -> Any:
        value = getattr(self.client, name)
        if callable(value):
            self.called.add(name)
        return value
