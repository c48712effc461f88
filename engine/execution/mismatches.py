"""The list of differences between our books and the broker's, kept until each is gone or a person has explained it.

What one reading shows may be a fill between two reads: a difference is listed when two readings in a row, taken some
time apart, show the same one. It is closed by one reading without it. What is listed is kept in the database; while
that cannot be written the list stands in memory and is written later.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Sequence
from datetime import timedelta

import msgspec

from engine.core.errors import StorageError
from engine.core.events import EventKind
from engine.core.identifiers import AccountId
from engine.core.ports import Clock
from engine.core.reconciling import Mismatch, MismatchKind, MismatchState
from engine.core.repositories import UpkeepRepository
from engine.core.vocabulary import Severity
from engine.execution.notices import Notice

logger = logging.getLogger(__name__)

ID_PREFIX = "m"
ID_DIGITS = 8
EXPLANATION_LENGTH_MAX = 500


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One difference that one comparison shows."""

    kind: MismatchKind
    subject: str
    """What it is about; with the kind the same for the same difference."""
    words: str
    """One sentence with both figures, without its full stop."""
    ours: str
    theirs: str
    difference: str = ""
    """What must stay the same for it to be the same difference; empty: both figures."""
    is_settled: bool = False
    """It has been looked at often enough already: one reading is enough."""

    @property
    def gist(self) -> str:
        """What an explanation is about."""
        return self.difference or f"{self.ours} / {self.theirs}"


class _Doubt(msgspec.Struct):
    """A difference that one reading has shown."""

    gist: str
    seen_at: float


def mismatch_id(account: AccountId, kind: MismatchKind, subject: str) -> str:
    """The lasting name of a difference."""
    digest = hashlib.sha256(f"{account}\n{kind}\n{subject}".encode()).hexdigest()
    return f"{ID_PREFIX}{digest[:ID_DIGITS]}"


class MismatchList:
    """Differences of one account.

    Args:
        account: Whose.
        notify: Told of what is new, changed or gone.
        clock: Time.
        settle_s: Two readings that show the same difference lie at least so far apart.
        kept_s: How long what is gone stays in the list.
        repository: Where it is kept; ``None`` keeps it in memory.
        epoch: The writer epoch.
    """

    def __init__(
        self,
        account: AccountId,
        notify: Callable[[Notice], None],
        clock: Clock,
        *,
        settle_s: float,
        kept_s: float,
        repository: UpkeepRepository | None = None,
        epoch: int = 0,
    ) -> None:
        self._account = account
        self._notify = notify
        self._clock = clock
        self._settle_s = settle_s
        self._kept = timedelta(seconds=kept_s)
        self._repository = repository
        self._epoch = epoch
        self._items: dict[str, Mismatch] = {}
        self._doubts: dict[str, _Doubt] = {}
        self._unwritten: set[str] = set()

    async def load(self) -> None:
        """Take in what an earlier engine has listed.

        Raises:
            StorageError: it cannot be read.
        """
        if self._repository is not None:
            for item in await self._repository.mismatches(self._account):
                self._items.setdefault(item.mismatch_id, item)

    @property
    def items(self) -> tuple[Mismatch, ...]:
        """Open ones first, then explained ones, then those that went lately; oldest first in each."""
        order = {MismatchState.OPEN: 0, MismatchState.EXPLAINED: 1, MismatchState.GONE: 2}
        return tuple(sorted(self._items.values(), key=lambda item: (order[item.state], item.first_seen)))

    @property
    def sentences(self) -> tuple[str, ...]:
        """What is open, oldest first."""
        return tuple(item.words for item in self.items if item.state is MismatchState.OPEN)

    @property
    def has_doubts(self) -> bool:
        """Whether another reading should follow soon."""
        return bool(self._doubts)

    def is_open(self, kind: MismatchKind, subject: str) -> bool:
        """Whether a difference is listed and nobody has explained it."""
        item = self._items.get(mismatch_id(self._account, kind, subject))
        return item is not None and item.state is MismatchState.OPEN

    def explained(self, kind: MismatchKind, subject: str) -> Mismatch | None:
        """A difference that a person has explained; ``None`` for any other."""
        item = self._items.get(mismatch_id(self._account, kind, subject))
        return item if item is not None and item.state is MismatchState.EXPLAINED else None

    async def update(self, found: Sequence[Finding], compared: frozenset[MismatchKind]) -> None:
        """Take in one reading.

        Args:
            found: What differs.
            compared: Kinds that could be compared; of others nothing is new and nothing is gone.
        """
        by_id = {mismatch_id(self._account, item.kind, item.subject): item for item in found}
        now = self._clock.monotonic()
        doubts: dict[str, _Doubt] = {}
        for name, finding in by_id.items():
            known = self._items.get(name)
            is_listed = known is not None and known.state is not MismatchState.GONE
            if not is_listed or (known is not None and known.difference != finding.gist):
                doubt = self._doubts.get(name)
                if doubt is None or doubt.gist != finding.gist:
                    doubt = _Doubt(finding.gist, now)
                if not finding.is_settled and now - doubt.seen_at < self._settle_s:
                    doubts[name] = doubt
                    continue
            self._list(name, finding)
        self._doubts = doubts
        for name, item in self._items.items():
            if item.state is not MismatchState.GONE and item.kind in compared and name not in by_id:
                self._put(msgspec.structs.replace(item, state=MismatchState.GONE, last_seen=self._clock.market_now()))
                self._tell(item, Severity.INFO, f"Mismatch gone: {item.words}.")
        self._forget_old()
        await self._write()

    async def explain(self, name: str, words: str, *, seat: str) -> Mismatch | None:
        """A person says why; ``None`` when no such item is listed.

        Raises:
            StorageError: it could not be written; nothing has changed.
        """
        item = self._items.get(name)
        if item is None or item.state is MismatchState.GONE:
            return None
        explained = msgspec.structs.replace(
            item,
            state=MismatchState.EXPLAINED,
            explained_by=seat,
            explanation=words,
            explained_at=self._clock.market_now(),
        )
        if self._repository is not None:
            await self._repository.save_mismatches((explained,), epoch=self._epoch)
        self._items[name] = explained
        self._unwritten.discard(name)
        self._tell(item, Severity.INFO, f"Mismatch {name} explained: {words} ({item.words}).", seat=seat)
        return explained

    def _list(self, name: str, finding: Finding) -> None:
        at = self._clock.market_now()
        known = self._items.get(name)
        if known is None or known.state is MismatchState.GONE:
            item = Mismatch(
                mismatch_id=name,
                account=self._account,
                kind=finding.kind,
                subject=finding.subject,
                words=finding.words,
                ours=finding.ours,
                theirs=finding.theirs,
                difference=finding.gist,
                state=MismatchState.OPEN,
                first_seen=at,
                last_seen=at,
            )
            self._put(item)
            self._tell(item, Severity.DANGER, f"Mismatch: {item.words}.")
            return
        is_other = known.difference != finding.gist
        item = msgspec.structs.replace(
            known,
            words=finding.words,
            ours=finding.ours,
            theirs=finding.theirs,
            difference=finding.gist,
            state=MismatchState.OPEN if is_other else known.state,
            last_seen=at,
        )
        if is_other or item.words != known.words:
            self._put(item)
        else:
            self._items[name] = item  # a mere repeat is not worth a write
        if is_other:
            before = "explained as" if known.state is MismatchState.EXPLAINED else "before"
            self._tell(item, Severity.DANGER, f"Mismatch changed: {item.words} ({before}: {known.words}).")

    def _forget_old(self) -> None:
        now = self._clock.market_now()
        for name, item in tuple(self._items.items()):
            is_old = item.state is MismatchState.GONE and now - item.last_seen > self._kept
            if is_old and name not in self._unwritten:
                del self._items[name]

    def _put(self, item: Mismatch) -> None:
        self._items[item.mismatch_id] = item
        self._unwritten.add(item.mismatch_id)

    async def _write(self) -> None:
        if self._repository is None:
            self._unwritten.clear()
            return
        if not self._unwritten:
            return
        names = tuple(self._unwritten)
        try:
            await self._repository.save_mismatches([self._items[name] for name in names], epoch=self._epoch)
        except StorageError as error:
            logger.warning("%d mismatches could not be written, they are tried again: %s", len(names), error)
            return
        self._unwritten.difference_update(names)

    def _tell(self, item: Mismatch, severity: Severity, text: str, *, seat: str = "") -> None:
        notice = Notice(kind=EventKind.ORDER, severity=severity, text=text, subject=item.mismatch_id, seat=seat)
        self._notify(notice)
