from __future__ import annotations

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genii.control.password import costly, hash_password, verify


def test_a_hash_verifies_its_password_only() -> None:
    stored = hash_password("grüße", b"0123456789abcdef")
    assert costly(stored)
    assert verify(stored, "grüße")
    assert not verify(stored, "grüsse")
    assert "grüße" not in stored


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
@settings(max_examples=30)
def test_sha_and_plain_passwords_verify(password: str) -> None:
    raw = password.encode("utf-8", "surrogateescape")
    digest = "{SHA}" + hashlib.sha1(raw).hexdigest()
    assert verify(digest, password)
    assert not verify(digest, password + "x")
    if not password.startswith(("{SHA}", "scrypt$")):
        assert verify(password, password)
        assert not verify(password, password + "x")


def test_sha_may_be_base64() -> None:
    assert verify("{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=", "password")


@pytest.mark.parametrize("stored", ["scrypt$", "scrypt$1$2$3$x$y", "scrypt$a$8$1$AAAA$AAAA", "{SHA}zz"])
def test_a_broken_hash_is_an_error_and_never_a_yes(stored: str) -> None:
    with pytest.raises(ValueError):
        verify(stored, "anything")
