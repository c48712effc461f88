"""The locks of one account that are on: the latch, the hold, and those of the day, kept beside the latch on the disk.

Invariant: a lock is on the disk before it is said to be on, and outlives the engine; only its own end ends it. A file
of locks that cannot be read counts as a hold. Nothing here ever keeps an exit, a cancellation or a stop from going,
with one exception: what was decided before another process pulled the kill switch is not sent by this engine any
more, whatever it is, because that process is flattening; and nothing is placed until positions have been read anew.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import msgspec

from engine.core.commands import Violation
from engine.core.errors import SetupError, Withheld
from engine.core.identifiers import AccountId
from engine.core.locks import LockKind, LockView
from engine.core.ports import Clock
from engine.execution.kill_journal import is_flattening, journal_path
from engine.execution.latch import ALL_ACCOUNTS, FOLDER_MODE, LatchFolder, LatchWatch, put_in_place, safe_name
from engine.execution.locks import Fallen

logger = logging.getLogger(__name__)

SUFFIX = ".locks"
CHECK = "lock"
DAMAGED = "the file of locks cannot be read, which counts as a hold"
OTHER_DECIDED = "it was decided before another process pulled the kill switch, which flattens by itself"
OTHER_FLATTENS = (
    "`workstation kill` is bringing this account to nothing in its own process; nothing else is placed until it ends."
)
READING_ANEW = "Another process has pulled the kill switch; positions are being read anew, ask again in a moment."
_RELEASES = {
    LockKind.HOLD: "release it with Ctrl-X, Esc",
    LockKind.KILL: "it ends by `workstation unlock`",
}


class _Kept(msgspec.Struct, frozen=True, kw_only=True):
    locks: tuple[LockView, ...] = ()


class LockBook:
    """What is on, and what it forbids.

    Args:
        account: Whose.
        folder: The latches of the venue; the locks lie beside them.
        clock: Market time ends the locks of a day; this machine's dates them.
    """

    def __init__(self, account: AccountId, folder: LatchFolder, clock: Clock) -> None:
        self.account = account
        self.watch = LatchWatch(folder, account)
        self._folder = folder
        self._path = folder.folder / f"{safe_name(account)}{SUFFIX}"
        self._clock = clock
        self._kept: dict[LockKind, LockView] = self._load()
        self._read_epoch = 0
        """The epoch in which positions were read last."""
        self.watch.look()

    # -- what is on --------------------------------------------------------------------------------------------------

    def views(self) -> tuple[LockView, ...]:
        """Every lock that is on, the hardest to end first."""
        now = self._clock.market_now()
        latch = self.watch.look()
        killed = () if latch is None else (latch.view(self.account),)
        kept = [view for view in self._kept.values() if view.until is None or now < view.until]
        return (*killed, *sorted(kept, key=lambda view: list(LockKind).index(view.kind)))

    @property
    def blocks_risk(self) -> bool:
        """Whether anything is on; cheap."""
        return self.watch.look() is not None or self._blocks_by_itself()

    def _blocks_by_itself(self) -> bool:
        """Whether a hold or a lock of the day is on, the latch apart."""
        if not self._kept:
            return False
        now = self._clock.market_now()
        return any(view.until is None or now < view.until for view in self._kept.values())

    @property
    def epoch(self) -> int:
        """Grows whenever another process pulls the kill switch."""
        self.watch.look()
        return self.watch.epoch

    def look(self) -> tuple[int, bool]:
        """The epoch, and whether anything is on, of one look at the disk: an order waits for it."""
        blocks = self.blocks_risk
        return self.watch.epoch, blocks

    @property
    def needs_positions(self) -> bool:
        """Whether positions are to be read before anything is placed."""
        return self.epoch > self._read_epoch

    def positions_read(self, epoch: int) -> None:
        """They have been read whole, in a reading that began in this epoch."""
        self._read_epoch = max(self._read_epoch, epoch)

    @property
    def journal(self) -> Path:
        """What a kill process of this account has written down."""
        return journal_path(self._folder.folder, self.account)

    @property
    def other_flattens(self) -> bool:
        """Whether a kill process is at work on this account now."""
        return self.watch.look() is not None and is_flattening(self.journal)

    # -- what it forbids ---------------------------------------------------------------------------------------------

    def entry_refusals(self) -> tuple[Violation, ...]:
        """What keeps an order that adds risk from being taken, one for each lock."""
        return tuple(Violation(check=CHECK, message=refusal_words(view)) for view in self.views())

    def placement_refusals(self) -> tuple[Violation, ...]:
        """What keeps any order from being placed: the moments in which what is held is somebody else's doing."""
        if self.watch.look() is None:
            return ()
        if self.watch.is_foreign and is_flattening(self.journal):
            return (Violation(check=CHECK, message=OTHER_FLATTENS),)
        if self.needs_positions:
            return (Violation(check=CHECK, message=READING_ANEW),)
        return ()

    def withheld(self, *, is_entry: bool, epoch: int) -> str:
        """Why an errand may not leave now, in words that end a sentence; empty when it may.

        Args:
            is_entry: It adds risk.
            epoch: That of the moment it was decided in.
        """
        latch = self.watch.look()
        if self.watch.epoch != epoch:
            return OTHER_DECIDED
        if is_entry and (latch is not None or self._blocks_by_itself()):
            first = self.views()[:1]
            return first[0].kind.value + " is on" if first else ""
        return ""

    def last_look(self, *, is_entry: bool, epoch: int) -> Callable[[], None]:
        """For the road: raises ``Withheld`` when the errand may not leave any more."""

        def look() -> None:
            words = self.withheld(is_entry=is_entry, epoch=epoch)
            if words:
                raise Withheld(words)

        return look

    # -- setting and ending ------------------------------------------------------------------------------------------

    def hold(self, seat: str) -> LockView:
        """Hold; again changes nothing. It is on in memory even when the disk fails, which is raised.

        Raises:
            SetupError: the disk does not take it.
        """
        known = self._kept.get(LockKind.HOLD)
        if known is not None:
            return known
        view = LockView(
            account=self.account,
            kind=LockKind.HOLD,
            since=self._clock.wall_now(),
            words=f"held by {seat or 'the engine'}",
            seat=seat,
        )
        self._kept[LockKind.HOLD] = view
        self._write()
        return view

    def release(self) -> bool:
        """End the hold; whether there was one.

        Raises:
            SetupError: the disk still says that there is one.
        """
        known = self._kept.pop(LockKind.HOLD, None)
        if known is None:
            return False
        try:
            self._write()
        except SetupError:
            self._kept[LockKind.HOLD] = known
            raise
        return True

    def fall(self, fallen: tuple[Fallen, ...]) -> tuple[LockView, ...]:
        """Latch locks of the day that fall now; returns those that are new."""
        now = self._clock.market_now()
        new = []
        for lock in fallen:
            known = self._kept.get(lock.kind)
            if known is not None and known.until is not None and known.until >= lock.until:
                continue
            view = LockView(
                account=self.account,
                kind=lock.kind,
                since=self._clock.wall_now(),
                until=lock.until,
                words=lock.words,
            )
            self._kept[lock.kind] = view
            new.append(view)
        if new:
            self._kept = {kind: view for kind, view in self._kept.items() if _is_on(view, now)}
            self._write()
        return tuple(new)

    def over(self) -> tuple[LockView, ...]:
        """Forget locks whose end has come; returns them.

        Raises:
            SetupError: the disk does not take it; they are over all the same.
        """
        now = self._clock.market_now()
        ended = tuple(view for view in self._kept.values() if not _is_on(view, now))
        if ended:
            self._kept = {kind: view for kind, view in self._kept.items() if _is_on(view, now)}
            self._write()
        return ended

    def keep_own_latch(self) -> None:
        """Have a latch of this account's own where only that of all is on.

        Raises:
            SetupError: the disk does not take it.
        """
        latch = self.watch.look()
        if latch is not None and self._folder.read(self.account) is None:
            self._folder.copy(latch, self.account)

    def clear_latch_of_all(self) -> None:
        """Take the latch of all accounts away; each has its own by now.

        Raises:
            SetupError: the disk does not let it go.
        """
        latch = self._folder.read(ALL_ACCOUNTS)
        if latch is not None:
            self._folder.clear(ALL_ACCOUNTS, latch)

    def _write(self) -> None:
        kept = _Kept(locks=tuple(self._kept.values()))
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=FOLDER_MODE)
            put_in_place(self._path, msgspec.json.encode(kept) + b"\n")
        except OSError as error:
            raise SetupError(f"The locks cannot be written to {self._path}: {error.strerror}.") from error

    def _load(self) -> dict[LockKind, LockView]:
        try:
            kept = msgspec.json.decode(self._path.read_bytes(), type=_Kept)
        except FileNotFoundError:
            return {}
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
            logger.error("%s: %s", self._path, error)  # noqa: TRY400 - in words
            since = self._clock.wall_now()
            view = LockView(account=self.account, kind=LockKind.HOLD, since=since, words=DAMAGED)
            return {LockKind.HOLD: view}
        return {view.kind: view for view in kept.locks}


def refusal_words(view: LockView) -> str:
    """Why new risk is refused, and what ends that."""
    name = view.kind.value.capitalize()
    end = _RELEASES.get(view.kind) or ("it ends by itself" if view.until is not None else "a person must end it")
    words = f" ({view.words})" if view.words else ""
    return f"{name} of {view.account} is on{words}: new risk is blocked, {end}; exits, cancels and stops go."


def _is_on(view: LockView, now: datetime) -> bool:
    return view.until is None or now < view.until
