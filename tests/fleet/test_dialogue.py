"""Answering prompts: by history, without a terminal."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genii.errors import UsageError
from genii.fleet.dialogue import Dialogue, ExpectFailed
from genii.fleet.secret import Secret


def test_whatever_is_asked_is_answered_in_any_order() -> None:
    dialogue = Dialogue({r"name\?": "bob", r"\[y/N\]": "y"})
    assert dialogue.feed("Overwrite? [y/N] ") == ["y\n"]
    assert dialogue.feed("Your name?") == ["bob\n"]
    assert dialogue.feed(" Sure? [y/N]") == ["y\n"]


def test_a_question_that_comes_in_pieces_is_understood() -> None:
    dialogue = Dialogue({"Password: ": "x"})
    assert dialogue.feed("Pass") == []
    assert dialogue.feed("word:") == []
    assert dialogue.feed(" ") == ["x\n"]


def test_two_questions_at_once_are_answered_in_the_order_they_came() -> None:
    dialogue = Dialogue({"second": "2", "first": "1"})
    assert dialogue.feed("first second first") == ["1\n", "2\n", "1\n"]


def test_a_list_is_gone_through_in_turn() -> None:
    dialogue = Dialogue([("login:", "bob"), ("[Pp]assword:", Secret("x")), (r"\$ ", "exit")])
    assert dialogue.feed("password: not yet. login: ") == ["bob\n"]
    assert dialogue.feed("Password: ") == ["x\n"]
    assert dialogue.feed("$ ") == ["exit\n"]
    assert dialogue.done
    dialogue.check_end()


def test_an_end_before_the_last_question_is_an_error_that_tells_what_came() -> None:
    dialogue = Dialogue([("login:", "bob"), ("Password:", "x")])
    dialogue.feed("login: ")
    dialogue.feed("account locked\n")
    with pytest.raises(ExpectFailed, match=r"ended before 'Password:' came; it said last: '.*account locked'"):
        dialogue.check_end()


def test_a_secret_that_is_asked_for_again_was_wrong() -> None:
    dialogue = Dialogue({"Password:": Secret("wrong")})
    assert dialogue.feed("Password:") == ["wrong\n"]
    with pytest.raises(ExpectFailed, match="asked again for 'Password:'"):
        dialogue.feed("\r\nSorry.\r\nPassword:")


def test_a_list_of_answers_is_one_for_each_time() -> None:
    dialogue = Dialogue({"word:": ["a", Secret("b")]})
    assert dialogue.feed("word: word:") == ["a\n", "b\n"]
    with pytest.raises(ExpectFailed, match="asked again"):
        dialogue.feed("word:")


def test_a_function_answers_with_what_was_matched() -> None:
    dialogue = Dialogue({r"type '(\w+)' to go on": lambda match: match[1].upper()})
    assert dialogue.feed("type 'yes' to go on") == ["YES\n"]


def test_none_only_waits() -> None:
    dialogue = Dialogue([("ready", None), ("login:", "bob")])
    assert dialogue.feed("login: ready login:") == ["bob\n"]


def test_secrets_are_hidden_in_all_that_is_shown() -> None:
    dialogue = Dialogue({"Password:": Secret("hunter2"), "token": lambda match: Secret("t0ken")})
    dialogue.feed("Password:")
    dialogue.feed("hunter2 token t0ken")
    assert "hunter2" not in dialogue.transcript + dialogue.tail
    assert "t0ken" not in dialogue.transcript + dialogue.tail


def test_the_escapes_of_a_terminal_do_not_come_between() -> None:
    dialogue = Dialogue({r"^login: $": "bob"})
    assert dialogue.feed("\x1b[2J\x1b[1;1Hwelcome\r\n\x1b[0mlog\x1b[1min: ") == ["bob\n"]
    assert dialogue.transcript == "welcome\nlogin: "


@pytest.mark.parametrize("pattern", ["", ".*", "x?", "(unclosed"])
def test_patterns_that_would_match_for_ever_or_never_are_refused(pattern: str) -> None:
    with pytest.raises(UsageError, match="expect:"):
        Dialogue({pattern: "x"})


def test_an_answer_that_is_no_text_is_refused() -> None:
    dialogue = Dialogue({"n": lambda match: 3})  # type: ignore[dict-item, return-value]
    with pytest.raises(UsageError, match="answered with 3"):
        dialogue.feed("n")


def test_a_question_that_never_ends_is_not_answered_for_ever() -> None:
    dialogue = Dialogue({"more": "q"})
    with pytest.raises(ExpectFailed, match="asked again"):
        dialogue.feed("more" * 2000)


def test_very_much_output_is_not_kept() -> None:
    dialogue = Dialogue({"never": "x"})
    for _ in range(50):
        dialogue.feed("y" * 100_000)
    assert len(dialogue.transcript) <= 1 << 20


@given(st.lists(st.text(max_size=20), max_size=20))
def test_garbage_is_survived(pieces: list[str]) -> None:
    dialogue = Dialogue({re.escape("pass:"): "x"})
    typed = [line for piece in pieces for line in dialogue.feed(piece)]
    assert typed in ([], ["x\n"] * len(typed))
