"""Rules every test lives under."""

from __future__ import annotations

import asyncio
import gc
import inspect
import os
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.kit.shares import in_shares

GARBAGE_THRESHOLDS = (20_000, 10, 10)
"""Of the collector. Every screen and every engine of a test is a great cycle that dies at once: with the interpreter's
own thresholds a third of the time of the terminal's tests went into looking for garbage."""
ONE_THREAD = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS")
"""For every program a run starts: threads of a library that nobody here calls for, made and spun at its import, are a
third of the processor's time of a start, and there are hundreds of starts."""


def pytest_configure() -> None:
    """In every worker, before anything is collected."""
    gc.set_threshold(*GARBAGE_THRESHOLDS)
    for name in ONE_THREAD:
        os.environ.setdefault(name, "1")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Give every worker of a parallel run its share of the long tests, and those first."""
    workers: int = getattr(config, "workerinput", {}).get("workercount", 1)
    if workers > 1:
        items[:] = in_shares(items, lambda item: item.nodeid.partition("::")[0], workers)


def pytest_collection_finish() -> None:
    """What was collected and imported stays until the end: no look for garbage has to go through it again."""
    gc.collect()
    gc.freeze()


@pytest_asyncio.fixture
async def clean_loop() -> AsyncIterator[None]:
    """Fail a test that leaves a task running or lets an exception reach the loop."""
    loop = asyncio.get_running_loop()
    before = asyncio.all_tasks()
    unhandled: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: unhandled.append(context))
    yield
    await asyncio.sleep(0)
    leaked = [task.get_name() for task in asyncio.all_tasks() - before if task is not asyncio.current_task()]
    assert not leaked, f"tasks left running: {leaked}"
    assert not unhandled, f"exceptions that reached the loop: {unhandled}"


@pytest.fixture(autouse=True)
def every_async_test_cleans_up(request: pytest.FixtureRequest) -> None:
    """Give each asynchronous test the leak guard; synchronous ones run without a loop."""
    if inspect.iscoroutinefunction(getattr(request, "function", None)):
        request.getfixturevalue("clean_loop")
