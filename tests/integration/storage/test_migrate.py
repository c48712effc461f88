"""The schema: up, down and up again with rows, by several at once, and never over something that is not ours."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from enum import StrEnum

import asyncpg
import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory

from engine.core.errors import InvalidInput
from engine.core.orders import OrderState
from engine.core.vocabulary import Exchange, OrderType, Product, Side, Validity, Variety
from storage.embedded import EmbeddedPostgres
from storage.errors import ForeignSchema, MigrationFailed, SchemaNewer
from storage.migrate import (
    LOCK_KEY,
    SchemaState,
    downgrade,
    downgrade_script,
    migrations_folder,
    packaged_revisions,
    refuse_unusable,
    schema_status,
    upgrade,
    upgrade_script,
)
from storage.pool import Database
from tests.integration.storage.processes import PROJECT
from tests.kit.database import new_database

SCHEMA = """
SELECT
    'column', table_name, row_number() OVER (PARTITION BY table_name ORDER BY ordinal_position), column_name, data_type,
    domain_name, is_nullable, is_identity, column_default
FROM information_schema.columns WHERE table_schema = 'public'
UNION ALL
SELECT
    'constraint', conrelid::regclass::text, 0, conname, pg_get_constraintdef(oid), contypid::regtype::text, '', '', ''
FROM pg_constraint WHERE connamespace = 'public'::regnamespace
UNION ALL
SELECT 'index', tablename, 0, indexname, indexdef, '', '', '', '' FROM pg_indexes WHERE schemaname = 'public'
UNION ALL
SELECT
    'comment', objoid::regclass::text, row_number() OVER (PARTITION BY objoid ORDER BY objsubid), description, '', '',
    '', '', ''
FROM pg_description WHERE classoid = 'pg_class'::regclass AND objoid::regclass::text !~ '^(pg_|information_schema)'
ORDER BY 1, 2, 3, 4, 5
"""
UNCOMMENTED = """
SELECT c.relname, a.attname
FROM pg_class c
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum >= 0 AND NOT a.attisdropped
LEFT JOIN pg_description d ON d.objoid = c.oid AND d.objsubid = a.attnum AND d.classoid = 'pg_class'::regclass
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND c.relname <> 'schema_version'
  AND d.description IS NULL
UNION ALL
SELECT c.relname, '(table)'
FROM pg_class c
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND c.relname <> 'schema_version'
  AND obj_description(c.oid, 'pg_class') IS NULL
"""
CODES = {
    "exchange_code": Exchange,
    "product_code": Product,
    "side_code": Side,
    "order_type_code": OrderType,
    "validity_code": Validity,
    "variety_code": Variety,
    "order_state": OrderState,
}


async def schema(dsn: str) -> list[tuple[object, ...]]:
    """Every column, constraint, index and comment of ours."""
    connection = await asyncpg.connect(dsn)
    try:
        return [tuple(row) for row in await connection.fetch(SCHEMA)]
    finally:
        await connection.close()


async def run(dsn: str, *statements: str) -> object:
    """Run statements; returns the first value of the last one."""
    connection = await asyncpg.connect(dsn)
    try:
        for statement in statements[:-1]:
            await connection.execute(statement)
        return await connection.fetchval(statements[-1])
    finally:
        await connection.close()


async def test_an_empty_database_is_migrated(empty_database_dsn: str) -> None:
    """From nothing to the newest step."""
    assert (await schema_status(empty_database_dsn)).state is SchemaState.EMPTY
    status = await upgrade(empty_database_dsn)
    assert status.state is SchemaState.CURRENT
    assert status.revision == packaged_revisions()[-1]
    assert await schema_status(empty_database_dsn) == status


async def test_up_down_and_up_gives_the_same_schema(empty_database_dsn: str) -> None:
    """Undoing every step leaves nothing, and doing them again gives the same columns, rules, indexes and comments."""
    await upgrade(empty_database_dsn)
    first = await schema(empty_database_dsn)
    assert len(first) > 150
    status = await downgrade(empty_database_dsn, "base")
    assert status.state is SchemaState.EMPTY
    assert await schema(empty_database_dsn) == []
    domains = "SELECT count(*) FROM pg_type WHERE typnamespace = 'public'::regnamespace"
    assert await run(empty_database_dsn, domains) == 0
    await upgrade(empty_database_dsn)
    assert await schema(empty_database_dsn) == first


async def test_each_step_can_be_undone_and_done_again(empty_database_dsn: str) -> None:
    """Step by step: after up, down, up the schema is that after up, at every step."""
    for revision in packaged_revisions():
        await upgrade(empty_database_dsn, revision)
        after = await schema(empty_database_dsn)
        await downgrade(empty_database_dsn, "-1")
        await upgrade(empty_database_dsn, revision)
        assert await schema(empty_database_dsn) == after


async def test_rows_survive_the_steps_of_other_tables(database_dsn: str) -> None:
    """Undoing and repeating the newest steps keeps the rows of the tables that stay."""
    insert = (
        "INSERT INTO accounts VALUES ('AB1234', 'Main', 'practice', now())",
        "INSERT INTO strategies OVERRIDING SYSTEM VALUE VALUES (1, 'AB1234', 'main', true, 'active', now())",
        "INSERT INTO strategy_candles VALUES (1, date_trunc('minute', now(), 'UTC'), 1, 2, 0, 1, 5)",
        "SELECT count(*) FROM strategy_candles",
    )
    assert await run(database_dsn, *insert) == 1
    await downgrade(database_dsn, "0001")
    assert await run(database_dsn, "SELECT name FROM accounts") == "Main"
    await upgrade(database_dsn)
    assert await run(database_dsn, "SELECT name FROM accounts") == "Main"
    assert await run(database_dsn, "SELECT count(*) FROM strategies") == 0
    assert await run(database_dsn, *insert[1:]) == 1


async def test_several_may_migrate_at_once(empty_database_dsn: str) -> None:
    """Of many that start together one does the work; all end with a current schema."""
    states = await asyncio.gather(*(upgrade(empty_database_dsn) for _ in range(5)))
    assert {status.state for status in states} == {SchemaState.CURRENT}
    assert await run(empty_database_dsn, "SELECT count(*) FROM schema_version") == 1


async def test_who_holds_the_lock_too_long_is_waited_for_no_longer(empty_database_dsn: str) -> None:
    """A migration stuck elsewhere: told in words, and nothing was changed."""
    other = await asyncpg.connect(empty_database_dsn)
    await other.fetchval("SELECT pg_advisory_lock($1)", LOCK_KEY)
    try:
        with pytest.raises(MigrationFailed, match=r"has been migrating this database for 0\.1 s"):
            await upgrade(empty_database_dsn, lock_timeout_s=0.1)
    finally:
        await other.close()
    assert (await schema_status(empty_database_dsn)).state is SchemaState.EMPTY


async def test_an_earlier_schema_is_behind(database_dsn: str) -> None:
    """Tables of an earlier release are recognised and brought up."""
    await downgrade(database_dsn, "0001")
    status = await schema_status(database_dsn)
    assert (status.state, status.revision) == (SchemaState.BEHIND, "0001")
    assert (await upgrade(database_dsn)).state is SchemaState.CURRENT


async def test_a_later_schema_is_refused_untouched(database_dsn: str) -> None:
    """A database of a later release is neither upgraded nor undone."""
    await run(database_dsn, "UPDATE schema_version SET version_num = '9001'", "SELECT 1")
    before = await schema(database_dsn)
    for attempt in (upgrade(database_dsn), downgrade(database_dsn, "base")):
        with pytest.raises(SchemaNewer, match=r"later release .*9001"):
            await attempt
    assert await schema(database_dsn) == before
    assert await run(database_dsn, "SELECT version_num FROM schema_version") == "9001"


async def test_foreign_tables_are_refused_untouched(empty_database_dsn: str) -> None:
    """A database of another program is named by its tables and left alone."""
    await run(empty_database_dsn, "CREATE TABLE customers AS SELECT 1 AS id", "SELECT 1")
    for attempt in (upgrade(empty_database_dsn), downgrade(empty_database_dsn, "base")):
        with pytest.raises(ForeignSchema, match=r"public\.customers"):
            await attempt
    assert await run(empty_database_dsn, "SELECT id FROM customers") == 1
    assert await run(empty_database_dsn, "SELECT to_regclass('accounts') IS NULL")


async def test_an_unknown_mark_is_foreign(database_dsn: str) -> None:
    """A schema marked with what no release has is not ours to change."""
    await run(database_dsn, "UPDATE schema_version SET version_num = 'a1b2c3'", "SELECT 1")
    status = await schema_status(database_dsn)
    assert status.state is SchemaState.FOREIGN
    with pytest.raises(ForeignSchema, match="a1b2c3"):
        refuse_unusable(status)


async def test_a_version_table_without_rows_is_empty(empty_database_dsn: str) -> None:
    """What another tool left after undoing everything does not block an upgrade."""
    await run(
        empty_database_dsn, "CREATE TABLE schema_version (version_num varchar(32) NOT NULL PRIMARY KEY)", "SELECT 1"
    )
    assert (await schema_status(empty_database_dsn)).state is SchemaState.EMPTY
    assert (await upgrade(empty_database_dsn)).state is SchemaState.CURRENT


async def test_a_step_that_fails_is_undone_whole(empty_database_dsn: str) -> None:
    """A table in the way: the step leaves nothing behind, earlier steps stay, and the cure is to remove the table."""
    await upgrade(empty_database_dsn, "0001")
    before = await schema(empty_database_dsn)
    await run(empty_database_dsn, "CREATE TABLE orders (mine integer)", "SELECT 1")
    with pytest.raises(MigrationFailed, match=r"upgrade to 0002 stopped.*orders"):
        await upgrade(empty_database_dsn)
    await run(empty_database_dsn, "DROP TABLE orders", "SELECT 1")
    assert await schema(empty_database_dsn) == before
    assert (await schema_status(empty_database_dsn)).revision == "0001"
    assert (await upgrade(empty_database_dsn)).state is SchemaState.CURRENT


async def test_a_busy_table_stops_a_step_soon(database_dsn: str) -> None:
    """A step does not queue behind a long transaction and block everybody: each begins with a lock timeout."""
    script = upgrade_script()
    assert script.count("SET LOCAL lock_timeout") == len(packaged_revisions())
    assert script.count("BEGIN;") == script.count("COMMIT;") == len(packaged_revisions())


async def test_a_downgrade_of_nothing_is_nothing(empty_database_dsn: str) -> None:
    """Undoing on an empty database does no harm."""
    assert (await downgrade(empty_database_dsn, "-1")).state is SchemaState.EMPTY
    assert (await downgrade(empty_database_dsn, "base")).state is SchemaState.EMPTY


async def test_an_unknown_step_is_named(database_dsn: str) -> None:
    """With the steps that there are."""
    with pytest.raises(InvalidInput, match=r'"0999".*head, 0001'):
        await upgrade(database_dsn, "0999")
    with pytest.raises(InvalidInput, match=r'"head".*base, 0001'):
        await downgrade(database_dsn, "head")


async def test_the_printed_script_is_what_runs(postgres_server: EmbeddedPostgres, database_dsn: str) -> None:
    """The script of ``--sql``, run by hand, gives the schema that an upgrade gives; and the other one undoes it."""
    async with new_database(postgres_server, template=None) as by_hand:
        await run(by_hand, upgrade_script(), "SELECT 1")
        assert await schema(by_hand) == await schema(database_dsn)
        assert (await schema_status(by_hand)).state is SchemaState.CURRENT
        await run(by_hand, downgrade_script("-1"), "SELECT 1")
        assert (await schema_status(by_hand)).revision == packaged_revisions()[-2]
        await run(by_hand, upgrade_script(packaged_revisions()[-2]), "SELECT 1")
        await run(by_hand, downgrade_script(), "SELECT 1")
        assert await schema(by_hand) == []


async def test_every_table_and_column_has_a_comment(database: Database) -> None:
    """The schema explains itself to who looks with psql."""
    async with database.acquire() as session:
        assert [tuple(row) for row in await session.fetch(UNCOMMENTED)] == []


@pytest.mark.parametrize(("domain", "vocabulary"), CODES.items(), ids=list(CODES))
async def test_the_schema_knows_the_words_of_the_domain(
    database: Database, domain: str, vocabulary: type[StrEnum]
) -> None:
    """A word added to the domain without a migration, or the other way round, is found here."""
    async with database.acquire() as session:
        rule = await session.fetchval(
            "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE contypid = $1::regtype", domain
        )
    assert set(re.findall(r"'([^']+)'", rule)) == {str(word) for word in vocabulary}


def test_the_head_told_from_file_names_is_alembics() -> None:
    """The names of the files and what is written in them agree: one line, no branches."""
    configuration = Config()
    configuration.set_main_option("script_location", str(migrations_folder()))
    configuration.set_main_option("path_separator", "os")
    script = ScriptDirectory.from_config(configuration)
    assert script.get_heads() == [packaged_revisions()[-1]]
    assert tuple(reversed([step.revision for step in script.walk_revisions()])) == packaged_revisions()


def test_a_start_with_a_current_schema_never_loads_the_migration_tool() -> None:
    """Importing what a start needs does not import Alembic or SQLAlchemy."""
    probe = (
        "import sys, storage.migrate, storage.pool, storage.repositories, storage.embedded\n"
        "print([name for name in ('alembic', 'sqlalchemy') if name in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", probe], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"
