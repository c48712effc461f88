"""The review: the one way from a draft or a sentence to an order. ``y`` sends, and nothing else does."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine

from textual.css.query import NoMatches

from engine.core.commands import Command, Preview
from engine.core.errors import WorkstationError
from engine.core.ports import Clock
from engine.core.quotes import Quote
from workstation.dialogs.base import Choice, DeskDialog
from workstation.formatting import Glyphs
from workstation.frames import Frame
from workstation.presenters.lines import Line
from workstation.presenters.review import ReviewSession, ReviewSubject, Verdict, review_lines

MILLISECONDS = 1000.0


class ReviewDialog(DeskDialog[Command]):
    """Answers with the command that was agreed to, at the price that was painted, or with ``None``."""

    def __init__(
        self,
        subject: ReviewSubject,
        *,
        preview: Callable[[Command], Awaitable[Preview]],
        quote: Callable[[int], Quote | None],
        watch: Callable[[frozenset[int]], None],
        clock: Clock,
        glyphs: Glyphs,
        simulated: bool,
        confirm_delay_ms: int,
        tolerance_ticks: int,
    ) -> None:
        """``preview`` and ``quote`` are the engine's; ``confirm_delay_ms`` as in the settings.

        ``watch`` keeps the quotes of what is reviewed alive; it is told of nothing once the question is over.
        """
        title = f"Review {subject.title} - {subject.venue}"
        super().__init__(title, glyphs=glyphs, simulated=simulated, agree="Send", cancel="Cancel")
        self._ask = preview
        self._quote = quote
        self._watch = watch
        self._clock = clock
        self._session = ReviewSession(
            subject, delay_s=confirm_delay_ms / MILLISECONDS, tolerance_ticks=tolerance_ticks, quote_of=quote
        )
        self._answered = False

    def on_mount(self) -> None:
        """Price at once; the question appears with the answer."""
        super().on_mount()
        self._price()

    def lines(self) -> list[Line]:
        """What is asked, as it stands now."""
        now = self._clock.monotonic()
        return review_lines(self._session, self._live(), self.text_width, self._glyphs, now=now)

    def take_frame(self, frame: Frame) -> None:
        """Quote and drift go on while the question stands."""
        del frame
        if self._session.preview is not None:
            self.write()

    def action_agree(self) -> None:
        """Send, or say why not."""
        if self._answered:
            return
        live = self._live()
        verdict = self._session.verdict(self._clock.monotonic(), live)
        if verdict is Verdict.SEND:
            self._answer(self._session.command)
        elif verdict is Verdict.REPRICE:
            self._session.reprice(live)
            self.write()
            self._price()

    def action_cancel(self) -> None:
        """Leave; a second key in the same moment finds nothing to answer."""
        if not self._answered:
            self._answer(None)

    def _answer(self, command: Command | None) -> None:
        self._answered = True
        self._watch(frozenset())
        self.dismiss(command)

    @staticmethod
    def _tokens_of(preview: Preview) -> frozenset[int]:
        return frozenset(token for token in (preview.token, *(leg.token for leg in preview.legs)) if token is not None)

    def _live(self) -> Quote | None:
        preview = self._session.preview
        token = preview.token if preview is not None else self._token
        if token is None:
            return None
        self._token = token
        return self._quote(token)

    _token: int | None = None
    """The contract under review, once the engine has said which."""

    def _price(self) -> None:
        work: Callable[[], Coroutine[object, object, None]] = self._ask_engine
        self.run_worker(work, group="price", exclusive=True)

    async def _ask_engine(self) -> None:
        try:
            preview = await self._ask(self._session.command)
        except WorkstationError as error:
            self._session.failed(str(error))
        else:
            live = self._quote(preview.token) if preview.token is not None else None
            self._session.priced(preview, live, self._clock.monotonic())
            if not self._answered:
                self._watch(self._tokens_of(preview))
        self._offer_send()
        self.write()
        self.call_after_refresh(self._painted)

    def _painted(self) -> None:
        self._session.painted(self._clock.monotonic())

    def _offer_send(self) -> None:
        """Send is there only when nothing refuses."""
        try:
            choice = self.query_one("#agree", Choice)
        except NoMatches:
            return
        choice.display = self._session.can_send
