"""The files of the dashboard, and the way to them: from the package, compressed, over TLS."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import ssl
import subprocess
import zlib
from typing import TYPE_CHECKING

import pytest
from tests.ports import free_port
from tests.real.harness import Site

from genii.supervise.model import Http, Program, Settings
from genii.testing.served import ServedTarget
from genii.web import front

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def served(tmp_path: Path) -> Iterator[ServedTarget]:
    settings = Settings(
        path=str(tmp_path / "genii.toml"),
        programs={"web": Program(name="web", command=("run",))},
        http=Http(metrics_public=True),
    )
    with ServedTarget(settings, str(tmp_path / "genii.sock"), "genii.web.front") as serving:
        yield serving


def get(served: ServedTarget, path: str, method: str = "GET", **headers: str) -> tuple[http.client.HTTPResponse, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", served.tcp.port, timeout=20)
    try:
        connection.request(method, path, headers={key.replace("_", "-"): value for key, value in headers.items()})
        answer = connection.getresponse()
        return answer, answer.read()
    finally:
        connection.close()


def test_the_page_leads_to_files_that_are_kept_as_long_as_they_are_the_same(served: ServedTarget) -> None:
    page, text = get(served, "/")
    assert page.status == 200
    assert "script-src 'self'" in page.headers["Content-Security-Policy"]
    assert "unsafe" not in page.headers["Content-Security-Policy"]
    paths = [part.partition(b'"')[0].decode() for part in text.split(b'"/assets/')[1:]]
    assert any(path.endswith("app.js") for path in paths)
    for path in paths:
        file, body = get(served, f"/assets/{path}")
        assert file.status == 200
        assert body
        assert "immutable" in file.headers["Cache-Control"]
    again, _ = get(served, "/", If_None_Match=page.headers["ETag"])
    assert again.status == 304


def test_files_are_compressed_for_those_who_take_it(served: ServedTarget) -> None:
    plain, text = get(served, "/")
    packed, data = get(served, "/", Accept_Encoding="gzip, br")
    assert packed.headers["Content-Encoding"] == "gzip"
    assert plain.headers["Content-Encoding"] is None
    assert zlib.decompress(data, wbits=31) == text


def test_all_that_the_pages_need_is_less_than_120_kilobytes(served: ServedTarget) -> None:
    _, text = get(served, "/")
    version = text.partition(b"/assets/")[2].partition(b"/")[0].decode()
    names = sorted(os.listdir(os.path.join(os.path.dirname(front.__file__), "assets")))
    assert {"app.js", "style.css", "index.html"} < set(names)
    sizes = [len(get(served, f"/assets/{version}/{name}", Accept_Encoding="gzip")[1]) for name in names]
    assert 20_000 < sum(sizes) < 120_000


@pytest.mark.parametrize(
    "path",
    [
        "/assets/x/../front.py",
        "/assets/x/%2e%2e%2ffront.py",
        "/assets//app.js/",
        "/assets/x/index.htm",
        "/web",
        "/assets",
    ],
)
def test_nothing_but_its_files_can_be_had(served: ServedTarget, path: str) -> None:
    answer, body = get(served, path)
    assert answer.status == 404
    assert json.loads(body)["error"]["code"] == "not-found"


def test_what_could_be_taken_for_an_option_is_no_name_of_a_deployment(served: ServedTarget) -> None:
    for action, words in (
        ("deploy", {"name": ""}),
        ("deploy", {"name": "--help"}),
        ("deploy", {"name": "shop", "branch": "--only=x"}),
        ("rollback", {"name": "-v"}),
        ("rollback", {"name": "shop", "release": "-x"}),
    ):
        connection = http.client.HTTPConnection("127.0.0.1", served.tcp.port, timeout=20)
        headers = {"Content-Type": "application/json"}
        connection.request("POST", f"/api/v1/deployments/{action}", json.dumps(words), headers)
        answer = connection.getresponse()
        assert (answer.status, json.loads(answer.read())["error"]["code"]) == (400, "usage"), words
        connection.close()


def test_the_page_is_only_read(served: ServedTarget) -> None:
    answer, _ = get(served, "/", "POST", Content_Type="application/json")
    assert answer.status == 405


def test_deployments_of_nobody_are_none_and_wrong_questions_are_refused(served: ServedTarget) -> None:
    answer, body = get(served, "/api/v1/deployments")
    assert (answer.status, json.loads(body)["deployments"]) == (200, [])
    assert get(served, "/api/v1/deployments/lines?number=x")[0].status == 400
    assert get(served, f"/api/v1/deployments/lines?number={1 << 70}")[0].status == 400
    answer, body = get(served, "/api/v1/fleet")
    assert (answer.status, json.loads(body)["hosts"]) == (200, [])


@pytest.mark.slow
def test_the_dashboard_is_served_over_tls(tmp_path: Path) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not here to make a certificate")
    site = Site(tmp_path)
    try:
        kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=localhost"]
        files = ["-keyout", str(tmp_path / "key.pem"), "-out", str(tmp_path / "cert.pem")]
        subprocess.run([openssl, "req", "-x509", *kind, *files], capture_output=True, check=True)
        for _ in range(5):  # somebody else may take the free port first
            port = free_port()
            tls = 'tls = { certificate = "cert.pem", key = "key.pem" }'
            users = 'username = "me"\npassword = "right"'
            site.write(f'[program.web]\ncommand = "sleep 1000"\n[http]\nlisten = "127.0.0.1:{port}"\n{users}\n{tls}\n')
            outcome = site.genii("up", "-d")
            if outcome.status == 0:
                break
        assert outcome.status == 0, outcome
        assert "up (pid" in outcome.err
        context = ssl.create_default_context(cafile=str(tmp_path / "cert.pem"))
        context.check_hostname = False
        connection = http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=20)
        login = json.dumps({"user": "me", "password": "right"})
        connection.request("POST", "/api/v1/login", login, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        assert answer.status == 200
        assert "; Secure" in answer.headers["Set-Cookie"]
        connection.close()
    finally:
        site.close()
