from __future__ import annotations

import pytest

from genii.control.access import Failures, Role, basic_credentials, check_exposure, refuse_foreign
from genii.errors import UsageError
from genii.events.message import HttpError, Request
from genii.supervise.model import Http


def post(**headers: str) -> Request:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Request("POST", "/api/v1/stop", {"content-type": "application/json", **named})


@pytest.mark.parametrize(
    "listen", ["0.0.0.0:9001", ":9001", "[::]:9001", "example.org:9001", "127.evil.org:9001", "10.0.0.1:1"]
)
def test_refuses_to_be_reached_by_strangers(listen: str) -> None:
    with pytest.raises(UsageError, match="other machines"):
        check_exposure(Http(listen=listen))
    check_exposure(Http(listen=listen, username="me", password="secret"))


@pytest.mark.parametrize("listen", ["", "127.0.0.1:9001", "localhost:9001", "[::1]:9001", "127.9.9.9:1", "unix:/run/x"])
def test_this_machine_may_ask_without_a_password(listen: str) -> None:
    check_exposure(Http(listen=listen))


@pytest.mark.parametrize(
    "http", [Http(username="me"), Http(password="x"), Http(readonly_username="r"), Http(tls_key="k")]
)
def test_half_a_pair_is_refused(http: Http) -> None:
    with pytest.raises(UsageError, match="go together"):
        check_exposure(http)


def test_roles_allow_what_they_are_for() -> None:
    assert Role.READER.allows("GET")
    assert not Role.READER.allows("POST")
    assert Role.OPERATOR.allows("POST")
    assert not Role.NOBODY.allows("GET")


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:9001", "", "127.0.0.1.evil.example", "[::2]:9001", "a:b:c"]
)
def test_a_name_that_is_not_ours_is_refused_without_a_password(host: str) -> None:
    with pytest.raises(HttpError) as caught:
        refuse_foreign(Request("GET", "/", {"host": host}), authenticated=False, listen="127.0.0.1:9001")
    assert caught.value.status == 421


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:9001", "[::1]:9001", "LOCALHOST:1"])
def test_our_own_names_are_fine(host: str) -> None:
    refuse_foreign(Request("GET", "/", {"host": host}), authenticated=False, listen="127.0.0.1:9001")


def test_pages_of_others_can_change_nothing() -> None:
    for request in (
        post(host="a.example", origin="https://evil.example"),
        post(host="a.example", origin="null"),
        post(host="a.example", sec_fetch_site="cross-site"),
        post(host="a.example:9001", origin="http://a.example:9002"),
    ):
        with pytest.raises(HttpError) as caught:
            refuse_foreign(request, authenticated=True, listen="0.0.0.0:9001")
        assert caught.value.status == 403


def test_a_form_can_change_nothing() -> None:
    request = post(host="a.example", content_type="text/plain")
    with pytest.raises(HttpError) as caught:
        refuse_foreign(request, authenticated=True, listen="0.0.0.0:9001")
    assert caught.value.status == 415


def test_our_own_page_and_programs_may() -> None:
    refuse_foreign(
        post(host="a.example:9001", origin="http://a.example:9001"), authenticated=True, listen="0.0.0.0:9001"
    )
    refuse_foreign(post(host="a.example"), authenticated=True, listen="0.0.0.0:9001")


@pytest.mark.parametrize("header", ["", "Basic", "Basic !!!", "Bearer abc", "Basic bm9jb2xvbg=="])
def test_what_is_no_basic_authentication_is_nobody(header: str) -> None:
    assert basic_credentials(header) is None


def test_reads_user_and_password_with_colons() -> None:
    assert basic_credentials("basic bWU6YTpi") == ("me", "a:b")


def test_five_failures_make_an_address_wait_and_no_other() -> None:
    failures = Failures()
    for second in range(5):
        assert failures.wait("a", float(second)) == 0
        failures.note("a", float(second))
    assert failures.wait("a", 5.0) == 55.0
    assert failures.wait("b", 5.0) == 0
    assert failures.wait("a", 60.5) == 0


def test_a_crowd_of_addresses_does_not_fill_the_memory() -> None:
    failures = Failures()
    for number in range(5000):
        failures.note(str(number), 0.0)
    assert len(failures._seen) <= 1024
