"""API keys and the tokens of sign-in: their form, what is kept of them, how they are compared."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import keys, tokens
from domain.errors import InvalidBody
from domain.keys import Scope


def test_a_key_is_its_public_id_and_32_random_bytes() -> None:
    key_id, secret = keys.make(lambda size: b"\xff" * size)
    assert (key_id, secret) == ("ff" * 8, "mtr_" + "ff" * 8 + "_" + "_" * 42 + "8")


def test_no_two_keys_are_alike() -> None:
    assert len({keys.make() for _ in range(100)}) == 100


@given(st.binary(min_size=40, max_size=40))
def test_a_key_names_itself_and_proves_itself(random: bytes) -> None:
    key_id, secret = keys.make(lambda size: random[:size] if size == 8 else random[8:])
    assert keys.public_id(secret) == key_id
    assert keys.matches(secret, keys.digest(secret))
    assert len(keys.digest(secret)) == 32


@pytest.mark.parametrize(
    "text",
    [
        "",
        "mtr_",
        "mtr_0123456789abcdef",
        "mtr_0123456789abcdef_" + "a" * 42,
        "mtr_0123456789abcdef_" + "a" * 44,
        "mtr_0123456789ABCDEF_" + "a" * 43,
        "mtr_0123456789abcdef_" + "a" * 43 + "\n",
        " mtr_0123456789abcdef_" + "a" * 43,
        "mtr_０１２３４５６７89abcdef_" + "a" * 43,
        "\ud800",
    ],
)
def test_what_has_not_the_form_of_a_key_has_no_public_id(text: str) -> None:
    assert keys.public_id(text) is None


@given(st.text(st.characters()), st.text(st.characters()))
def test_only_the_same_text_matches(one: str, other: str) -> None:
    assert tokens.matches(one, tokens.digest(other)) == (one == other)


def test_a_changed_key_does_not_match() -> None:
    _, secret = keys.make()
    assert not keys.matches(secret[:-1] + ("A" if secret[-1] != "A" else "B"), keys.digest(secret))


def test_scopes_are_named() -> None:
    assert keys.scopes_of(["read", "ingest", "read"]) == {Scope.INGEST, Scope.READ}


@pytest.mark.parametrize("names", [[], ["root"], ["read", "root"], [""]])
def test_scopes_that_do_not_exist_are_refused(names: list[str]) -> None:
    with pytest.raises(InvalidBody, match="ingest, manage, read"):
        keys.scopes_of(names)
