"""Reading again and again: how often, never twice at once, whose answer it is, and what a failure leaves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine

import pytest

from engine.core.errors import WorkstationError
from tests.kit.fake_market import FixedClock
from workstation.screens.reading import Reading


class Library:
    """Answers questions when told; runs the background work as a screen does: the newest of a group replaces."""

    def __init__(self) -> None:
        self.clock = FixedClock()
        self.asked: list[str] = []
        self.failing = ""
        self.closed = asyncio.Event()
        self.closed.set()
        self.tasks: dict[str, asyncio.Task[object]] = {}
        self.reading: Reading[str, str] = Reading("books", self.answer, self.run, self.clock, every_s=1.0)

    async def answer(self, question: str) -> str:
        """What it was asked, in capitals."""
        self.asked.append(question)
        await self.closed.wait()
        if self.failing:
            raise WorkstationError(self.failing)
        return question.upper()

    def run(self, work: Callable[[], Coroutine[object, object, None]], group: str, replaces: bool) -> None:
        """One at a time."""
        before = self.tasks.get(group)
        if replaces and before is not None:
            before.cancel()
        self.tasks[group] = asyncio.ensure_future(work())

    async def settle(self) -> None:
        """Let everything that can go on do so."""
        for _ in range(6):
            await asyncio.sleep(0)


@pytest.fixture
async def library() -> AsyncIterator[Library]:
    """An open library."""
    found = Library()
    yield found
    for task in found.tasks.values():
        task.cancel()
    await asyncio.gather(*found.tasks.values(), return_exceptions=True)


async def test_a_question_is_repeated_no_sooner_than_told(library: Library) -> None:
    """Twenty frames within a second are one question; a second later it is asked again."""
    for _ in range(20):
        library.reading.want("a")
        await library.settle()
        library.clock.advance(0.049)
    assert library.asked == ["a"]
    library.clock.advance(0.1)
    library.reading.want("a")
    await library.settle()
    assert library.asked == ["a", "a"]


async def test_an_answer_ages(library: Library) -> None:
    """Its age counts from when it came."""
    library.reading.want("a")
    await library.settle()
    library.clock.advance(3.0)
    seen = library.reading.seen("a")
    assert (seen.value, seen.age_s, seen.trouble, seen.is_stale) == ("A", 3.0, "", False)
    library.clock.advance(3.0)
    assert library.reading.seen("a").is_stale


async def test_never_two_at_once(library: Library) -> None:
    """While an answer is on its way the same question is not asked again, however long it takes."""
    library.closed.clear()
    for _ in range(5):
        library.reading.want("a")
        await library.settle()
        library.clock.advance(10.0)
    assert library.asked == ["a"]
    assert library.reading.seen("a").value is None
    library.closed.set()
    await library.settle()
    assert library.reading.seen("a").value == "A"


async def test_another_question_replaces_the_one_under_way(library: Library) -> None:
    """The old one is given up, its answer never shows, and the new one is asked at once, without waiting a second."""
    library.closed.clear()
    library.reading.want("a")
    await library.settle()
    library.reading.want("b")
    await library.settle()
    library.reading.want("b")
    library.closed.set()
    await library.settle()
    assert library.asked == ["a", "b"]
    assert library.reading.seen("b").value == "B"
    assert library.reading.seen("a").value is None
    assert library.reading.seen(None).value is None


async def test_a_failure_leaves_the_last_answer_and_its_reason(library: Library) -> None:
    """The answer stays and is marked; when the engine answers again, the mark is gone."""
    library.reading.want("a")
    await library.settle()
    library.failing = "the engine is busy"
    library.clock.advance(1.0)
    library.reading.want("a")
    await library.settle()
    seen = library.reading.seen("a")
    assert (seen.value, seen.trouble, seen.is_stale) == ("A", "the engine is busy", True)
    library.failing = ""
    library.clock.advance(1.0)
    library.reading.want("a")
    await library.settle()
    assert not library.reading.seen("a").is_stale
    assert library.reading.seen("a").trouble == ""


async def test_the_trouble_of_one_question_is_not_that_of_another(library: Library) -> None:
    """A new question starts without the old one's reason."""
    library.failing = "there is no a"
    library.reading.want("a")
    await library.settle()
    assert library.reading.seen("a").trouble == "there is no a"
    library.closed.clear()
    library.reading.want("b")
    await library.settle()
    assert library.reading.seen("b").trouble == ""
    library.closed.set()
    await library.settle()


async def test_an_answer_that_came_by_another_way_is_newer_than_what_was_asked_before(library: Library) -> None:
    """What a change answered is shown at once and not undone by a question under way; it is asked again later."""
    library.closed.clear()
    library.reading.want("dune")
    await library.settle()
    library.reading.take("dune", "by post")
    assert library.reading.seen("dune").value == "by post"
    library.closed.set()
    await library.settle()
    assert library.reading.seen("dune").value == "by post"
    library.clock.advance(1.1)
    library.reading.want("dune")
    await library.settle()
    assert library.reading.seen("dune").value == "DUNE"
