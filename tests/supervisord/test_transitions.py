from __future__ import annotations

from genii.supervise.model import State
from genii.supervisord.transitions import Ending, describe, ended_line, passed, spawn_error


def test_shows_the_states_that_genii_passes_at_once() -> None:
    assert passed(State.RUNNING, State.STARTING) == (State.EXITED, State.STARTING)
    assert passed(State.STARTING, State.FATAL) == (State.BACKOFF, State.FATAL)
    assert passed(State.STARTING, State.RUNNING) == (State.RUNNING,)


def test_words_of_the_log_are_those_that_people_grep_for() -> None:
    assert ended_line("x", State.RUNNING, Ending(3, expected=False)) == "exited: x (exit status 3; not expected)"
    assert (
        ended_line("x", State.RUNNING, Ending(-9, expected=False)) == "exited: x (terminated by SIGKILL; not expected)"
    )
    assert ended_line("x", State.STOPPING, Ending(-15, expected=False)) == "stopped: x (terminated by SIGTERM)"


def test_describes_states_as_supervisorctl_shows_them() -> None:
    assert describe(State.RUNNING, 7, 1000, 0, "", 1000 + 3661) == "pid 7, uptime 1:01:01"
    assert describe(State.RUNNING, 7, 0, 0, "", 86400 * 2 + 5) == "pid 7, uptime 2 days, 0:00:05"
    assert describe(State.RUNNING, 7, 2000, 0, "", 1000) == "pid 7, uptime 0:00:00"
    assert describe(State.STOPPED, 0, 0, 0, "", 5) == "Not started"
    assert describe(State.FATAL, 0, 1, 1, "why", 5) == "why"


def test_says_spawn_errors_in_supervisords_words() -> None:
    assert spawn_error("command not found: x (PATH=/bin)") == "can't find command 'x'"
    assert spawn_error("gave up after 4 failed starts: not executable: /x") == "command at '/x' is not executable"
