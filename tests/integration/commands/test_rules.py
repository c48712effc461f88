"""``workstation rules --load`` and ``--unload``: files are kept in the venue's database by processes of their own."""

from __future__ import annotations

from pathlib import Path

from tests.integration.commands.console import Console
from workstation.cli.exit_codes import ExitCode

FREEZE = 'checked = 2026-11-20\n[[freeze]]\nunderlying = "NIFTY"\nfrom = 2026-11-20\nunits = 900\nsource = "circular"\n'
YEAR = 'checked = 2026-11-20\n[[holidays]]\nyear = {}\ndays = [{}-01-26]\nsource = "circular"\n'


def written(folder: Path, name: str, text: str) -> str:
    """A file with a text."""
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_a_file_is_kept_and_forgotten(console: Console, tmp_path: Path) -> None:
    """Loaded, loaded again in its own place, forgotten, and not there to be forgotten twice."""
    kept = console.run("rules", "--load", written(tmp_path, "mine.toml", FREEZE), "--json")
    assert kept.code == ExitCode.DONE, kept.words
    assert kept.data == {"name": "mine.toml", "facts": 1, "sessions": False, "loaded": True}
    again = console.run(
        "rules", "--load", written(tmp_path, "mine.toml", FREEZE + FREEZE.partition("\n")[2].replace("NIFTY", "SENSEX"))
    )
    assert "mine.toml: 2 facts lie over the shipped ones now" in again.words
    gone = console.run("rules", "--unload", "mine.toml", "--json")
    assert gone.data["loaded"] is False
    twice = console.run("rules", "--unload", "mine.toml")
    assert twice.code == ExitCode.REFUSED
    assert "mine.toml is not loaded. Loaded: none." in twice.words


def test_a_file_is_judged_on_top_of_those_loaded_before(console: Console, tmp_path: Path) -> None:
    """The list of 2028 is refused while 2027 is unknown, and taken after it; nothing of the refused one is kept."""
    later = written(tmp_path, "later.toml", YEAR.format(2028, 2028))
    refused = console.run("rules", "--load", later)
    assert refused.code == ExitCode.REFUSED
    assert "leaves 2027 without a list" in refused.words
    assert console.run("rules", "--unload", "later.toml").code == ExitCode.REFUSED
    assert console.run("rules", "--load", written(tmp_path, "next.toml", YEAR.format(2027, 2027))).code == ExitCode.DONE
    taken = console.run("rules", "--load", later)
    assert taken.code == ExitCode.DONE, taken.words
    assert "later.toml: 0 facts and sessions" in taken.words
