"""The body of an order is what the standard library makes of the form, whatever stands in it."""

from __future__ import annotations

from urllib.parse import urlencode

from hypothesis import example, given
from hypothesis import strategies as st

from engine.brokers.kite.transport import form_body

PLAIN = st.text(st.sampled_from("ABCxyz019_.~-"), max_size=8)
ANY = PLAIN | st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


@given(form=st.dictionaries(ANY, ANY, max_size=6))
@example(form={"tradingsymbol": "M&M26NOV3000CE", "tag": "a=b"})
@example(form={"tag": "line\n"})
@example(form={})
def test_a_form_is_encoded_as_the_standard_library_does(form: dict[str, str]) -> None:
    """Quoted or not: the same bytes."""
    assert form_body(form) == urlencode(form).encode("ascii")
