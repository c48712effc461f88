"""What this program calls itself."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

DISTRIBUTION = "options-workstation"


def program_version() -> str:
    """The installed version; ``unknown`` when it runs from a tree that is not installed."""
    try:
        return version(DISTRIBUTION)
    except PackageNotFoundError:
        return "unknown"
