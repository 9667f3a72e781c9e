"""Each file in cases/ is read by the loader and judged by the JSON Schema; the expected messages stand beside it."""

from __future__ import annotations

import tomllib
from pathlib import Path

import jsonschema
import pytest

from genii.config.json_schema import json_schema
from genii.config.load import examine

FOLDER = Path(__file__).parent / "cases"
CASES = sorted(path.stem for path in FOLDER.glob("*.toml"))


def said(case: str) -> list[str]:
    """What the loader says about a case, without the folder's own path."""
    examination = examine(str(FOLDER / f"{case}.toml"), {})
    lines = [str(problem) for problem in examination.problems]
    return [line.removeprefix(f"{FOLDER}/").replace(str(FOLDER), "DIRECTORY") for line in lines]


def test_there_are_cases() -> None:
    assert len(CASES) > 40
    assert {path.stem for path in FOLDER.glob("*.txt")} == set(CASES)


@pytest.mark.parametrize("case", CASES)
def test_the_loader_says_exactly_this(case: str) -> None:
    assert said(case) == (FOLDER / f"{case}.txt").read_text().splitlines()


@pytest.mark.parametrize("case", CASES)
def test_a_case_is_accepted_only_if_its_name_says_so(case: str) -> None:
    assert (said(case) == []) == case.startswith("accepted")


@pytest.mark.parametrize("case", CASES)
def test_the_schema_agrees(case: str) -> None:
    text = (FOLDER / f"{case}.toml").read_text()
    verdict = text.splitlines()[0].removeprefix("# schema ")
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        assert verdict == "rejects"
        return
    validator = jsonschema.Draft202012Validator(json_schema())
    data = tomllib.loads(text.replace("1979-05-27", "[]"))  # JSON has no dates: another wrong type stands in
    errors = [error.message for error in validator.iter_errors(data)]
    assert verdict == ("rejects" if errors else "accepts"), errors


@pytest.mark.parametrize("case", CASES)
def test_whatever_the_schema_rejects_the_loader_rejects(case: str) -> None:
    if (FOLDER / f"{case}.toml").read_text().startswith("# schema rejects"):
        assert said(case)
