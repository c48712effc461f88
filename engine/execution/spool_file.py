"""The spool's file: lines are only ever added, and are on the disk before anything is done that relies on them.

One process has it at a time (the kernel's lock on a file beside it, which falls with the process). It is bounded: what
would exceed the bound is refused, and new orders are refused earlier than the news of those that are there.
"""

from __future__ import annotations

import fcntl
import logging
import os
import re
import shutil
import threading
from collections.abc import Sequence
from pathlib import Path

from engine.core.errors import StorageError
from engine.core.identifiers import AccountId
from engine.execution.spool_records import VERSION, SpoolContents, SpoolHeader, SpoolRecord, decode, encode

logger = logging.getLogger(__name__)

PRIVATE_FILE = 0o600
PRIVATE_FOLDER = 0o700
INTENTS_SHARE = 0.75
"""Part of the bound that new orders may fill; the rest is for what becomes of them."""
UNSAFE = re.compile(r"[^A-Za-z0-9_-]")


class SpoolUnusable(StorageError):
    """Nothing was kept: the disk refused it, the file is full, or it is another's."""


class SpoolInUse(SpoolUnusable):
    """Another engine of this machine has the file."""


def spool_path(folder: Path, account: AccountId) -> Path:
    """The file of an account in its venue's folder."""
    return folder / f"{UNSAFE.sub('_', account)}.spool"


def is_spool_in_use(path: Path) -> bool:
    """Whether an engine that lives has this file: no other one of this machine may work for the account then."""
    try:
        descriptor = os.open(_lock_path(path), os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        return not _locked(descriptor)
    finally:
        os.close(descriptor)


class SpoolFile:
    """One file. Its methods wait for the disk: call them from a thread.

    Args:
        path: Where.
        account: Whose.
        bytes_max: The bound.
    """

    def __init__(self, path: Path, account: AccountId, *, bytes_max: int) -> None:
        self.path = path
        self._account = account
        self._bytes_max = bytes_max
        self._lock: int | None = None
        self._file: int | None = None
        self._size = 0
        self._is_broken = False
        # A thread that nobody waits for any more may still be at work on it.
        self._turn = threading.Lock()

    def open(self) -> SpoolContents:
        """Take it, read what an earlier engine left, and cut off what it had not finished writing.

        Raises:
            SpoolInUse: another engine of this machine has it.
            SpoolUnusable: it cannot be read or written, or is another account's or a later release's.
        """
        with self._turn:
            try:
                return self._open()
            except OSError as error:
                self._close()
                raise SpoolUnusable(f"The spool {self.path} cannot be used: {error.strerror or error}.") from error
            except SpoolUnusable:
                self._close()
                raise

    def append(self, records: Sequence[SpoolRecord], *, begins_orders: bool = False) -> None:
        """Add lines; returning means that they are on the disk.

        Args:
            records: What to keep.
            begins_orders: They are of new orders, which are refused while there is room for news of the others.

        Raises:
            SpoolUnusable: none of them counts.
        """
        data = b"".join(map(encode, records))
        with self._turn:
            self._append(data, begins_orders=begins_orders)

    def clear(self) -> None:
        """Begin again with an empty file, in one step.

        Raises:
            SpoolUnusable: the old one is still there.
        """
        with self._turn:
            self._clear()

    def close(self) -> None:
        """Let go of it; what it holds stays."""
        with self._turn:
            self._close()

    def _open(self) -> SpoolContents:
        folder = self.path.parent
        folder.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
        self._lock = os.open(_lock_path(self.path), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE_FILE)
        if not _locked(self._lock):
            raise SpoolInUse(
                f"Another engine of this machine works for {self._account}: it has the spool {self.path}. Attach to it."
            )
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, PRIVATE_FILE)
        contents = decode(self.path.read_bytes())
        for record in contents.records:
            self._refuse_strange(record)
        if contents.damaged:
            # For a person to look at: the file itself is emptied when it has been merged.
            shutil.copyfile(self.path, self.path.with_name(self.path.name + ".damaged"))
        if contents.torn_bytes:
            logger.warning("%s ends in %d bytes of an unfinished line", self.path, contents.torn_bytes)
            os.ftruncate(self._file, contents.whole_bytes)
        self._size = contents.whole_bytes
        if not self._size:
            self._size = _write_all(self._file, encode(SpoolHeader(account=self._account)))
        os.fsync(self._file)
        _sync_folder(folder)
        _sync_folder(folder.parent)
        return contents

    def _append(self, data: bytes, *, begins_orders: bool) -> None:
        limit = int(self._bytes_max * INTENTS_SHARE) if begins_orders else self._bytes_max
        if self._size + len(data) > limit:
            raise SpoolUnusable(
                f"The spool is full ({self._size:,} of {self._bytes_max:,} bytes): nothing more is kept in {self.path} "
                "until the journal has taken it."
            )
        if self._is_broken or self._file is None:
            raise SpoolUnusable(f"The spool {self.path} is closed, or the disk has failed under it.")
        try:
            _write_all(self._file, data)
        except OSError as error:
            self._cut()
            raise SpoolUnusable(f"The spool cannot be written: {error.strerror or error}.") from error
        try:
            os.fsync(self._file)
        except OSError as error:
            # What the system could not bring to the disk it may forget: nothing added to this file counts any more.
            self._is_broken = True
            raise SpoolUnusable(f"The disk does not keep the spool: {error.strerror or error}.") from error
        self._size += len(data)

    def _clear(self) -> None:
        fresh = self.path.with_name(self.path.name + ".new")
        try:
            file = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, PRIVATE_FILE)
            try:
                header = encode(SpoolHeader(account=self._account))
                _write_all(file, header)
                os.fsync(file)
                fresh.replace(self.path)
                _sync_folder(self.path.parent)
            except OSError:
                os.close(file)
                raise
        except OSError as error:
            raise SpoolUnusable(f"The spool {self.path} cannot be emptied: {error.strerror or error}.") from error
        if self._file is not None:
            os.close(self._file)
        self._file, self._size, self._is_broken = file, len(header), False

    def _close(self) -> None:
        for descriptor in (self._file, self._lock):
            if descriptor is not None:
                os.close(descriptor)
        self._file = self._lock = None

    def _refuse_strange(self, record: SpoolRecord) -> None:
        if not isinstance(record, SpoolHeader):
            return
        if record.account != self._account:
            raise SpoolUnusable(f"The spool {self.path} is that of {record.account}, not of {self._account}.")
        if record.version > VERSION:
            raise SpoolUnusable(
                f"The spool {self.path} was written by a later release. Start that one until the spool is empty."
            )

    def _cut(self) -> None:
        """Take a half-written line away again."""
        try:
            if self._file is not None:
                os.ftruncate(self._file, self._size)
        except OSError:
            self._is_broken = True


def _lock_path(path: Path) -> Path:
    return path.with_name(path.name + ".lock")


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _write_all(file: int, data: bytes) -> int:
    left = memoryview(data)
    while left:
        left = left[os.write(file, left) :]
    return len(data)


def _sync_folder(folder: Path) -> None:
    """A new name in a folder is on the disk when the folder is."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
