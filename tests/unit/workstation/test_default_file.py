"""``config.toml`` at the root of the project is the whole list of settings, with their defaults."""

from __future__ import annotations

from pathlib import Path

from docs.make_configuration import document
from workstation.configuration import load_configuration
from workstation.settings import Configuration

FILE = Path(__file__).resolve().parents[3] / "config.toml"


def test_the_file_equals_the_defaults() -> None:
    """Read as a user's file, it changes nothing."""
    assert load_configuration(FILE, required=True, environment={}) == Configuration()


def test_the_file_is_what_the_settings_say_of_themselves() -> None:
    """Every key with its default and its words; after a change of settings the file is written anew."""
    assert FILE.read_text(encoding="utf-8") == document()
