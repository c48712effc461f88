"""The files of this project, for tests that look at source instead of running it."""

from __future__ import annotations

import ast
import functools
import subprocess
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("engine", "migrations", "storage", "workstation")
IGNORED_FOLDERS = frozenset({".git", ".venv", "__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache"})


def project_files() -> list[Path]:
    """Every file that is or would be committed; outside a checkout every file of the tree."""
    words = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    try:
        listed = subprocess.run(words, cwd=ROOT, capture_output=True, check=True).stdout.decode()
    except (OSError, subprocess.CalledProcessError):
        paths = [path for path in ROOT.rglob("*") if not IGNORED_FOLDERS.intersection(path.parts)]
    else:
        paths = [ROOT / name for name in listed.split("\0") if name]
    return [path for path in paths if path.is_file()]


@functools.cache
def texts() -> tuple[tuple[Path, str], ...]:
    """Relative path and text of every project file that is text; read once."""
    return tuple(_texts())


@functools.cache
def sources() -> tuple[tuple[Path, ast.Module], ...]:
    """Relative path and syntax tree of every Python file of our packages; parsed once, so nobody may change a tree."""
    paths = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
    return tuple((path.relative_to(ROOT), ast.parse(path.read_text(encoding="utf-8"), str(path))) for path in paths)


@functools.cache
def nodes() -> tuple[tuple[Path, tuple[ast.AST, ...]], ...]:
    """Relative path and every node of every Python file of our packages: walking costs more than parsing."""
    return tuple((path, tuple(ast.walk(tree))) for path, tree in sources())


def forget() -> None:
    """Let go of what has been read: a million nodes make every later collection of garbage slow."""
    for reading in (nodes, sources, texts):
        reading.cache_clear()


def _texts() -> Iterator[tuple[Path, str]]:
    for path in project_files():
        try:
            yield path.relative_to(ROOT), path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
