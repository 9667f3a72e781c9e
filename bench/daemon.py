"""From a command line to a running daemon: genii beside bare Python and its peers.

    python bench/daemon.py [--runs 30]

Every starter makes a daemon of a small C program, which writes down the moment of its first instruction. The starters
take turns, so that a change of the machine's mood meets all of them. ready: that moment; exit: the starter has ended;
both in milliseconds from before the fork, medians. A limit of open files above what we may set is faked for the
starter (LD_PRELOAD), which is what makes close loops long. python-daemon and PyPI's daemonize take part where they are
installed. On a busy machine the differences drown; as root, ``chrt -f 10 python bench/daemon.py`` keeps others away.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path

PROGRAM = """
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
int main(int argc, char **argv) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    char new[4096];
    snprintf(new, sizeof new, "%s.new", argv[1]);
    FILE *file = fopen(new, "w");
    fprintf(file, "%d %ld.%09ld", getpid(), (long)now.tv_sec, now.tv_nsec);
    fclose(file);
    rename(new, argv[1]);
    pause();
}
"""

FAKE_LIMIT = """
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>
static void fake(int what, struct rlimit *limit) {
    char *text = getenv("FAKE_NOFILE");
    if (limit && text && what == RLIMIT_NOFILE) limit->rlim_cur = limit->rlim_max = strtoul(text, 0, 10);
}
int getrlimit(__rlimit_resource_t what, struct rlimit *limit) {
    int result = syscall(SYS_prlimit64, 0, what, 0, limit);
    fake(what, limit);
    return result;
}
int getrlimit64(__rlimit_resource_t what, struct rlimit64 *limit) { return getrlimit(what, (struct rlimit *)limit); }
long sysconf(int name) {
    extern long __sysconf(int);
    return name == _SC_OPEN_MAX && getenv("FAKE_NOFILE") ? strtol(getenv("FAKE_NOFILE"), 0, 10) : __sysconf(name);
}
int getdtablesize(void) { return sysconf(_SC_OPEN_MAX); }
"""

BARE = """
import os, resource, sys
if os.fork(): os._exit(0)
os.setsid()
if os.fork(): os._exit(0)
os.chdir('/'); os.umask(0o022)
fd = os.open(os.devnull, os.O_RDWR)
for number in range(3): os.dup2(fd, number)
os.closerange(3, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
with open(sys.argv[1], 'w') as file: file.write('%d\\n' % os.getpid())
os.execv(sys.argv[2], sys.argv[2:])
"""

GENII = "import os, sys, genii; genii.daemonize(pid_file=sys.argv[1]); os.execv(sys.argv[2], sys.argv[2:])"

PYTHON_DAEMON = """
import os, sys, daemon, daemon.pidfile
with daemon.DaemonContext(pidfile=daemon.pidfile.TimeoutPIDLockFile(sys.argv[1], 0)):
    os.execv(sys.argv[2], sys.argv[2:])
"""

DAEMONIZE = """
import os, sys, daemonize
daemonize.Daemonize(app="x", pid=sys.argv[1], action=lambda: os.execv(sys.argv[2], sys.argv[2:])).start()
"""

DAEMON_CONTROL = (
    "use Daemon::Control; Daemon::Control->new(name => 'x', pid_file => shift, program => shift,"
    " program_args => [@ARGV], quiet => 1)->run_command('start')"
)


def starters(folder: Path) -> dict[str, list[str]]:
    """Return the command lines of those that are installed; pid file, program and report follow."""
    found = {
        "bare Python": [sys.executable, script(folder, "bare", BARE)],
        "genii.daemonize": [sys.executable, script(folder, "library", GENII)],
        "genii daemonize": [os.path.join(sysconfig.get_path("scripts"), "genii"), "daemonize", "--pid-file"],
    }
    if shutil.which("start-stop-daemon"):
        found["start-stop-daemon -b -m"] = ["start-stop-daemon", "-S", "-q", "-b", "-m", "-p"]
    if works([sys.executable, "-P", "-c", "import daemon.pidfile"]):  # not this file, which has the same name
        found["python-daemon"] = [sys.executable, script(folder, "python_daemon", PYTHON_DAEMON)]
    if works([sys.executable, "-P", "-c", "import daemonize"]):
        found["daemonize (PyPI)"] = [sys.executable, script(folder, "daemonize_of_pypi", DAEMONIZE)]
    if works(["perl", "-MDaemon::Control", "-e", "1"]):
        found["Daemon::Control"] = ["perl", "-e", DAEMON_CONTROL]
    return found


def works(words: list[str]) -> bool:
    return shutil.which(words[0]) is not None and not subprocess.run(words, capture_output=True, check=False).returncode


def script(folder: Path, name: str, text: str) -> str:
    path = folder / f"start_{name}.py"
    path.write_text(text)
    return str(path)


def command_line(name: str, words: list[str], pid_file: str, program: str, report: str) -> list[str]:
    if name == "genii daemonize":
        return [*words, pid_file, "--", program, report]
    if name == "start-stop-daemon -b -m":
        return [*words, pid_file, "-x", program, "--", report]
    return [*words, pid_file, program, report]


def start_once(words: list[str], report: Path, limit: int, fake: str) -> tuple[float, float]:
    """Start a daemon and end it; return (ready, exit) in milliseconds."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    environment = dict(os.environ)
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # as an installed package runs
    if limit > hard:
        environment |= {"LD_PRELOAD": fake, "FAKE_NOFILE": str(limit)}

    def set_limit() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(limit, hard), hard))

    before = time.monotonic()
    subprocess.run(words, preexec_fn=set_limit, check=True, env=environment, stdout=subprocess.DEVNULL)
    ended = time.monotonic()
    while not report.exists():
        time.sleep(0.0005)
    pid, moment = report.read_text().split()
    os.kill(int(pid), signal.SIGKILL)
    report.unlink()
    return (float(moment) - before) * 1000, (ended - before) * 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=30)
    parser.add_argument("--limits", default="1024,20000,1000000")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for source, flags in (("probe", []), ("fake", ["-shared", "-fPIC"])):
            (folder / f"{source}.c").write_text(PROGRAM if source == "probe" else FAKE_LIMIT)
            subprocess.run(["cc", "-O2", *flags, "-o", folder / source, folder / f"{source}.c"], check=True)
        print(f"| starter | {' | '.join(f'ready / exit ms at {limit}' for limit in options.limits.split(','))} |")
        print("|---|" + "--:|" * len(options.limits.split(",")))
        installed = starters(folder)
        rows: dict[str, list[str]] = {}
        for limit in map(int, options.limits.split(",")):
            times: dict[str, list[tuple[float, float]]] = {}
            for turn in range(options.runs + 1):
                for starter, words in installed.items():
                    report = folder / "report"
                    line = command_line(starter, words, str(folder / f"{turn}.pid"), str(folder / "probe"), str(report))
                    result = start_once(line, report, limit, str(folder / "fake"))
                    if turn:  # the first fills caches
                        times.setdefault(starter, []).append(result)
                    (folder / f"{turn}.pid").unlink(missing_ok=True)
            for starter, results in times.items():
                ready, ended = (statistics.median(column) for column in zip(*results, strict=True))
                rows.setdefault(starter, []).append(f"{ready:.1f} / {ended:.1f}")
        for starter, cells in rows.items():
            print(f"| {starter} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
