from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from genii.config.load import examine, load_deployments
from genii.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

RIGHT = '[deploy.shop]\nrepository = "shop.git"\nto = "/srv/shop"\nhosts = ["h1"]\n'


def faults(tmp_path: Path, text: str) -> list[str]:
    path = tmp_path / "genii.toml"
    path.write_text(text)
    said = [str(problem).removeprefix(f"{path}:") for problem in examine(str(path), {}).problems]
    if said:
        with pytest.raises(ConfigError) as caught:
            load_deployments(str(path), {})
        assert [str(problem).removeprefix(f"{path}:") for problem in caught.value.problems] == said
    return said


def test_what_is_written_is_read(tmp_path: Path) -> None:
    (tmp_path / "genii.toml").write_text(
        RIGHT + 'linked_dirs = ["log/"]\nbatches = [1, "25%"]\nmin_ok = "90%"\ntimeout = "1m"\n'
        'install = { command = ["a", "b"], inputs = ["x"], outputs = ["y"] }\n'
        'hooks = { after_install = ["a", { command = "b", roles = ["db"], once = true }] }\nroles = { db = ["h2"] }\n'
        'secrets = { A = "file:secret", B = "env:B" }\n'
    )
    found = load_deployments(str(tmp_path / "genii.toml"), {})
    shop = found[0]["shop"]
    assert found[1] == str(tmp_path / ".genii")
    assert (shop.origin.where, shop.linked_dirs, shop.batches, shop.min_ok) == (
        str(tmp_path / "shop.git"), ("log",), (1, -25), -90,
    )  # fmt: skip
    assert (shop.install, shop.inputs, shop.outputs, shop.timeout) == (("a", "b"), ("x",), ("y",), 60.0)
    assert [(one.text, one.roles, one.once) for one in shop.hooks["after_install"]] == [
        ("a", (), False),
        ("b", ("db",), True),
    ]
    assert shop.secrets == {"A": f"file:{tmp_path}/secret", "B": "env:B"}
    assert shop.tasks == str(tmp_path / "tasks.py")
    assert (shop.line, shop.keep, shop.origin.branch) == (1, 5, "HEAD")


def test_a_host_s_name_can_be_in_the_path(tmp_path: Path) -> None:
    (tmp_path / "genii.toml").write_text(RIGHT.replace("/srv/shop", "/srv/{host}/shop"))
    shop = load_deployments(str(tmp_path / "genii.toml"), {})[0]["shop"]
    assert shop.at("h7").to == "/srv/h7/shop"


@pytest.mark.parametrize("url", ["git@example.org:shop.git", "https://example.org/shop.git", "ssh://h/x", "file:///x"])
def test_urls_stay_as_they_are(tmp_path: Path, url: str) -> None:
    (tmp_path / "genii.toml").write_text(RIGHT.replace("shop.git", url))
    assert load_deployments(str(tmp_path / "genii.toml"), {})[0]["shop"].origin.where == url


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('brnach = "x"', "5:1: brnach: unknown key (did you mean 'branch'?)"),
        ('branch = "a b"', "5:10: branch: 'a b' is no name of a branch, tag or commit"),
        ('branch = "--upload-pack=x"', "5:10: branch: '--upload-pack=x' is no name of a branch, tag or commit"),
        ('directory = "dist"', "5:1: directory: says repository and directory; keep one"),
        ("strip = 1", "5:9: strip: belongs to archive, and this is a deployment from repository; remove it"),
        ('linked_dirs = ["../x"]', "5:16: linked_dirs: '../x' must be a path inside the release"),
        ('linked_dirs = ["a", "a/"]', "5:21: linked_dirs: 'a/' is there twice; remove one"),
        ('linked_dirs = ["a"]\nlinked_files = ["a/b"]', "6:17: linked_files: 'a/b' lies in one of linked_dirs"),
        ('health = { tcp = 80, command = "x" }', "5:10: health: asks nothing or too much"),
        ('hooks = { before_instal = "x" }', "5:11: hooks.before_instal: there is no such place for a hook"),
        ('hooks = { failed = { command = "x", roles = ["db"] } }', "5:45: hooks.failed.roles: there is no role 'db'"),
        ('steps = { switch = "x" }', "5:11: steps.switch: this step can't be replaced; these can be: install"),
        ('secrets = { A = "hunter2" }', "5:17: secrets.A: a secret itself doesn't belong in this file"),
        ('env = { "A-B" = "x" }', "5:17: env.A-B: 'A-B' is no name of a variable; use letters, digits and _"),
        ('batches = ["0%"]', "5:12: batches: '0%' is no number of hosts"),
        ("keep = 0", "5:8: keep: must be 1 or more, not 0"),
        ('install = { command = "x", inputs = ["a"] }', "5:11: install: needs both inputs and outputs, or neither"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_its_place(tmp_path: Path, line: str, said: str) -> None:
    (found,) = faults(tmp_path, f"{RIGHT}{line}\n")
    assert found.startswith(said)


def test_what_is_missing_is_told(tmp_path: Path) -> None:
    assert faults(tmp_path, '[deploy.shop]\nto = "srv"\n') == [
        "1:9: hosts: names no host; add hosts = [...] or roles = { app = [...] }",
        "1:9: has no source; add one of repository, directory, archive and wheel",
        "2:6: to: 'srv' is no directory to deploy to; write an absolute path below /",
    ]


def test_words_of_the_command_are_no_names(tmp_path: Path) -> None:
    (said,) = faults(tmp_path, RIGHT.replace("shop]", "unlock]"))
    assert said == "1:9: 'genii deploy unlock' is a command; choose another name"
