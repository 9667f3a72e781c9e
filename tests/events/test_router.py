from __future__ import annotations

import pytest

from genii.events.message import HttpError, Request, Response
from genii.events.router import Router


def answer(router: Router, method: str, path: str) -> str:
    response = router(Request(method, path, {}))
    assert isinstance(response, Response)
    return response.body.decode()


def router() -> Router:
    made = Router()
    made.add("GET", "/", lambda request: Response.text("root"))
    made.add("GET", "/programs/all", lambda request: Response.text("plain"))
    made.add("GET", "/programs/{name}", lambda request: Response.text(request.parameters["name"]))
    made.add("POST", "/programs/{name}", lambda request: Response.text("posted"))
    made.add("GET", "/files/{path:path}", lambda request: Response.text(request.parameters["path"]))
    return made


def test_plain_paths_win_over_patterns_and_parameters_are_decoded() -> None:
    assert answer(router(), "GET", "/?a=b") == "root"
    assert answer(router(), "GET", "/programs/all") == "plain"
    assert answer(router(), "GET", "/programs/web%3A0%2F%C3%BC") == "web:0/ü"
    assert answer(router(), "POST", "/programs/x") == "posted"
    assert answer(router(), "GET", "/files/a/b.css") == "a/b.css"
    assert answer(router(), "HEAD", "/") == "root"


@pytest.mark.parametrize("path", ["/nothing", "/programs", "/programs/", "/programs/a/b", "//"])
def test_what_is_not_there_is_404(path: str) -> None:
    with pytest.raises(HttpError) as caught:
        router()(Request("GET", path, {}))
    assert caught.value.status == 404


def test_another_method_is_405_and_told_which() -> None:
    with pytest.raises(HttpError) as caught:
        router()(Request("DELETE", "/programs/x", {}))
    assert caught.value.status == 405
    assert caught.value.headers == {"Allow": "GET, HEAD, POST"}


def test_a_route_can_be_taken_once() -> None:
    made = router()
    for pattern in ("/", "/programs/{name}"):
        with pytest.raises(ValueError, match="already"):
            made.add("GET", pattern, lambda request: Response.text(""))
    with pytest.raises(ValueError, match="begins"):
        made.add("GET", "x", lambda request: Response.text(""))
