"""``workstation rules``: what is printed, what is refused, and that a wrong file keeps nothing."""

from __future__ import annotations

import argparse
import json
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from engine.core.errors import InvalidInput, Refused
from engine.core.rulebook import RulesView
from engine.market.instrument_index import InstrumentIndex
from engine.rule_book import read_rule_book
from tests.kit.plain_engine import PlainEngine
from tests.unit.market.market_kit import desk_dump
from workstation.cli.exit_codes import ExitCode
from workstation.cli.main import main
from workstation.cli.rules import LINE_WIDTH, rules, run_rule_files
from workstation.locations import Locations
from workstation.settings import Configuration

NOW = datetime(2026, 11, 20, 5, 0, tzinfo=UTC)
TODAY = date(2026, 11, 20)


class RuledEngine(PlainEngine):
    """An engine whose rule pack is the shipped one, over made-up instruments."""

    async def rules(self, on: date | None = None) -> RulesView:
        """The rule pack of a day."""
        book = read_rule_book()
        return book.view(on or TODAY, now=NOW, index=InstrumentIndex(desk_dump().rows, book.rules))


def options(**given: object) -> argparse.Namespace:
    """A parsed command line."""
    return argparse.Namespace(**({"load": None, "unload": None, "connect": None, "json": False} | given))


async def test_rules_are_printed_with_their_reasons(capsys: pytest.CaptureFixture[str]) -> None:
    """Facts by topic with days, certainty and source; then contradictions and unknowns; a summary beside the data."""
    assert await rules(RuledEngine(), on=None, topic=None, as_json=False) is ExitCode.DONE
    said = capsys.readouterr()
    lines = said.out.splitlines()
    assert max(map(len, lines)) <= LINE_WIDTH
    place = lines.index(next(line for line in lines if line.split()[:2] == ["NIFTY", "1,800"]))
    assert lines[place + 1].split(" · ")[1:3] == ["high", "checked 2026-08-22"]
    assert "NIFTY has 2 lot sizes side by side" in said.out
    assert "No ban list of 2026-11-20 is loaded" in said.out
    assert said.err.startswith("Fri 20 Nov 2026: ")
    assert "4 contradictions" in said.err


async def test_another_day_and_one_topic(capsys: pytest.CaptureFixture[str]) -> None:
    """The day and the topic that were asked for, and nothing else."""
    await rules(RuledEngine(), on="2026-12-07", topic="session", as_json=True)
    view = json.loads(capsys.readouterr().out)
    assert view["on"] == "2026-12-07"
    assert {row["topic"] for row in view["rows"]} == {"session"}
    assert view["rows"][0]["value"].startswith("09:15 to 15:45")
    assert view["contradictions"] == []


@pytest.mark.parametrize(
    ("on", "topic", "words"),
    [
        ("tomorrow", None, r'--on: "tomorrow" is not a day such as'),
        (None, "weather", r'--topic: "weather" is not one of'),
    ],
)
async def test_days_and_topics_that_are_none(on: str | None, topic: str | None, words: str) -> None:
    """The words that are wrong are named with what is allowed."""
    with pytest.raises(InvalidInput, match=words):
        await rules(RuledEngine(), on=on, topic=topic, as_json=False)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("checked = [", "is not TOML"),
        ("checked = 2026-11-20\n[[freeze]]\nunderlying = 1\n", r"mine\.toml: .*freeze\[0\]"),
        ("checked = 2026-11-20\n[[frieze]]\n", "frieze"),
    ],
)
async def test_a_wrong_file_is_refused_before_anything_is_opened(tmp_path: Path, text: str, words: str) -> None:
    """File, key and what is allowed; no database is made for it."""
    file = tmp_path / "mine.toml"
    file.write_text(text, encoding="utf-8")
    locations = Locations(tmp_path / "data")
    with pytest.raises(Refused, match=words) as refused:
        await run_rule_files(Configuration(), locations, options(load=file))
    assert "Nothing was kept." in str(refused.value)
    assert not locations.data.exists()


async def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    """A path that leads nowhere, no text, too much of it, or an engine elsewhere: refused as words of the command."""
    locations = Locations(tmp_path / "data")
    binary, large = tmp_path / "b.toml", tmp_path / "l.toml"
    binary.write_bytes(b"\xff\xfe\x00")
    large.write_bytes(b"#" * 1_000_001)
    for path, words in ((tmp_path / "none.toml", "cannot be read"), (binary, "UTF-8"), (large, "at most 1,000,000")):
        with pytest.raises(InvalidInput, match=words):
            await run_rule_files(Configuration(), locations, options(load=path))
    with pytest.raises(InvalidInput, match="--connect"):
        await run_rule_files(Configuration(), locations, options(unload="a.toml", connect="ws://127.0.0.1:1"))


def test_load_and_unload_do_not_go_together(capsys: pytest.CaptureFixture[str]) -> None:
    """The command line itself says so."""
    with pytest.raises(SystemExit) as ended:
        main(["rules", "--load", "a.toml", "--unload", "b.toml"])
    assert ended.value.code == ExitCode.USAGE
    assert "not allowed with" in capsys.readouterr().err
