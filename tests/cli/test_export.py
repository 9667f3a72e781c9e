from __future__ import annotations

import argparse
import json

import jsonschema
import pytest

from genii.cli import export


def run(*words: str) -> int:
    parser = argparse.ArgumentParser()
    export.configure(parser)
    return export.run(parser.parse_args(words))


def test_writes_the_schema(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("schema") == 0
    schema = json.loads(capsys.readouterr().out)
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["title"] == "genii.toml"


def test_refuses_what_it_does_not_know(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        run("nonsense")
    assert caught.value.code == 2
    assert "schema" in capsys.readouterr().err
