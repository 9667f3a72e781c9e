"""What a task is, before any host is asked."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

import genii
from genii.errors import ConfigError, UsageError
from genii.fleet.task import Task, in_order, task, tasks_in


@task(hosts=["db", "web,!web07"], timeout="5m", limit=3)
def restart(host: genii.Remote) -> str:
    """Restart everything.

    More about it.
    """
    return f"restarted {host}"


def test_a_task_is_called_as_the_function_that_it_is() -> None:
    assert restart("web01") == "restarted web01"
    assert repr(restart) == "<task restart>"
    assert restart.__doc__ is not None


def test_the_first_line_of_the_docstring_describes_it() -> None:
    assert restart.desc == "Restart everything."
    assert restart.hosts == ("db", "web,!web07")
    assert restart.timeout == 300.0


def test_it_can_be_used_without_settings() -> None:
    @task
    def fix_it_now(host: object) -> None: ...

    assert isinstance(fix_it_now, Task)
    assert fix_it_now.name == "fix-it-now"
    assert fix_it_now.hosts == ()


def test_genii_offers_it() -> None:
    assert genii.task is task


def test_what_is_needed_comes_first_and_once() -> None:
    @task
    def one(host: object) -> None: ...

    @task(needs=[one])
    def two(host: object) -> None: ...

    @task(needs=[two, one])
    def three(host: object) -> None: ...

    assert in_order(three) == [one, two, three]


def test_a_need_must_run_without_being_told_anything() -> None:
    @task
    def deploy(host: object, version: str) -> None: ...

    with pytest.raises(UsageError, match="can't run without version"):
        task(needs=[deploy])(lambda host: None)


def test_a_need_is_a_task() -> None:
    def plain(host: object) -> None: ...

    with pytest.raises(UsageError, match="is no task"):
        task(needs=[plain])(plain)  # type: ignore[list-item]


def test_a_wrong_timeout_is_named() -> None:
    with pytest.raises(UsageError, match="timeout: 'soon'"):
        task(timeout="soon")(restart.function)


def test_hooks_are_kept_in_order_and_stay_functions() -> None:
    @task
    def one(host: object) -> None: ...

    @one.before
    def first(host: object) -> None: ...

    @one.before
    def second(host: object) -> None: ...

    @one.after
    def last(host: object, error: Exception | None) -> None: ...

    assert one.hooks.before == [first, second]
    assert one.hooks.after == [last]


def test_an_around_hook_must_have_a_yield() -> None:
    with pytest.raises(UsageError, match="has no yield"):
        restart.around(lambda host: None)


def test_tasks_are_found_among_the_names_of_a_module() -> None:
    module = SimpleNamespace(restart=restart, again=restart, other=3)
    assert tasks_in(vars(module)) == {"restart": restart}


def test_two_tasks_of_one_name_are_an_error_with_its_place() -> None:
    twin = Task(restart.function, name="restart")
    with pytest.raises(ConfigError, match=r"test_task.py:\d+:1: there is a task 'restart' in line \d+ already"):
        tasks_in({"a": restart, "b": twin})
