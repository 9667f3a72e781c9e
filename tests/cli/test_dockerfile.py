from __future__ import annotations

import json
import math

from genii.cli.dockerfile import dockerfile
from genii.cli.service import SupervisorService


def instructions(service: SupervisorService) -> list[tuple[str, str]]:
    text = dockerfile(service, "3.12", "1.2.3")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return [(name, rest) for name, _, rest in (line.partition(" ") for line in lines)]


def test_it_runs_genii_as_pid_1_for_the_configuration() -> None:
    service = SupervisorService(name="shop", command=("/opt/genii",), config="/home/ann/My Shop/own.toml")
    found = instructions(service)
    assert found[0] == ("FROM", "python:3.12-slim")
    assert ("WORKDIR", "/srv/My-Shop") in found
    assert ("ENV", "GENII_CONFIG=/srv/My-Shop/own.toml") in found
    assert ("STOPSIGNAL", "SIGTERM") in found
    name, words = found[-1]
    assert (name, json.loads(words)) == ("ENTRYPOINT", ["genii", "up"])
    assert any("genii==1.2.3" in rest for name, rest in found if name == "RUN")
    health = next(rest for name, rest in found if name == "HEALTHCHECK")
    assert health.endswith("CMD genii status >/dev/null || exit 1")


def test_a_name_is_no_variable_and_no_second_word() -> None:
    service = SupervisorService(name="shop", command=("/opt/genii",), config="/srv/shop/my $own.toml")
    assert ("ENV", r"GENII_CONFIG=/srv/shop/my\ \$own.toml") in instructions(service)


def test_the_time_that_docker_has_to_give_is_told() -> None:
    service = SupervisorService(name="shop", command=("/g",), config="/srv/shop/g.toml", stop_seconds=42.5)
    assert "docker stop -t 43" in dockerfile(service, "3.12", "1.2.3")
    endless = SupervisorService(name="shop", command=("/g",), config="/srv/shop/g.toml", stop_seconds=math.inf)
    assert "docker stop\n" in dockerfile(endless, "3.12", "1.2.3")
