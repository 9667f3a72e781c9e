"""Output of real programs: rotation, compression, a full disk, bytes that are no text, floods, silence."""

from __future__ import annotations

import gzip
import os
import subprocess
from typing import TYPE_CHECKING

import pytest
from tests.real.harness import is_alive, read_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.real.harness import Site

LINES = """
import os, signal, sys
count, size = int(sys.argv[1]), int(sys.argv[2])
for first in range(1, count + 1, 1000):
    numbers = range(first, min(first + 1000, count + 1))
    data = b"".join(b"%08d " % number + b"x" * (size - 10) + b"\\n" for number in numbers)
    while data:
        data = data[os.write(1, data):]
"""


def written(site: Site, name: str = "job") -> list[tuple[str, bytes]]:
    """Return all log files of a program, the oldest first, with what is in them."""
    log = site.log(name)
    number = lambda path: int(path.name.removesuffix(".gz").rpartition(".")[2])  # noqa: E731
    backups = sorted(log.parent.glob(f"{log.name}.*"), key=number, reverse=True)
    return [
        (path.name, gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes())
        for path in [*backups, log]
    ]


def finish(site: Site, name: str = "job", state: str = "EXITED") -> None:
    """Wait until a program has ended and all that it wrote is in its log."""
    site.state_of(name, state)
    assert site.genii("down").status == 0


def check_numbers(data: bytes, count: int, size: int) -> None:
    """See that all numbered lines are there, whole and in order."""
    lines = data.split(b"\n")
    assert lines[-1] == b""
    assert {len(line) for line in lines[:-1]} == {size - 1}
    assert [int(line[:8]) for line in lines[:-1]] == list(range(1, count + 1))


@pytest.mark.parametrize("compress", [False, True])
def test_rotation_cuts_no_line_and_loses_none(site: Site, compress: bool) -> None:
    site.write(
        f'[program.job]\ncommand = "{site.script("lines.py", LINES)} 50000 100"\n'
        f'logs = {{ size = "1MB", backups = 20, compress = {str(compress).lower()} }}\n'
    )
    site.up()
    finish(site)
    files = written(site)
    assert len(files) == 5
    assert all(data.endswith(b"\n") and len(data) <= 1 << 20 for _, data in files)
    check_numbers(b"".join(data for _, data in files), 50000, 100)


def test_keeps_only_so_many_backups(site: Site) -> None:
    site.write(
        f'[program.job]\ncommand = "{site.script("lines.py", LINES)} 20000 100"\n'
        'logs = { size = "100KB", backups = 2 }\n'
    )
    site.up()
    finish(site)
    assert [name for name, _ in written(site)] == ["job.log.2", "job.log.1", "job.log"]


def test_streams_go_where_they_are_declared(site: Site) -> None:
    site.write(
        "[program.apart]\ncommand = \"sh -c 'echo out; echo err >&2; exec sleep 1000'\"\n"
        'logs = { stdout = "a.out", stderr = "a.err" }\n'
        "[program.together]\ncommand = \"sh -c 'echo out; echo err >&2; echo out; exec sleep 1000'\"\n"
        '[program.silent]\ncommand = "sh -c \'echo out; exec sleep 1000\'"\nlogs = "none"\n'
    )
    site.up()
    site.line("together", "out", "err", "out")
    assert site.genii("down").status == 0
    assert (site.path / "a.out").read_text() == "out\n"
    assert (site.path / "a.err").read_text() == "err\n"
    assert not site.log("silent").exists()


def test_rotates_by_the_clock_between_two_lines(site: Site) -> None:
    text = "import os, time\nfor number in range(1, 61):\n    os.write(1, b'%08d\\n' % number)\n    time.sleep(0.05)\n"
    site.write(
        f'[program.job]\ncommand = "{site.script("slow.py", text)}"\nlogs = {{ every = "1s", size = 0, backups = 9 }}\n'
    )
    site.up()
    finish(site)
    files = [data for _, data in written(site) if data]
    assert len(files) > 1
    assert all(data.endswith(b"\n") for data in files)
    check_numbers(b"".join(files), 60, 9)


def test_bytes_that_are_no_text_are_kept_as_they_are(site: Site) -> None:
    site.write("[program.job]\ncommand = ['sh', '-c', 'printf \"a\\377\\376\\000b\\n\"; echo after']\n")
    site.up()
    finish(site)
    assert site.log("job").read_bytes() == b"a\xff\xfe\x00b\nafter\n"
    site.up("--no-wait")
    site.line("job", "after")


def test_a_flood_without_a_newline_goes_through(site: Site) -> None:
    size = 30 << 20
    text = f"import os, sys\nleft = {size}\nwhile left:\n    left -= os.write(1, b'y' * min(left, 1 << 16))\n"
    site.write(
        f'[program.job]\ncommand = "{site.script("flood.py", text)}"\nlogs = {{ size = "5MB", backups = 20 }}\n'
        '[program.other]\ncommand = "sleep 1000"\n'
    )
    site.up()
    site.state_of("job", "EXITED")
    with open(f"/proc/{site.keeper_pid()}/status") as file:
        peak = next(int(line.split()[1]) for line in file if line.startswith("VmHWM"))
    assert peak < 30 << 10  # KiB: it holds a block of it at a time, not the flood
    assert site.genii("down").status == 0
    assert sum(len(data) for _, data in written(site)) == size


def test_a_program_that_closes_its_output_is_left_alone(site: Site) -> None:
    site.write(
        "[program.job]\ncommand = \"sh -c 'echo bye; exec >&- 2>&-; exec sleep 1000'\"\n"
        '[program.other]\ncommand = "sleep 1000"\n'
    )
    site.up()
    site.line("job", "bye")
    assert site.status("job")["state"] == "RUNNING"
    (result,) = site.act("restart", "job")
    assert result["ok"]
    site.line("job", "bye", "bye")


def test_a_log_that_somebody_removed_is_made_again(site: Site) -> None:
    site.write("[program.job]\ncommand = \"sh -c 'while echo tick; do sleep 0.1; done'\"\n")
    site.up()
    site.line("job", "tick")
    site.log("job").unlink()
    site.line("job", "tick", "tick", "tick")
    assert site.log("job").exists()


def test_a_slow_reader_of_the_foreground_holds_nobody_up(site: Site) -> None:
    site.write(f'[program.job]\ncommand = "{site.script("lines.py", LINES)} 100000 100"\n')
    read_until(site.foreground(), "genii [0-9.]+ runs")  # and nobody reads what comes then
    site.state_of("job", "EXITED")
    site.line("job", "00100000")
    check_numbers(site.log("job").read_bytes(), 100000, 100)


needs_mount = pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small file system")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one MiB."""
    path = tmp_path / "disk"
    path.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,mode=755", "none", str(path)]).returncode:
        pytest.skip("can't mount a tmpfs here")
    try:
        yield path
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)


@needs_mount
def test_a_full_disk_is_counted_told_and_survived(small_disk: Path, site: Site) -> None:
    filler = small_disk / "filler"
    filler.write_bytes(b"x" * (700 << 10))
    text = LINES.replace("first in", "first in [1] * (open('go').read() == 'x') or") + (
        "\nopen('go2').read()\nprint('after', flush=True)\nsignal.pause()\n"
    )
    for name in ("go", "go2"):
        os.mkfifo(site.path / name)
    site.write(
        f'[program.job]\ncommand = "{site.script("lines.py", text)} 20000 100"\n'
        f'logs = {{ stdout = "{small_disk}/job.log", size = "50MB" }}\n'
        "[program.other]\ncommand = \"sh -c 'while echo tick; do sleep 0.05; done'\"\n"
    )
    site.up()
    (site.path / "go").write_text("go")
    (site.path / "go2").write_text("go")  # opens when all lines are written: the program was never blocked
    assert "can't be written" in site.wait_own_log("No space left on device")
    assert site.status("job")["state"] == "RUNNING"
    site.line("other", "tick", "tick")
    filler.unlink()
    site.wait_own_log("can be written again")
    assert site.client.details("job")[0]["lost_bytes"] > 0
    assert site.genii("down").status == 0
    lines = (small_disk / "job.log").read_bytes().split(b"\n")
    kept = [int(line[:8]) for line in lines if line[:8].isdigit()]
    assert kept == sorted(set(kept))
    assert any(b"bytes of output lost here" in line for line in lines)
    assert {len(line) for line in lines if line[:8].isdigit()} == {99}


@needs_mount
def test_a_full_state_directory_costs_no_program(small_disk: Path, site: Site) -> None:
    site.write(
        '[program.job]\ncommand = "sleep 1000"\n[program.other]\ncommand = "sleep 1000"\n',
        supervisor=f'state_dir = "{small_disk}"\nlog_dir = ".genii/log"',
    )
    site.state_dir = small_disk
    site.up()
    pid = site.pid("job")
    filler = small_disk / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            pass
    (result,) = site.act("restart", "other")
    assert result["ok"], result
    site.kill_supervisor()
    for room in (0, 4096, 4096):  # none at all, enough for the pid file only, enough for a little more
        os.truncate(filler, filler.stat().st_size - room)
        outcome = site.genii("up", "-d")
        assert outcome.status == 0 or "No space left on device" in outcome.err
        assert is_alive(pid)
        if outcome.status == 0:
            assert site.pid("job") == pid
            site.kill_supervisor()
    filler.unlink()
    site.up()
    assert site.pid("job") == pid


@needs_mount
def test_a_state_directory_that_can_not_be_written_is_a_clear_error(small_disk: Path, site: Site) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    site.write('[program.job]\ncommand = "sleep 1000"\n', supervisor=f'state_dir = "{small_disk}"')
    outcome = site.genii("up", "-d")
    assert outcome.status == 1
    assert "Read-only file system" in outcome.err
    assert str(small_disk) in outcome.err
    assert "Traceback" not in outcome.err
    assert site.remaining() == []
