"""The doctor: the preflight as a screen. It asks when it is opened and when it is told to; never by itself."""

from __future__ import annotations

import math
from collections.abc import Callable, Coroutine, Iterable
from typing import ClassVar

from textual.binding import BindingType
from textual.widget import Widget

from engine.core.views import DoctorView
from workstation.actions import Place
from workstation.frames import Frame
from workstation.presenters.doctor_page import doctor_lines, doctor_page
from workstation.presenters.seen import Seen
from workstation.screens.context import DeskContext
from workstation.screens.place import PlaceScreen
from workstation.screens.places import DOCTOR
from workstation.screens.reading import Reading
from workstation.widgets.bindings import bindings_of
from workstation.widgets.panes import LinePane


class DoctorScreen(PlaceScreen):
    """Runs the checks."""

    BINDINGS: ClassVar[list[BindingType]] = bindings_of(Place.DOCTOR)

    def __init__(self, context: DeskContext, subject: str) -> None:
        """Run every check; there is nothing to choose by ``subject``."""
        del subject
        super().__init__(context, id=DOCTOR, own_places=(Place.DOCTOR,))
        self._page = LinePane(id="doctor-page")
        self._run_number = 1
        self._first = 0
        self._basis: tuple[object, ...] = ()
        self._answered: Seen[DoctorView] = Seen()
        self._checks: Reading[int, DoctorView] = Reading(
            "doctor", self._ask, self._in_background, context.clock, every_s=math.inf
        )

    def body(self) -> Iterable[Widget]:
        """One pane."""
        yield self._page

    def forget(self) -> None:
        """Draw anew."""
        self._basis = ()

    def paint(self, frame: Frame) -> None:
        """Draw the newest answer; while the next one is under way the last one stays, and the title says so."""
        del frame
        self._checks.want(self._run_number)
        seen = self._checks.seen(self._run_number)
        running = seen.value is None and not seen.trouble
        if not running:
            self._answered = seen if seen.value is not None else Seen(value=self._answered.value, trouble=seen.trouble)
        context, drawn = self._shared, self._answered
        basis = (drawn.value, drawn.trouble, running, self._first, self._page.size, self.app.theme, context.simulated)
        if basis == self._basis:
            return
        self._basis = basis
        lines = doctor_page(
            drawn,
            self.size.width,
            self._page.size.height,
            context.glyphs,
            simulated=context.simulated,
            running=running,
            first=self._first,
        )
        self._page.show(lines)

    def action_again(self) -> None:
        """Run every check again; a run under way is waited for."""
        if self._checks.seen(self._run_number) == Seen():
            self._shared.notify("The checks are running.")
            return
        self._run_number += 1

    def action_scroll(self, step: int) -> None:
        """Scroll as far as there is something to see."""
        lines = doctor_lines(self._answered, self.size.width, self._shared.glyphs, running=False)
        most = max(0, len(lines) - (self._page.size.height - 1))
        self._first = min(max(0, self._first + step * self._shared.state.take_count()), most)

    def action_top(self) -> None:
        """The first check."""
        self._first = 0

    async def _ask(self, number: int) -> DoctorView:
        del number
        return await self._shared.engine.doctor()

    def _in_background(self, work: Callable[[], Coroutine[object, object, None]], group: str, replaces: bool) -> None:
        self.run_worker(work, group=group, exclusive=replaces)
