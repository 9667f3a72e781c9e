"""The shell script that waits on a host until a release is well. No I/O.

It uses what a host has: curl, wget or python3 for HTTP; python3, bash or nc for TCP.
"""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

from genii.deploy.shell import quote

if TYPE_CHECKING:
    from genii.config.deploy import Health

__all__ = ["describe", "wait_script"]

_PYTHON_HTTP = """import sys, urllib.request
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
sys.stdout.buffer.write(opener.open(sys.argv[1], timeout=5).read(65536))"""
_PYTHON_TCP = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 5)"

_HTTP = f"""\
ask() {{
  if command -v curl >/dev/null; then curl -fsS --noproxy '*' -m 5 "$URL"
  elif command -v wget >/dev/null; then wget -q -T 5 -O - "$URL"
  elif command -v python3 >/dev/null; then python3 -c {quote(_PYTHON_HTTP)} "$URL"
  else echo "this host has no curl, wget or python3 to ask $URL with"; exit 69; fi
}}"""
_TCP = f"""\
ask() {{
  if command -v python3 >/dev/null; then python3 -c {quote(_PYTHON_TCP)} "$NAME" "$PORT"
  elif command -v bash >/dev/null; then bash -c 'exec 3<>/dev/tcp/$0/$1' "$NAME" "$PORT"
  elif command -v nc >/dev/null; then nc -z -w 5 "$NAME" "$PORT"
  else echo "this host has no python3, bash or nc to try $NAME:$PORT with"; exit 69; fi
}}"""


def describe(health: Health) -> str:
    """Return what is asked, for people."""
    asked = health.http or health.tcp or health.command
    return f"{asked}{f' contains {health.expect!r}' if health.expect else ''}"


def wait_script(health: Health) -> str:
    """Return a script that ends with 0 as soon as the release is well, and with 1, and the last answer, if it isn't."""
    if health.http:
        asked = f"URL={quote(health.http)}\n{_HTTP}"
    elif health.tcp:
        name, _, port = health.tcp.rpartition(":")
        asked = f"NAME={quote(name.strip('[]'))} PORT={quote(port)}\n{_TCP}"
    else:
        asked = f"ask() {{ (\n{health.command}\n) }}"
    expected = '*"$EXPECT"*' if health.expect else "*"
    # What is expected may name variables of the release: it is for the shell to put them in, and for nothing else.
    expect = f'EXPECT="{_escaped(health.expect)}"\n' if health.expect else ""
    return f"""\
{expect}{asked}
END=
while :; do
  if answer=$(ask 2>&1); then
    case $answer in {expected}) exit 0 ;; esac
    answer="the answer has no '$EXPECT' in it: $answer"
  fi
  now=$(date +%s) # a release that is well at once has no need of it
  if [ "$now" -ge "${{END:=$((now + {max(1, ceil(health.timeout))}))}}" ]; then
    printf '%s\\n' "$answer" | tail -c 1000
    echo "not well after {health.timeout:g} s"
    exit 1
  fi
  sleep {max(0.05, health.interval):g}
done"""


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("`", "\\`").replace("$(", "\\$(")
