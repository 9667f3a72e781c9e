"""What must not be seen."""

from __future__ import annotations

from genii.fleet.secret import Mask, Secret


def test_a_secret_shows_itself_only_to_who_asks() -> None:
    secret = Secret("hunter2")
    assert "hunter2" not in f"{secret} {secret!r}"
    assert secret.reveal() == "hunter2"
    assert secret == Secret("hunter2")
    assert len({secret, Secret("hunter2"), Secret("other")}) == 2


def test_a_mask_hides_the_longer_of_two_secrets_whole() -> None:
    mask = Mask(["abc", "abcdef", ""])
    assert mask("abcdef abc") == "****** ******"


def test_a_mask_can_learn() -> None:
    mask = Mask()
    assert mask("hunter2") == "hunter2"
    mask.add("hunter2")
    mask.add("hunter2")
    assert mask("hunter2!") == "******!"
