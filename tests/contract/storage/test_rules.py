"""Rule files that a person loaded: kept by name, newest first, forgotten on request."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta, timezone

import pytest

from engine.core.repositories import RuleRepository
from storage.embedded import EmbeddedPostgres
from storage.errors import RowRefused
from storage.memory.rules import MemoryRules
from storage.memory.store import MemoryStore
from storage.pool import Database
from storage.rules import NAME_LENGTH_MAX, PostgresRules
from tests.contract.storage.conftest import IMPLEMENTATIONS
from tests.kit.database import new_database

NOW = datetime(2026, 11, 20, 5, 0, tzinfo=UTC)
TEXT = 'checked = 2026-11-20 # "quoted" and \\ back, रुपया\n'


@pytest.fixture(params=IMPLEMENTATIONS)
async def rules(request: pytest.FixtureRequest) -> AsyncIterator[RuleRepository]:
    """An empty repository."""
    if request.param == "memory":
        yield MemoryRules(MemoryStore(), {})
        return
    server: EmbeddedPostgres = request.getfixturevalue("postgres_server")
    async with new_database(server) as dsn, Database(dsn, max_size=2) as database:
        yield PostgresRules(database)


async def test_files_come_newest_first(rules: RuleRepository) -> None:
    """Whatever their names, and of one moment by name; the text is the very same."""
    assert await rules.load() == ()
    await rules.save("a.toml", TEXT, NOW)
    await rules.save("c.toml", "c", NOW + timedelta(hours=1))
    await rules.save("b.toml", "b", NOW + timedelta(hours=1))
    assert await rules.load() == (
        ("b.toml", "b", NOW + timedelta(hours=1)),
        ("c.toml", "c", NOW + timedelta(hours=1)),
        ("a.toml", TEXT, NOW),
    )


async def test_a_name_is_one_file(rules: RuleRepository) -> None:
    """Saved again under its name a file takes the place of the earlier one, and its own moment counts."""
    await rules.save("a.toml", "old", NOW)
    await rules.save("b.toml", "b", NOW + timedelta(minutes=1))
    await rules.save("a.toml", "new", NOW + timedelta(minutes=2))
    assert await rules.load() == (
        ("a.toml", "new", NOW + timedelta(minutes=2)),
        ("b.toml", "b", NOW + timedelta(minutes=1)),
    )


async def test_a_file_is_forgotten_once(rules: RuleRepository) -> None:
    """The second time there is nothing to forget, and other files stay."""
    await rules.save("a.toml", "a", NOW)
    await rules.save("b.toml", "b", NOW)
    assert await rules.remove("a.toml")
    assert not await rules.remove("a.toml")
    assert [name for name, _, _ in await rules.load()] == ["b.toml"]


async def test_moments_come_back_in_utc(rules: RuleRepository) -> None:
    """The same instant in another zone, and a moment without a zone is refused."""
    india = timezone(timedelta(hours=5, minutes=30))
    await rules.save("a.toml", "a", NOW.astimezone(india))
    ((_, _, loaded_at),) = await rules.load()
    assert loaded_at == NOW
    with pytest.raises(ValueError, match="time zone"):
        await rules.save("b.toml", "b", NOW.replace(tzinfo=None))


@pytest.mark.parametrize("name", ["", "n" * (NAME_LENGTH_MAX + 1)])
async def test_impossible_names_are_refused(rules: RuleRepository, name: str) -> None:
    """Nothing is kept under them."""
    with pytest.raises(RowRefused) as refused:
        await rules.save(name, "a", NOW)
    assert refused.value.constraint == "rule_files_name_check"
    assert await rules.load() == ()
