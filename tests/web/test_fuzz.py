"""The JSON API, fuzzed from its own description by schemathesis against a real server."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from genii.supervise.model import Http, Program, Settings
from genii.testing.served import ServedTarget

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.slow, pytest.mark.compat, pytest.mark.timeout(1200)]

_VERSION = "4.32.5"
_CHECKS = "not_a_server_error,response_schema_conformance,content_type_conformance"


_START = "from schemathesis.cli import schemathesis; schemathesis()"
_INSTALLERS = (["uv", "pip", "install", "-q"], ["pip", "install", "-q", "--disable-pip-version-check"])


@pytest.fixture(scope="session")
def schemathesis(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the fuzzer into a folder of its own: it brings two dozen packages, and a plugin for pytest."""
    folder = tmp_path_factory.mktemp("schemathesis")
    for installer in _INSTALLERS:
        words = [sys.executable, "-m", *installer, "--target", str(folder), f"schemathesis=={_VERSION}"]
        if subprocess.run(words, capture_output=True, timeout=600, check=False).returncode == 0:
            return folder
    pytest.skip("schemathesis can't be installed here")


def test_no_request_that_the_description_allows_or_forbids_makes_the_api_fail(
    schemathesis: Path, tmp_path: Path
) -> None:
    programs = {name: Program(name=name, command=("run",)) for name in ("web", "jobs")}
    settings = Settings(path=str(tmp_path / "genii.toml"), programs=programs, http=Http(metrics_public=True))
    with ServedTarget(settings, str(tmp_path / "genii.sock")) as served:
        url = f"http://127.0.0.1:{served.tcp.port}"
        # Streams never end and a shutdown ends all; the others are for a supervisor with processes of its own.
        words = [
            *(
                sys.executable,
                "-c",
                _START,
                "run",
                f"{url}/api/openapi.json",
                "--url",
                url,
                "--checks",
                _CHECKS,
                "--phases",
                "fuzzing",
            ),
            *("--max-examples", "15", "--max-time", "20", "--request-timeout", "10", "--generation-deterministic"),
            *(
                "--exclude-path",
                "/api/v1/live",
                "--exclude-path",
                "/api/v1/shutdown",
                "--exclude-path-regex",
                "upgrade",
            ),
            *("--exclude-path", "/api/v1/logs", "--exclude-path", "/api/v1/events", "--no-color"),
        ]
        environment = {**os.environ, "PYTHONPATH": str(schemathesis)}
        done = subprocess.run(
            words, capture_output=True, text=True, timeout=400, env=environment, check=False, cwd=tmp_path
        )
        assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
        tested = re.search(r"Operations: +(\d+) selected", done.stdout)
        assert tested is not None
        assert int(tested[1]) > 20, done.stdout
        assert served.client().supervisor()["state"] == "running"
