from __future__ import annotations

import shlex
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genii.config.command import shell_text, split_command
from genii.config.expand import Names

NAMES = Names(
    variables={"WORDS": "two words", "QUOTE": "it's", "CODE": "$(id)", "EMPTY": ""},
    words={"program": "web", "here": "/srv/my shop"},
    per_process=True,
)


def shell(line: str) -> tuple[str, ...]:
    return ("/bin/sh", "-c", line)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        # executed directly
        ("python -m http.server 8000", ("python", "-m", "http.server", "8000")),
        ("  spaces   around  ", ("spaces", "around")),
        ("echo 'one word' \"another one\" a\\ third", ("echo", "one word", "another one", "a third")),
        ("awk '{ print $1 }' x|y".replace("x|y", "'x|y'"), ("awk", "{ print $1 }", "x|y")),
        ("grep -e 'a*b' \"c;d\" e\\&f", ("grep", "-e", "a*b", "c;d", "e&f")),
        ("curl -d '{\"a\": 1}' http://localhost/#top", ("curl", "-d", '{"a": 1}', "http://localhost/#top")),
        ("costs 5$ and a$", ("costs", "5$", "and", "a$")),
        ("docker --format {{.Names}} {}", ("docker", "--format", "{{.Names}}", "{}")),
        ("user@host:~/x a=b", ("user@host:~/x", "a=b")),
        # executed by the shell, which is replaced by the program
        ("uvicorn shop:app --fd $LISTEN_FD_HTTP", shell("exec uvicorn shop:app --fd $LISTEN_FD_HTTP")),
        ('echo "$HOME"', shell('exec echo "$HOME"')),
        ("ls *.py", shell("exec ls *.py")),
        ("ls ~/x", shell("exec ls ~/x")),
        ("server >log 2>&1", shell("exec server >log 2>&1")),
        ("server \\\n  --port 80", shell("exec server \\\n  --port 80")),
        # executed by the shell, which stays
        ("a | b", shell("a | b")),
        ("cd app && ./run", shell("cd app && ./run")),
        ("sleep 1; exec server", shell("sleep 1; exec server")),
        ("exec server $X", shell("exec server $X")),
        ("PORT=80 server", shell("PORT=80 server")),
        ("echo $(date)", shell("echo $(date)")),
        ("echo `date`", shell("echo `date`")),
        ("if true\nthen server\nfi", shell("if true\nthen server\nfi")),
        ("{ a; }", shell("{ a; }")),
        # what genii puts in is one word for either
        ("echo ${WORDS} x${QUOTE}x", ("echo", "two words", "xit'sx")),
        ("echo ${UNSET:-a default} '${WORDS}'", ("echo", "a default", "two words")),
        ("echo ${EMPTY} ${EMPTY:-full}", ("echo", "", "full")),
        ("echo $$5 $${WORDS}", ("echo", "$5", "${WORDS}")),
        ("{here}/run {program} {process_num:02}", ("/srv/my shop/run", "web", "{process_num:02}")),
        ("{{literal}} {process_name}", ("{{literal}}", "{process_name}")),
        ("echo ${CODE} \"${CODE}\" '${QUOTE}' $X", shell("exec echo '$(id)' \"\\$(id)\" 'it'\\''s' $X")),
        ("cat {here}/* $$HOME", shell("exec cat '/srv/my shop'/* '$'HOME")),
    ],
)  # fmt: skip
def test_a_string_becomes_these_words(text: str, words: tuple[str, ...]) -> None:
    assert split_command(text, NAMES) == words


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        ("  \n", "empty"),
        ("echo 'it", "not closed"),
        ("echo \\", "not closed"),
        ("echo ${NOT_SET}", "NOT_SET"),
        ("echo ${WORD}", "did you mean 'WORDS'"),
        ("echo {proces_num}", "did you mean 'process_num'"),
        ("echo a\0b", "NUL"),
    ],
)
def test_refuses_with_a_reason(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message.replace("(", "\\(")):
        split_command(text, NAMES)


def test_a_probe_is_left_to_the_shell_with_quoted_values() -> None:
    assert shell_text("test -f ${WORDS} && true", NAMES) == "test -f 'two words' && true"


@pytest.mark.parametrize(
    "text",
    [
        "printf '<%s>' \"\\$a \\`b \\\\z\" a 'b c' \"d\\\"e\" f\\ g 'h'\"i\" j\\\"k \"l\\xm\"",
        "printf '<%s>' ${WORDS} \"${QUOTE} x\" ${CODE} $$ '${QUOTE}'",
        "printf '<%s>' ${WORDS} \"${QUOTE} x\" ${CODE} '${QUOTE}' $HOME *.none 2>&1",
    ],
)  # fmt: skip
def test_a_real_shell_agrees(text: str) -> None:
    """The words that genii makes print the same as what a shell makes of the text with variables set."""
    environment = {"HOME": "/h", "PATH": "/bin"}
    mine = subprocess.run(split_command(text, NAMES), capture_output=True, check=True, env=environment)
    # For the shell, quote each reference that isn't, which is what "always one word" means.
    quoted = text.replace("$$", "'$'").replace("'${QUOTE}'", '"${QUOTE}"')
    for name in ("WORDS", "CODE"):
        quoted = quoted.replace(f" ${{{name}}}", f' "${{{name}}}"')
    variables = environment | dict(NAMES.variables)
    theirs = subprocess.run(["/bin/sh", "-c", quoted], capture_output=True, check=True, env=variables)
    assert mine.stdout == theirs.stdout


@given(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), min_size=1))
def test_quoted_words_come_back(words: list[str]) -> None:
    command = ["run", *words]
    text = shlex.join(command).replace("$$", "$$$$")
    if "${" in text or "$$" in text or "{" in text:
        return
    assert split_command(text, NAMES) == tuple(command)


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])) | st.text("$`\"'\\ \n;!*~"))
def test_a_value_is_never_syntax(value: str) -> None:
    names = Names(variables={"V": value}, words={}, per_process=False)
    for text in ("printf '<%s>' ${V} \"${V}\" '${V}'", "printf '<%s>' ${V} \"${V}\" '${V}' 2>&1"):
        ran = subprocess.run(split_command(text, names), capture_output=True, check=True)
        assert ran.stdout.decode() == f"<{value}>" * 3


@given(st.text())
def test_garbage_is_refused_or_split(text: str) -> None:
    try:
        words = split_command(text, NAMES)
    except ValueError:
        return
    assert words
