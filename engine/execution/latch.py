"""The latch: a small file by which any process stops every other one from taking new risk, database or not.

One file for each account of a venue, and one for all of them, in the data folder. It is written with force and put in
place as a whole, so a reader sees all of one or nothing; one that cannot be read counts as latched. Every send looks
at it: two calls of the file system while nothing changes, no read.

Invariant: setting always wins. Only ``clear`` takes a latch away, and only the one that its caller has seen.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from engine.core.errors import SetupError
from engine.core.identifiers import AccountId
from engine.core.locks import LockKind, LockView

ALL_ACCOUNTS = AccountId("ALL")
"""The latch of every account of the venue: set before it is known which there are."""
SUFFIX = ".kill"
MUTEX = "latches.lock"
MUTEX_WAIT_S = 0.2
"""How long a writer waits for another one, which may be stopped: setting a latch never waits for ever."""
MUTEX_POLL_S = 0.01
FOLDER_MODE = 0o700
FILE_MODE = 0o600
ID_RANDOM_BYTES = 8
UNREADABLE = "the latch file cannot be read, which counts as latched"

Signature = tuple[int, int, int, int]


class Latch(msgspec.Struct, frozen=True, kw_only=True):
    """What one latch says."""

    kind: LockKind
    since: datetime
    """Aware UTC, this machine's clock."""
    by: str
    """Who set it: ``workstation kill``, a seat."""
    words: str
    id: str
    """Different for each setting."""

    def view(self, account: AccountId) -> LockView:
        """As a lock that is on."""
        return LockView(account=account, kind=self.kind, since=self.since, words=self.words, seat=self.by)


class _Written(msgspec.Struct, frozen=True):
    latch: msgspec.Raw
    sha256: str


def encode_latch(latch: Latch) -> bytes:
    """The file's bytes."""
    raw = msgspec.json.encode(latch)
    return msgspec.json.encode(_Written(msgspec.Raw(raw), hashlib.sha256(raw).hexdigest())) + b"\n"


def decode_latch(data: bytes) -> Latch | None:
    """What the bytes say; ``None`` when they are not what was written."""
    try:
        written = msgspec.json.decode(data, type=_Written)
        raw = bytes(written.latch)
        if hashlib.sha256(raw).hexdigest() != written.sha256:
            return None
        latch = msgspec.json.decode(raw, type=Latch)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return latch if latch.since.tzinfo is not None else None


class LatchFolder:
    """The latches of one venue.

    Args:
        folder: Where they lie; made when the first is set.
        random_bytes: Source of ids.
    """

    def __init__(self, folder: Path, random_bytes: Callable[[int], bytes]) -> None:
        self.folder = folder
        self._random_bytes = random_bytes

    def path(self, account: AccountId) -> Path:
        """The file of an account's latch; ``ALL_ACCOUNTS`` has one too."""
        return self.folder / f"{safe_name(account)}{SUFFIX}"

    def read(self, account: AccountId) -> Latch | None:
        """The latch of an account as its own file says; ``None`` when there is none."""
        path = self.path(account)
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            return self._unreadable(path, f"{UNREADABLE} ({error.strerror})")
        return decode_latch(data) or self._unreadable(path, UNREADABLE)

    def accounts(self) -> tuple[AccountId, ...]:
        """Names that are latched, ``ALL_ACCOUNTS`` among them."""
        return tuple(AccountId(path.name.removesuffix(SUFFIX)) for path in sorted(self.folder.glob(f"*{SUFFIX}")))

    def set(self, account: AccountId, *, by: str, words: str, kind: LockKind = LockKind.KILL) -> Latch:
        """Latch an account; when this returns it is on the disk and survives the power going.

        Raises:
            SetupError: the disk does not take it.
        """
        latch_id = self._random_bytes(ID_RANDOM_BYTES).hex()
        return self.copy(Latch(kind=kind, since=datetime.now(UTC), by=by, words=words, id=latch_id), account)

    def copy(self, latch: Latch, account: AccountId) -> Latch:
        """Put a latch on an account: it stays the same one to whoever has seen it.

        Raises:
            SetupError: the disk does not take it.
        """
        path = self.path(account)
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=FOLDER_MODE)
            with self._mutex():
                put_in_place(path, encode_latch(latch))
        except OSError as error:
            raise SetupError(f"The latch {path} cannot be written: {error.strerror}.") from error
        return latch

    def clear(self, account: AccountId, seen: Latch) -> bool:
        """Take the latch away if it still is the one that was ``seen``; whether it was.

        Raises:
            SetupError: the disk does not let it go.
        """
        path = self.path(account)
        try:
            with self._mutex():
                now = self.read(account)
                if now is None or now.id != seen.id:
                    return False
                path.unlink()
                sync_folder(self.folder)
        except OSError as error:
            raise SetupError(f"The latch {path} cannot be removed: {error.strerror}.") from error
        return True

    def _unreadable(self, path: Path, words: str) -> Latch:
        """What a damaged file counts as. Its id is that of its bytes' place, so that it can be cleared as seen."""
        try:
            found = path.stat()
        except OSError:
            return Latch(kind=LockKind.KILL, since=datetime.fromtimestamp(0, UTC), by="", words=words, id="unreadable")
        since = datetime.fromtimestamp(found.st_mtime, UTC)
        return Latch(kind=LockKind.KILL, since=since, by="", words=words, id=f"unreadable-{found.st_mtime_ns}")

    @contextlib.contextmanager
    def _mutex(self) -> Iterator[None]:
        """Keep two writers apart, for as long as a writer takes and no longer."""
        descriptor = os.open(self.folder / MUTEX, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
        try:
            deadline = time.monotonic() + MUTEX_WAIT_S
            while True:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    if time.monotonic() >= deadline:
                        break
                    time.sleep(MUTEX_POLL_S)
                else:
                    break
            yield
        finally:
            os.close(descriptor)


class LatchWatch:
    """What an engine sees of the latch of one account; ``look`` before every send.

    ``epoch`` grows whenever another process has set a latch: what was decided in an earlier epoch may not be sent,
    exits neither, because that process is bringing the account to nothing by itself.

    Args:
        folder: The latches of the venue.
        account: Whose.
    """

    def __init__(self, folder: LatchFolder, account: AccountId) -> None:
        self._folder = folder
        self._account = account
        self._files = (folder.path(account), folder.path(ALL_ACCOUNTS))
        self._names = (account, ALL_ACCOUNTS)
        self._seen: list[Signature | None] = [None, None]
        self._latches: list[Latch | None] = [None, None]
        self._own: set[str] = set()
        self._counted: set[str] = set()
        self.epoch = 0

    def look(self) -> Latch | None:
        """The latch that is on now, the account's own before that of all; ``None`` when none is."""
        for place in (0, 1):
            try:
                found = os.stat(self._files[place])  # noqa: PTH116 - the path of every order: a quarter of the time
            except FileNotFoundError:
                if self._seen[place] is not None:
                    self._seen[place] = self._latches[place] = None
                continue
            except OSError:
                self._take(place, (0, 0, 0, 0))
                continue
            signature = (found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size)
            if signature != self._seen[place]:
                self._take(place, signature)
        return self._latches[0] or self._latches[1]

    def set(self, *, by: str, words: str) -> Latch:
        """Latch the account from here: no new epoch, because this engine knows what it does.

        Raises:
            SetupError: the disk does not take it.
        """
        latch = self._folder.set(self._account, by=by, words=words)
        self._own.add(latch.id)
        self.look()
        return latch

    def clear(self) -> bool:
        """Take away what is on for this account now; whether anything was.

        Raises:
            SetupError: the disk does not let it go.
        """
        self.look()
        cleared = False
        for name, latch in zip(self._names, tuple(self._latches), strict=True):
            if latch is not None:
                cleared = self._folder.clear(name, latch) or cleared
        self.look()
        return cleared

    @property
    def is_for_all(self) -> bool:
        """Whether what is on is the latch of all accounts."""
        self.look()
        return self._latches[1] is not None

    @property
    def is_foreign(self) -> bool:
        """Whether another process, or an engine before this one, set what is on."""
        latch = self.look()
        return latch is not None and latch.id not in self._own

    def _take(self, place: int, signature: Signature) -> None:
        latch = self._folder.read(self._names[place])
        self._seen[place] = signature if latch is not None else None
        self._latches[place] = latch
        if latch is not None and latch.id not in self._own and latch.id not in self._counted:
            self._counted.add(latch.id)
            self.epoch += 1


def safe_name(account: AccountId) -> str:
    """An account as a part of a file's name."""
    plain = account.isascii() and account.isalnum()
    return account if plain else "x-" + account.encode("utf-8").hex()


def put_in_place(path: Path, data: bytes) -> None:
    """Write a file so that a reader, and a machine that loses its power, sees the old one or the new one whole."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, FILE_MODE)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        # Whatever cut the writing off: half a latch must not lie about under any name.
        draft.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Force a folder's entries to the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
