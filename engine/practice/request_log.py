"""The log of order requests: every placement, modification and cancellation that arrived, and what became of it.

A file of JSON lines, two for each request. The first is on the disk before anything else happens to the request, so
that a killed exchange knows of all that reached it; the second says how it ended, and is missing when the exchange
died over it. Whoever judges a chaos run counts here, not in the memory of the one who is judged.
"""

from __future__ import annotations

import logging
import os
from collections import Counter, deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

_log = logging.getLogger(__name__)
_MODE = 0o600
LARGEST_BYTES = 256 << 20
"""A log that has grown to this is set aside at the next start under another name, and a new one begun."""
SET_ASIDE_SUFFIX = ".old"


class RequestRow(msgspec.Struct, omit_defaults=True):
    """One request; times are wall time in epoch seconds, ``status`` the HTTP status that was sent (None: none was).

    ``outcome`` is empty while the request is handled, then one of: answered, answer_dropped, answer_altered (carried
    out, and something else was answered), refused, discarded, died.
    """

    seq: int
    at: float
    method: str
    path: str
    account: str = ""
    tag: str = ""
    order_id: str = ""
    children: tuple[str, ...] = ()
    ended: float = 0.0
    status: int | None = None
    outcome: str = ""
    fault: str = ""


class RequestLog:
    """The log of one venue.

    Args:
        path: The file.
        clock: Wall time in epoch seconds.
        kept: How many rows are kept in memory for reading; older ones are in the file alone.
    """

    def __init__(self, path: Path, clock: Callable[[], float], kept: int) -> None:
        self.path = path
        self._clock = clock
        self._rows: deque[RequestRow] = deque(maxlen=kept)
        self._encoder = msgspec.json.Encoder()
        self.posts: Counter[str] = Counter()
        """Placements that arrived, by tag, whatever became of them."""
        self._seq = 0
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and path.stat().st_size > LARGEST_BYTES:
            path.replace(path.with_name(path.name + SET_ASIDE_SUFFIX))
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, _MODE)
        self._load()

    @property
    def count(self) -> int:
        """How many requests arrived."""
        return self._seq

    def arrive(self, method: str, path: str, account: str, tag: str) -> RequestRow:
        """Note a request that has just been read; it is on the disk when this returns."""
        self._seq += 1
        row = RequestRow(self._seq, self._clock(), method, path, account, tag)
        self._keep(row)
        self._write(row)
        os.fsync(self._file)
        return row

    def end(self, row: RequestRow, outcome: str, status: int | None = None) -> None:
        """Note how a request ended."""
        row.outcome, row.status, row.ended = outcome, status, self._clock()
        self._write(row)

    def after(self, seq: int) -> list[dict[str, Any]]:
        """Return the rows after a number, as far as they are in memory."""
        return [msgspec.to_builtins(row) for row in self._rows if row.seq > seq]

    def close(self) -> None:
        """Flush and close the file."""
        os.fsync(self._file)
        os.close(self._file)

    def _keep(self, row: RequestRow) -> None:
        self._rows.append(row)
        if row.method == "POST":
            self.posts[row.tag] += 1

    def _write(self, row: RequestRow) -> None:
        view = memoryview(self._encoder.encode(row) + b"\n")
        while view:
            view = view[os.write(self._file, view) :]

    def _load(self) -> None:
        """Read what an earlier process wrote; what it did not finish died with it."""
        decoder = msgspec.json.Decoder(RequestRow)
        content = self.path.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            _log.warning("%s: %d bytes of an unfinished line were cut off", self.path, len(content) - whole)
            os.ftruncate(self._file, whole)
        open_rows: dict[int, RequestRow] = {}
        for line in content[:whole].splitlines():
            row = decoder.decode(line)
            if not row.outcome:
                self._seq = max(self._seq, row.seq)
                open_rows[row.seq] = row
                self._keep(row)
            elif (known := open_rows.pop(row.seq, None)) is not None:
                for name in row.__struct_fields__:
                    setattr(known, name, getattr(row, name))
        for row in open_rows.values():
            self.end(row, "died")
