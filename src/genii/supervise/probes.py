"""Ask a process whether it is well, by TCP, HTTP or a command; lines and sd_notify come by themselves."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import TYPE_CHECKING

from genii.supervise.model import ProbeKind
from genii.system.process import send_group_signal
from genii.system.spawn import SpawnError

if TYPE_CHECKING:
    from genii.supervise.model import Probe
    from genii.system.spawn import Command, Spawner

__all__ = ["ask", "run_command"]

_LONGEST_OUTPUT = 64 << 10
_LAST_WORDS = 0.5
"""Seconds to wait for output after the end of a command."""


async def ask(probe: Probe, spawner: Spawner, command: Command) -> str:
    """Return why the answer is no; empty: it is yes. Takes no longer than the probe's time-out.

    A probe that is a command runs like ``command``: same user, directory and environment.
    """
    try:
        async with asyncio.timeout(probe.timeout):
            return await _ask(probe, spawner, command)
    except TimeoutError:
        return f"no answer from {probe.target} within {probe.timeout:g} s"
    except SpawnError as error:
        return str(error)
    except OSError as error:
        return f"{probe.target}: {error.strerror or error}"


async def _ask(probe: Probe, spawner: Spawner, command: Command) -> str:
    if probe.kind is ProbeKind.TCP:
        _, writer = await _connect(probe.target)
        writer.close()
        return ""
    if probe.kind is ProbeKind.HTTP:
        return await _ask_http(probe.target)
    status, output = await run_command(spawner, command._replace(argv=("/bin/sh", "-c", probe.target)))
    said = output.decode(errors="replace").strip()[-200:]
    return "" if status == 0 else f"{probe.target!r} exited with {status}: {said}"


async def _connect(target: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect to ``host:port``, a port of this host, or the path of a unix socket."""
    target = target.removeprefix("tcp://").removeprefix("unix://")
    if target.startswith("/"):
        return await asyncio.open_unix_connection(target)
    host, _, port = target.rpartition(":")
    return await asyncio.open_connection(host.strip("[]") or "127.0.0.1", int(port))


async def _ask_http(url: str) -> str:
    """GET a URL; an answer below 400 is a yes. Plain HTTP only: a probe asks a process on this host."""
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    reader, writer = await _connect(f"{parts.hostname}:{parts.port or 80}")
    try:
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        writer.write(
            f"GET {path} HTTP/1.1\r\nHost: {parts.netloc}\r\nUser-Agent: genii\r\nConnection: close\r\n\r\n".encode()
        )
        line = await reader.readline()
    except ValueError:
        return f"{url}: not an HTTP answer"
    finally:
        writer.close()
    words = line.split(maxsplit=2)
    if len(words) < 2 or not words[0].startswith(b"HTTP/1") or not words[1].isdigit():
        return f"{url}: not an HTTP answer"
    return "" if int(words[1]) < 400 else f"{url} answered {line.decode(errors='replace').strip()[9:]}"


async def run_command(spawner: Spawner, command: Command, *, limit: int = _LONGEST_OUTPUT) -> tuple[int, bytes]:
    """Run a command to its end; return its exit code (128+N for signal N) and what it printed (the last bytes).

    Its ``stdout`` and ``stderr`` are replaced by a pipe to us. If the caller is cancelled, the command and all that it
    started are killed.

    Raises:
        SpawnError: it could not be started.
    """
    loop = asyncio.get_running_loop()
    reading, writing = os.pipe2(os.O_CLOEXEC)
    try:
        pid = spawner.spawn(command._replace(stdout=writing, stderr=writing))
    except BaseException:
        os.close(reading)
        raise
    finally:
        os.close(writing)
    spawner.helpers.add(pid)
    descriptor = os.pidfd_open(pid)
    ended = loop.create_future()
    loop.add_reader(descriptor, _settle, ended)
    output = asyncio.ensure_future(_read_end(reading, limit))
    try:
        await ended
        # What it left running may keep the pipe open: its own output is there by now.
        await asyncio.wait((output,), timeout=_LAST_WORDS)
    finally:
        send_group_signal(pid, signal.SIGKILL)
        loop.remove_reader(descriptor)
        spawner.helpers.discard(pid)
        _, status = os.waitpid(pid, 0)  # noqa: ASYNC222 -- it is dead already
        os.close(descriptor)
        output.cancel()
        await asyncio.wait((output,))
    code = os.waitstatus_to_exitcode(status)
    text = b"" if output.cancelled() else output.result()
    return (code if code >= 0 else 128 - code), text


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


async def _read_end(descriptor: int, limit: int) -> bytes:
    """Read a pipe until it is closed; keep the end."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    transport, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(descriptor, "rb", buffering=0)
    )
    kept = b""
    try:
        while block := await reader.read(65536):
            kept = (kept + block)[-limit:]
    except asyncio.CancelledError:
        pass  # whoever cancels wants what there is
    finally:
        transport.close()
    return kept
