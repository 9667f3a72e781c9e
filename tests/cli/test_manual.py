from __future__ import annotations

import argparse
import re
import shutil
import subprocess

import pytest

from genii.cli.completion import known_commands, parsers
from genii.cli.manual import manual_page

PAGE = manual_page("1.2.3", parsers())


def test_all_commands_and_options_are_there() -> None:
    sections = dict(re.findall(r"^\.SS genii (\w+)\n(.*?)(?=^\.S|\Z)", PAGE, re.MULTILINE | re.DOTALL))
    assert sections.keys() == {command.name for command in known_commands()}
    for command in known_commands():
        for option in command.options:
            if option.names not in {("-h", "--help"), ("-c", "--config"), ("--server",)}:
                assert option.names[0].replace("-", r"\-") in sections[command.name]
    assert r".SS genii jobs submit" in PAGE


def test_it_has_the_sections_that_pages_have() -> None:
    sections = re.findall(r"^\.SH (.*)$", PAGE, re.MULTILINE)
    assert sections[:4] == ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS"]
    assert sections[-3:] == ["EXIT STATUS", "ENVIRONMENT", "FILES"]
    assert '.TH GENII 1 "" "genii 1.2.3" "User Commands"' in PAGE


def test_no_text_is_taken_for_a_request_or_an_escape() -> None:
    parser = argparse.ArgumentParser(prog="genii odd", description=".so /etc/passwd", epilog="'x\n\\n é")
    parser.add_argument("--odd", help='.\\fB `~^" 50%%')
    page = manual_page("1", [("odd", "", parser)])
    assert "\n\\&.so /etc/passwd\n" in page
    assert "\n\\(aqx\n\\en \\[u00E9]\n" in page
    assert "\n\\&.\\efB \\(ga\\(ti\\(ha\\(dq 50%\n" in page
    assert page.isascii()


def test_groff_has_nothing_to_complain_about() -> None:
    if shutil.which("groff") is None:
        pytest.skip("groff is not installed")
    done = subprocess.run(
        ["groff", "-man", "-Tutf8", "-ww", "-P-c"], input=PAGE, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "genii daemonize" in re.sub(r".\x08|\x1b\[\d*m", "", done.stdout)
