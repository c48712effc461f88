"""What may not stand in the source: roads around the executor, leftovers, and anything about one machine."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.architecture.tree import PACKAGES, ROOT, forget, nodes, sources, texts

ORDER_METHODS = frozenset({"place_order", "modify_order", "cancel_order"})
SENDERS = ("engine/execution/", "engine/brokers/kite/", "engine/practice/")
"""The executor, the adapter it sends through, and the exchange on the other side of the wire."""
NAMES_THE_ROAD = (*SENDERS, "engine/core/ports.py", "engine/parts.py", "workstation/venue_parts.py")
"""Who may name the port: besides those, the port itself and the list of the engine's parts, which hands it on."""


@pytest.fixture(scope="module", autouse=True)
def read_once() -> Iterator[None]:
    """All tests here look at one reading of the tree."""
    yield
    forget()


def within(path: Path, allowed: tuple[str, ...]) -> bool:
    """Whether a file is one of those or lies in one of those folders."""
    return path.as_posix().startswith(allowed)


def names_in(nodes_of_a_file: tuple[ast.AST, ...]) -> set[str]:
    """Every name and attribute that is read or called."""
    found = set()
    for node in nodes_of_a_file:
        if isinstance(node, ast.Name):
            found.add(node.id)
        elif isinstance(node, ast.Attribute):
            found.add(node.attr)
        elif isinstance(node, ast.alias):
            found.add(node.name)
    return found


def test_only_the_executor_sends_orders() -> None:
    """Nobody else calls a method that would reach the broker's order endpoints."""
    calls = [
        f"{path}:{node.lineno} {node.func.attr}"
        for path, found in nodes()
        if not within(path, SENDERS)
        for node in found
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ORDER_METHODS
    ]
    assert not calls


def test_only_the_executor_knows_the_order_road() -> None:
    """The port is named where it is defined, implemented, handed on and used for sending, and nowhere else."""
    named = [path.as_posix() for path, found in nodes() if "OrderRoad" in names_in(found)]
    assert [path for path in named if not within(Path(path), NAMES_THE_ROAD)] == []
    assert "engine/core/ports.py" in named or any(path.startswith("engine/execution/") for path in named)


def test_the_road_is_handed_to_the_executor_alone() -> None:
    """``.road`` of the parts is read for the executor only; the composition root hands it on."""
    readers = {
        path.as_posix()
        for path, found in nodes()
        if not within(path, SENDERS)
        for node in found
        if isinstance(node, ast.Attribute) and node.attr == "road" and isinstance(node.ctx, ast.Load)
    }
    assert readers <= {"engine/account_makers.py", "workstation/assembly.py"}


def test_nothing_is_left_to_do() -> None:
    """No reminders and no stubs in what is shipped."""
    reminder = re.compile(r"\b(" + "|".join(("TO" + "DO", "FIX" + "ME", "X" + "XX")) + r")\b")
    shipped = [(path, text) for path, text in texts() if path.parts[0] in {*PACKAGES, "config.toml", "dev.py"}]
    left = [str(path) for path, text in shipped if reminder.search(text)]
    assert not left
    stubs = [
        f"{path}:{node.lineno}"
        for path, found in nodes()
        for node in found
        if isinstance(node, ast.Raise) and node.exc is not None and "NotImplementedError" in ast.dump(node.exc)
    ]
    assert not stubs


def test_nobody_prints() -> None:
    """Standard output belongs to the data of the commands."""
    prints = [
        f"{path}:{node.lineno}"
        for path, found in nodes()
        for node in found
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert not prints


def test_no_bare_except() -> None:
    """An interrupt is never swallowed."""
    bare = [
        f"{path}:{node.lineno}"
        for path, found in nodes()
        for node in found
        if isinstance(node, ast.ExceptHandler) and node.type is None
    ]
    assert not bare


def test_broad_excepts_give_their_reason() -> None:
    """Whoever catches everything says why, in the first line of the handler."""
    silent = []
    for path, found in nodes():
        lines = (ROOT / path).read_text(encoding="utf-8").splitlines()
        for node in found:
            if not (isinstance(node, ast.ExceptHandler) and isinstance(node.type, ast.Name)):
                continue
            ends_in_raise = isinstance(node.body[-1], ast.Raise)
            if node.type.id in {"Exception", "BaseException"} and not ends_in_raise:
                around = lines[node.lineno - 1 : node.body[0].lineno]
                if not any("#" in line for line in around):
                    silent.append(f"{path}:{node.lineno}")
    assert not silent


def test_no_file_knows_a_machine() -> None:
    """No absolute path of anybody's computer, and none of this one."""
    marks = ["/" + "work/", "/" + "root/", "/" + "Users/", f"{ROOT}/"]
    found = [f"{path}: {mark}" for path, text in texts() for mark in marks if mark in text]
    assert not found


def test_no_file_knows_a_package_index() -> None:
    """Where packages come from is the business of the machine that installs them."""
    hosts = {"pypi" + ".org", "pythonhosted" + ".org", "test.pypi" + ".org"}
    for variable in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "UV_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX"):
        host = urlsplit(os.environ.get(variable, "")).hostname
        if host and host not in {"localhost", "127.0.0.1"}:
            hosts.add(host)
    found = [f"{path}: {host}" for path, text in texts() for host in sorted(hosts) if host in text]
    assert not found


def test_files_stay_readable() -> None:
    """A module that grows past five hundred lines wants to be two."""
    long = {
        path.as_posix(): count
        for path, _ in sources()
        if (count := len((ROOT / path).read_text(encoding="utf-8").splitlines())) > 500
    }
    assert not long
