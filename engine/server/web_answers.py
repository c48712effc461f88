"""Answers of the web door over plain HTTP: JSON for programs, problems in the form of RFC 9457."""

from __future__ import annotations

import email.utils
from collections.abc import Iterable
from http import HTTPStatus

import msgspec
from websockets.datastructures import Headers
from websockets.http11 import Response

JSON = "application/json"
PROBLEM = "application/problem+json"


class Problem(msgspec.Struct, frozen=True):
    """The body of an answer that says no."""

    status: int
    title: str
    detail: str
    type: str = "about:blank"


def response(status: HTTPStatus, body: bytes, content_type: str, headers: Iterable[tuple[str, str]] = ()) -> Response:
    """An answer after which the connection ends."""
    fields = Headers(
        [
            ("Date", email.utils.formatdate(usegmt=True)),
            ("Connection", "close"),
            ("Content-Length", str(len(body))),
            ("Content-Type", content_type),
            ("Cache-Control", "no-store"),
            ("X-Content-Type-Options", "nosniff"),
        ]
    )
    for name, value in headers:
        fields[name] = value
    return Response(status.value, status.phrase, fields, body)


def document(status: HTTPStatus, value: object) -> Response:
    """An answer with a JSON document."""
    return response(status, msgspec.json.encode(value), JSON)


def problem(status: HTTPStatus, detail: str, headers: Iterable[tuple[str, str]] = ()) -> Response:
    """An answer that says no, and why in a sentence."""
    body = Problem(status=status.value, title=status.phrase, detail=detail)
    return response(status, msgspec.json.encode(body), PROBLEM, headers)
