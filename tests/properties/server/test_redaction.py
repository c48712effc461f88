"""What the logs hide and what they keep: every secret in every shape goes, no id that a person looks up by does.

Ids and secrets are both made of chance, so a rule that is only nearly exact fails once in a thousand ids.
"""

from __future__ import annotations

import base64
import json
import string
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from engine.core.identifiers import TAG_RANDOM_BYTES, order_tag
from engine.execution.kill_journal import kill_tag
from engine.server.audit import TOKEN_LIKE
from engine.server.tokens import ID_BYTES, token_id_of
from workstation.cli.logs import REDACTED, redacted

HEX_BYTES = (8, 10, 12, 16)
"""Of an engine's identity, an idempotency key, a reference, an intent."""
DIGITS_LIKE_A_TELEPHONE = "abcdef9876543210fedcba0123456789"
SENTENCES = ("{}", "by {}.", "token {} of reader", "id={}, next", '{{"token_id": "{}"}}', "Token {}: revoked", "cli-{}")
ALPHANUMERIC = string.ascii_letters + string.digits
URL_SAFE = ALPHANUMERIC + "-_"
HEADER_BYTES_MIN = 8

ids = st.one_of(
    st.binary(min_size=ID_BYTES, max_size=ID_BYTES).map(token_id_of),
    # Few letters: those of which the head of a token is made come together in most of them.
    st.text("eyja2", min_size=16, max_size=16),
    st.binary(min_size=TAG_RANDOM_BYTES, max_size=TAG_RANDOM_BYTES).map(order_tag),
    st.binary(min_size=TAG_RANDOM_BYTES, max_size=TAG_RANDOM_BYTES).map(kill_tag),
    st.sampled_from(HEX_BYTES).flatmap(lambda size: st.binary(min_size=size, max_size=size)).map(bytes.hex),
    # Runs of digits as long as a telephone number, with a letter beside them.
    st.from_regex(r"[a-f][6-9][0-9]{9}[a-f]{5}", fullmatch=True),
    st.from_regex(r"[0-9a-f]{4}[a-f]91[6-9][0-9]{9}[a-f]", fullmatch=True),
)
keys = st.text(ALPHANUMERIC, min_size=8, max_size=32)
values = st.text(ALPHANUMERIC, min_size=24, max_size=64)
objects = st.dictionaries(st.text(min_size=1, max_size=8), st.text(max_size=40), min_size=1, max_size=4)
before = st.sampled_from(["", " ", "refused ", "token=", "x", "_", "9", '"', "Bearer "])


def encoded(found: object, separators: tuple[str, str], lead: str) -> str:
    """An object as a part of a token; ``lead`` stands behind its brace."""
    text = json.dumps(found, separators=separators)
    return base64.urlsafe_b64encode(f"{{{lead}{text[1:]}".encode()).decode().rstrip("=")


web_tokens = st.tuples(
    st.builds(encoded, objects, st.sampled_from([(",", ":"), (", ", ": ")]), st.sampled_from(["", " "])),
    st.builds(encoded, objects, st.just((",", ":")), st.just("")),
    st.text(URL_SAFE, min_size=24, max_size=64),
).filter(lambda parts: len(parts[0]) > HEADER_BYTES_MIN + 2)

SHAPES: dict[str, Callable[[str, str], str]] = {
    "header": lambda key, value: f"Authorization: token {key}:{value}",
    "header in a dict": lambda key, value: f"{{'Authorization': 'token {key}:{value}'}}",
    "header's value": lambda key, value: f"sent token {key}:{value} away",
    "bearer in a header": lambda _, value: f"authorization=Bearer {value}",
    "query": lambda key, value: f"wss://ticker.invalid/?api_key={key}&access_token={value}",
    "redirect": lambda _, value: f"/?status=success&request_token={value}&state=x",
    "dict": lambda _, value: f"{{'refresh_token': '{value}', 'user_id': 'AB1234'}}",
    "JSON": lambda _, value: f'{{"enctoken":"{value}","public_token": "{value}"}}',
    "form": lambda key, value: f"api_key={key}&api_secret={value}&checksum={value}",
    "person": lambda _, value: f"password={value}&totp={value}",
}


@given(ids, st.sampled_from(SENTENCES))
@example("fey7rxt62v5vttt7", "{}")
@example("eyj2abcdefghijkl", "{}")
@example("abcdef7777777777", "{}")
@example(DIGITS_LIKE_A_TELEPHONE, "{}")
def test_no_id_of_ours_is_hidden(identifier: str, sentence: str) -> None:
    """An id is in the audit log and in the program's log as it was made, whatever chance made of it."""
    text = sentence.format(identifier)
    assert TOKEN_LIKE.search(text) is None
    assert redacted(text) == text


@given(web_tokens, before)
def test_every_web_token_is_hidden(parts: tuple[str, str, str], ahead: str) -> None:
    """Of a token with any header nothing is left in either log, whole or cut, wherever in a text it stands."""
    whole = ".".join(parts)
    for token in (whole, parts[0], f"{parts[0]}.{parts[1]}", whole[: len(parts[0]) + len(parts[1]) // 2]):
        text = f"{ahead}{token} here"
        for clean in (TOKEN_LIKE.sub(REDACTED, text), redacted(text)):
            assert REDACTED in clean
            assert not any(part[:HEADER_BYTES_MIN] in clean for part in parts)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
@given(keys, values)
def test_every_shape_of_the_broker_s_secrets_is_hidden(shape: Callable[[str, str], str], key: str, value: str) -> None:
    """Whatever the value is made of, its place gives it away."""
    clean = redacted(shape(key, value))
    assert value not in clean
    assert REDACTED in clean


@given(
    st.from_regex(r"[6-9][0-9]{9}", fullmatch=True),
    st.sampled_from(["", "91", "+91", "+91 ", "+91-", "91-"]),
    st.sampled_from(["{}", "call {} now", "call {}.", "tel:{}", '{{"phone":"{}"}}', "phone={}&x=1", "({}),"]),
)
def test_every_telephone_number_is_hidden(number: str, country: str, sentence: str) -> None:
    """With or without its country, in a sentence, at its end, and in a field."""
    assert number not in redacted(sentence.format(country + number))
