"""Rule files a person loaded, as text."""

from __future__ import annotations

from migrations.sql import run_sql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

UPGRADE = """
CREATE TABLE rule_files (
    name       text        CONSTRAINT rule_files_pkey PRIMARY KEY
                           CONSTRAINT rule_files_name_check CHECK (name <> '' AND length(name) <= 255),
    content    text        NOT NULL,
    loaded_at  timestamptz NOT NULL
);
COMMENT ON TABLE rule_files IS 'Files of dated market facts that a person loaded; they lie over the shipped ones.';
COMMENT ON COLUMN rule_files.name IS 'Name of the file, by which it is replaced or forgotten.';
COMMENT ON COLUMN rule_files.content IS 'The whole file, TOML; it was valid when it was loaded.';
COMMENT ON COLUMN rule_files.loaded_at IS 'When it was loaded, UTC; of two files on one thing the newer counts.';
"""

DOWNGRADE = """
DROP TABLE rule_files;
"""


def upgrade() -> None:
    """Make the table."""
    run_sql(UPGRADE)


def downgrade() -> None:
    """Drop it."""
    run_sql(DOWNGRADE)
