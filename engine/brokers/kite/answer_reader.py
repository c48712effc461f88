"""Reads one HTTP answer out of the bytes of a connection.

Invariants: an answer is whole or it is none; its length has a bound, before and after decompression; whatever follows
it ends the connection's use.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import NamedTuple

import httpx
from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

_FINAL_STATUS = 200
"""Statuses below announce a further answer to the same request."""
_COMPRESSED = frozenset({"gzip", "x-gzip", "deflate"})
_ANY_WRAPPING = zlib.MAX_WBITS | 32
"""Tells zlib to recognize gzip and zlib by their first bytes."""


class Answer(NamedTuple):
    """What came back."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes


class AnswerReader:
    """Takes the bytes of one answer as they come. The failures are those of ``httpx``, as the reading lane's are.

    Args:
        max_bytes: Of an answer, its head included.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._parser = HttpResponseParser(self)
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []
        self._size = 0
        self._status = 0
        self._lasts_until_end = False
        self.is_complete = False
        self.may_keep = True
        """Whether another request may follow on the connection."""

    def feed(self, data: bytes) -> None:
        """Take the next bytes.

        Raises:
            httpx.RemoteProtocolError: they are no answer, or it is too long; nothing of it can be believed.
        """
        self._size += len(data)
        if self._size > self._max_bytes:
            raise httpx.RemoteProtocolError(f"the answer is longer than {self._max_bytes:,} bytes")
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            self.may_keep = False
            if not self.is_complete:
                raise httpx.RemoteProtocolError(f"the answer is no HTTP: {error}") from error

    def end(self) -> None:
        """The server ended the connection in order: a body without a length was whole then.

        Raises:
            httpx.RemoteProtocolError: the answer was cut off.
        """
        self.may_keep = False
        if not self._lasts_until_end:
            raise httpx.RemoteProtocolError("the server hung up before its answer was whole")
        self.is_complete = True

    def answer(self) -> Answer:
        """The whole answer, decompressed.

        Raises:
            httpx.DecodingError: its body is not what its head says, or too long.
        """
        body = b"".join(self._body)
        if self._headers.get("content-encoding", "").lower() in _COMPRESSED:
            unwrap = zlib.decompressobj(_ANY_WRAPPING)
            try:
                body = unwrap.decompress(body, self._max_bytes)
            except zlib.error as error:
                raise httpx.DecodingError(f"the answer's body cannot be decompressed: {error}") from error
            if not unwrap.eof:
                raise httpx.DecodingError("the answer's compressed body is cut off or too long")
        return Answer(self._status, self._headers, body)

    def on_header(self, name: bytes, value: bytes) -> None:
        """The parser read a header."""
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        self._headers[key] = f"{self._headers[key]}, {text}" if key in self._headers else text

    def on_headers_complete(self) -> None:
        """The parser read a head."""
        self._status = self._parser.get_status_code()
        has_length = "content-length" in self._headers or "transfer-encoding" in self._headers
        self._lasts_until_end = self._status >= _FINAL_STATUS and not has_length

    def on_body(self, body: bytes) -> None:
        """The parser read a piece of the body."""
        self._body.append(body)

    def on_message_complete(self) -> None:
        """The parser read a whole message; the announcement of a later one is not the answer."""
        if self._status < _FINAL_STATUS:
            self._headers = {}
            return
        self.is_complete = True
        self.may_keep = self.may_keep and self._parser.should_keep_alive()

    def on_message_begin(self) -> None:
        """The parser saw the beginning of a message; after the answer nobody asked for one.

        Raises:
            ValueError: it is such a second one; the parser stops there.
        """
        if self.is_complete:
            raise ValueError("a second answer to one request")
