"""The panic key, the kill switch and the day's locks of one account, at work inside the engine.

Order of things, always: the lock is on the disk, nothing waits to be sent any more, the mode is READ, resting entries
are being cancelled, and only then is anything flattened. Flattening itself is the exit algorithm's. A disk that does
not take a lock keeps nothing of this from happening; it is said.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime

from engine.core.commands import ExitPositions, KillSwitch, Receipt, Unlock, Violation
from engine.core.decisions import Reason
from engine.core.errors import SetupError
from engine.core.events import EventKind
from engine.core.identifiers import AccountId
from engine.core.locks import LockKind, LockView
from engine.core.plans import ExitManner, ExitScope, ExitTarget
from engine.core.ports import Clock
from engine.core.vocabulary import Severity
from engine.execution.entries import WithdrawnEntries
from engine.execution.executor import OrderExecutor
from engine.execution.kill_journal import KillJournal, kill_words, read_last_kill
from engine.execution.locks import DayFigures, judge_day
from engine.execution.locks_book import CHECK, OTHER_DECIDED, LockBook
from engine.execution.notices import Notice
from engine.execution.settings import LockLimits

logger = logging.getLogger(__name__)

BY = "kill switch"
VERSION = "1"
Flatten = Callable[[ExitPositions, str], Awaitable[Receipt]]
"""Brings a target to nothing: the command and the seat that asked."""


class KillDesk:
    """Takes the commands, and judges the day. ``run`` it as a service beside the executor.

    Args:
        executor: Of the account.
        locks: What is on.
        limits: Of the day.
        figures: The day's figures now; ``None`` while nothing is known of them.
        day_ends: When the exchange's day ends, aware UTC, market clock.
        disarm: Brings the mode to READ; the seat that asked.
        flatten: The exit algorithm.
        siblings: The lock books of all accounts of the engine, this one's too.
        clock: Time.
        notify: For what a person should read.
    """

    def __init__(
        self,
        *,
        executor: OrderExecutor,
        locks: LockBook,
        limits: LockLimits,
        figures: Callable[[], DayFigures | None],
        day_ends: Callable[[], datetime],
        disarm: Callable[[str], None],
        flatten: Flatten,
        siblings: Callable[[], Sequence[LockBook]],
        clock: Clock,
        notify: Callable[[Notice], None],
    ) -> None:
        self._executor = executor
        self._locks = locks
        self._limits = limits
        self._figures = figures
        self._day_ends = day_ends
        self._disarm = disarm
        self._flatten = flatten
        self._siblings = siblings
        self._clock = clock
        self._notify = notify
        self._told_epoch = 0
        self._was_killed = False
        self._asked_at: float | None = None
        self.blind = ""
        """Why a money lock of the day cannot be judged now; empty when all can."""

    @property
    def account(self) -> AccountId:
        """Whose."""
        return self._locks.account

    def views(self) -> tuple[LockView, ...]:
        """Every lock that is on."""
        return self._locks.views()

    # -- commands ----------------------------------------------------------------------------------------------------

    async def hold(self, seat: str, *, disarms: bool = True) -> Receipt:
        """No new risk: unsent entries are dropped, resting ones cancelled, the mode is READ. Again is no error.

        Without ``disarms`` the mode stays: the hold is of one of several accounts, and the others go on.
        """
        trouble = self._latch_hold(seat)
        if disarms:
            self._disarm(seat)
        taken = await self._withdraw(seat, "hold")
        words = f"{self.account} is held: new risk is blocked on every terminal. {entries_words(taken)}"
        self._tell(f"{words}{trouble}", seat=seat)
        return Receipt(accepted=not taken.failed, message=f"{words}{trouble}", orders=taken.cancelling)

    async def release(self, seat: str, *, disarms: bool = True) -> Receipt:
        """End the hold; the mode stays READ (as it was, without ``disarms``), and other locks stay on."""
        try:
            released = self._locks.release()
        except SetupError as error:
            return _refused(str(error))
        rest = self._locks.views()
        words = f"The hold of {self.account} is released." if released else f"{self.account} was not held."
        if rest:
            words += f" Still on: {', '.join(view.kind.value for view in rest)}."
        if disarms:
            words += " The mode stays READ until you arm."
        if released:
            self._tell(words, seat=seat, severity=Severity.ATTENTION)
        return Receipt(accepted=True, message=words)

    async def kill(self, command: KillSwitch, seat: str, *, disarms: bool = True) -> Receipt:
        """Hold, lock if that is asked, and flatten what is named; ``disarms`` as for ``hold``."""
        trouble = self._latch_kill(seat) if command.lock else self._latch_hold(seat)
        if disarms:
            self._disarm(seat)
        if self._locks.other_flattens:
            words = f"`workstation kill` is flattening {self.account} already, in its own process."
            return Receipt(accepted=True, message=words + trouble)
        taken = await self._withdraw(seat, "kill switch")
        if command.strategy is None:
            target = ExitTarget(scope=ExitScope.ACCOUNT)
        else:
            target = ExitTarget(scope=ExitScope.STRATEGY, strategy=command.strategy)
        what = f"#{command.strategy}" if command.strategy is not None else f"everything of {self.account}"
        self._tell(f"Kill switch: {what} is being flattened. {entries_words(taken)}{trouble}", seat=seat)
        exits = await self._flatten(ExitPositions(target=target, manner=ExitManner.NOW, account=self.account), seat)
        return Receipt(
            accepted=exits.accepted and not taken.failed,
            message=f"{entries_words(taken)} {exits.message}{trouble}",
            orders=(*taken.cancelling, *exits.orders),
            plan=exits.plan,
            violations=exits.violations,
            eta_s=exits.eta_s,
        )

    async def unlock(self, command: Unlock, seat: str) -> Receipt:
        """End the kill switch: the phrase counts only some time after unlocking was asked for."""
        latch = self._locks.watch.look()
        if latch is None:
            self._asked_at = None
            return Receipt(accepted=True, message=f"The kill switch of {self.account} is not on.")
        if self._locks.other_flattens:
            return _refused(f"`workstation kill` is at work on {self.account}; unlock when it has ended.")
        phrase, now = unlock_phrase(self.account), self._clock.monotonic()
        limits = self._limits
        is_asked = self._asked_at is not None and now - self._asked_at <= limits.unlock_wait_s + limits.unlock_window_s
        if self._asked_at is None or not is_asked:
            self._asked_at = now
            self._tell(f"Unlocking {self.account} was asked for.", seat=seat, severity=Severity.ATTENTION)
        left = self._asked_at + limits.unlock_wait_s - now
        if command.phrase.strip() != phrase:
            when = f" It counts in {left:.0f} s." if left > 0 else ""
            return _refused(f'The kill switch of {self.account} ends by the phrase "{phrase}".{when}')
        if left > 0:
            return _refused(f"The phrase counts in {left:.0f} s; the wait is there so that nobody unlocks in haste.")
        try:
            if self._locks.watch.is_for_all:
                split_latch_of_all(self._siblings())
            with KillJournal(self._locks.journal, lambda: datetime.now(UTC)) as journal:
                journal.write("unlock", f"by {seat or 'a command'}; it was set by {latch.by}: {latch.words}")
                cleared = self._locks.watch.clear()
        except SetupError as error:
            return _refused(str(error))
        if not cleared:
            return _refused(f"The latch of {self.account} has changed meanwhile; look at it again.")
        self._asked_at, self._was_killed = None, False
        words = f"The kill switch of {self.account} is unlocked. The mode stays READ until you arm."
        self._tell(words, seat=seat)
        return Receipt(accepted=True, message=words)

    # -- the service -------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Notice what other processes have set, and judge the day, until cancelled."""
        while True:
            await self.look()
            await self._clock.sleep(self._limits.judge_s)

    async def look(self) -> None:
        """Once."""
        await self._follow_others()
        try:
            for view in self._locks.over():
                self._tell(f"{view.kind.value.capitalize()} of {self.account} is over.", severity=Severity.ATTENTION)
        except SetupError as error:
            logger.error("%s", error)  # noqa: TRY400 - in words
        await self._judge()

    async def _follow_others(self) -> None:
        epoch = self._locks.epoch
        if epoch > self._told_epoch:
            self._told_epoch = epoch
            self._disarm("")
            latch = self._locks.watch.look()
            words = "" if latch is None else f" by {latch.by or 'another process'}: {latch.words}"
            # Said first: what is dropped is written down one by one, and the database may be gone.
            self._tell(f"KILLED: the kill switch of {self.account} is on{words}.")
            dropped = await self._executor.drop_waiting(OTHER_DECIDED)
            if dropped:
                gone = f"Waiting orders of {self.account} dropped: {len(dropped)}; {OTHER_DECIDED}."
                self._tell(gone, severity=Severity.ATTENTION)
        is_killed = self._locks.watch.look() is not None
        if self._was_killed and not is_killed:
            self._tell(f"The kill switch of {self.account} is not on any more; the mode stays READ until you arm.")
        self._was_killed = is_killed
        if self._locks.needs_positions and not self._locks.other_flattens:
            reading = await self._executor.reconcile()
            if reading.complete:
                self._locks.positions_read(epoch)
                told = kill_words(read_last_kill(self._locks.journal))
                if told:
                    self._tell(f"{told[0].upper()}{told[1:]}.", severity=Severity.ATTENTION)

    async def _judge(self) -> None:
        figures = self._figures()
        if figures is None:
            self.blind = ""
            return
        judged = judge_day(self._limits, figures, now=self._clock.market_now(), day_ends=self._day_ends())
        if judged.blind and not self.blind:
            self._tell(judged.blind, severity=Severity.ATTENTION)
        self.blind = judged.blind
        trouble = ""
        try:
            new = self._locks.fall(judged.fallen)
        except SetupError as error:
            new, trouble = self._locks.views(), f" {error}"
        if not new:
            return
        taken = await self._withdraw("", new[0].kind.value)
        for view in new:
            self._tell(f"LOCKED: {view.kind.value} of {self.account}: {view.words}.{trouble}")
        self._tell(entries_words(taken), severity=Severity.ATTENTION)

    # -- parts -------------------------------------------------------------------------------------------------------

    async def _withdraw(self, seat: str, words: str) -> WithdrawnEntries:
        return await self._executor.withdraw_entries(seat=seat, reason=Reason(by=BY, version=VERSION, words=words))

    def _latch_hold(self, seat: str) -> str:
        try:
            self._locks.hold(seat)
        except SetupError as error:
            return f" The hold does not outlive this engine: {error}"
        return ""

    def _latch_kill(self, seat: str) -> str:
        if self._locks.watch.look() is not None:
            return ""
        try:
            self._locks.watch.set(by=seat or "the engine", words="the kill switch was pulled")
        except SetupError as error:
            # Then at least this engine holds.
            return f" {error}{self._latch_hold(seat)}"
        return ""

    def _tell(self, text: str, *, seat: str = "", severity: Severity = Severity.DANGER) -> None:
        subject = LockKind.KILL.value
        self._notify(Notice(kind=EventKind.SYSTEM, severity=severity, text=text, subject=subject, seat=seat))


def unlock_phrase(account: AccountId) -> str:
    """What is typed to unlock an account."""
    return f"unlock {account}"


def entries_words(taken: WithdrawnEntries) -> str:
    """How many of how many."""
    asked = len(taken.cancelling) + len(taken.failed)
    words = (
        f"{len(taken.dropped)} unsent entries dropped, {len(taken.cancelling)} of {asked} resting entries cancelled."
    )
    if taken.failed:
        words += f" Not cancelled: {' '.join(taken.failed)}"
    return words


def split_latch_of_all(books: Sequence[LockBook]) -> None:
    """Give each account its own latch in place of the one of all, so that one of them can be unlocked.

    Raises:
        SetupError: the disk does not take one; then the latch of all stays.
    """
    latch = next((found for book in books if book.watch.is_for_all and (found := book.watch.look())), None)
    if latch is None:
        return
    for book in books:
        book.keep_own_latch()
    books[0].clear_latch_of_all()


def _refused(message: str) -> Receipt:
    return Receipt(accepted=False, message=message, violations=(Violation(check=CHECK, message=message),))
