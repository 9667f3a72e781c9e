#!/usr/bin/env python3
"""Side by side: tools that run one command on many hosts over SSH.

    lab.py up                                   # once, as root (see lab.py)
    bench.py --list                             # adapters and tests
    bench.py                                    # all, 200 hosts
    bench.py --only genii,clush,pssh -n 1000 --tests true
    bench.py ... --json out.json --md out.md    # --add keeps earlier records

Each measuring run holds --lock (flock) and is a process tree in a cpuacct
cgroup of its own, so CPU counts every child, detached ones (ControlPersist
masters) too, and leaves sshd out; sshd is counted by itself.  Without such
a cgroup, CPU falls back to what wait4() saw.  `ok` is how many hosts the
tool itself says worked; a run with ok < n is marked.

A new peer is one class of about 20 lines: see `Genii` and `Clush`.

The machine may be shared: `others` is the share of it that went to neither
the client nor sshd during a run.  Runs are repeated (--repeat + 2 at most)
until --repeat of them were calm; the calmest are kept, and what is reported
is their median.

Standard library only; the peers live in $FLEET_VENV (default /tmp/venv-ssh).
"""
import argparse
import contextlib
import fcntl
import json
import os
import pathlib
import re
import shlex
import shutil
import signal
import statistics
import subprocess
import sys
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
VENV = pathlib.Path(os.environ.get("FLEET_VENV", "/tmp/venv-ssh"))
SALT = pathlib.Path(os.environ.get("FLEET_SALT_VENV", "/tmp/venv-salt"))
CG = pathlib.Path("/sys/fs/cgroup/cpuacct")
PAGE = os.sysconf("SC_PAGE_SIZE")

#        test      (command or None, needs warm-up run, hosts if not -n)
TESTS = {
    "true":   ("true", False, None),
    "uptime": ("uptime", False, None),
    "warm":   ("true", True, None),       # the same run again, at once
    "sleep1": ("sleep 1", False, None),   # what concurrency buys
    "put":    (None, False, 50),          # 10 MB to each
}


class Run:
    """What an adapter is told: hosts, command, knobs, lab."""

    def __init__(self, lab, work, hosts, cmd, forks, timeout=0):
        self.lab, self.work, self.hosts, self.cmd, self.forks = lab, work, hosts, cmd, forks
        self.timeout = timeout      # seconds for a host, 0: whatever the tool does by default
        self.n = len(hosts)
        self.put = self.cmd is None
        self.hosts_file = work / "hosts"
        self.hosts_file.write_text("\n".join(hosts) + "\n")
        self.src = work / "payload"
        self.dst = "payload.bin"                        # relative: one copy per host
        self.recv = pathlib.Path(lab["dir"]) / "recv"   # and this is where it lands
        self.cfg = lab["ssh_config"]
        self.cfg_persist = lab["ssh_config_persist"]

    def write(self, name, text):
        p = self.work / name
        p.parent.mkdir(parents=True, exist_ok=True)
        p.write_text(text)
        return str(p)


class Adapter:
    name = ""
    exe = ""                    # must exist for the adapter to run
    tests = ("true", "uptime", "sleep1", "put")
    note = ""

    def available(self):
        return bool(shutil.which(self.exe)) or os.path.exists(self.exe)

    def version(self):
        return ""

    def argv(self, r: Run) -> list:
        raise NotImplementedError

    def env(self, r: Run) -> dict:
        return {}

    def ok(self, r: Run, out: str, rc: int) -> int:
        """How many hosts the tool reports as done.  Default: exit code is honest."""
        return r.n if rc == 0 else 0


def first_line(*argv, env=None):
    p = subprocess.run(argv, capture_output=True, text=True, env=env)
    return (p.stdout + p.stderr).strip().split("\n")[0]


def pip_version(venv, dist):
    c = f"import importlib.metadata as m; print(m.version({dist!r}))"
    return first_line(str(venv / "bin/python"), "-c", c)


# --------------------------------------------------------------- the new tool
class Genii(Adapter):
    """genii, by the command line prefix in GENII: hosts and ssh_config go into a genii.toml."""
    name = "genii"
    exe = shlex.split(os.environ.get("GENII", "genii"))[0]
    tests = ("true", "uptime", "warm", "sleep1", "put")

    def version(self):
        return first_line(*shlex.split(os.environ.get("GENII", "genii")), "--version")

    def argv(self, r):
        hosts = ", ".join(f'"{h}"' for h in r.hosts)
        conf = r.write("genii/genii.toml", f'[fleet]\nssh_config = "{r.cfg}"\n[groups]\nall = [{hosts}]\n')
        base = [*shlex.split(os.environ.get("GENII", "genii")), "-c", str(conf)]
        if r.put:
            # The hosts of the lab share a home, and by SFTP alone each has a folder of its own.
            return [*base, "put", "--on", "all", "--limit", str(r.forks), str(r.src), f"{r.recv}/{{host}}/{r.dst}"]
        limit = ["--timeout", str(r.timeout)] if r.timeout else []
        return [*base, "run", "--on", "all", "--limit", str(r.forks), *limit, "--", *shlex.split(r.cmd)]


# ------------------------------------------------------- OpenSSH under xargs
class Xargs(Adapter):
    exe = "xargs"

    def __init__(self, name, forks=None, persist=False, opts=(), tests=None, note=""):
        self.name, self.forks, self.persist, self.opts, self.note = name, forks, persist, opts, note
        self.tests = tests or Adapter.tests

    def version(self):
        return first_line("ssh", "-V")

    def argv(self, r):
        cfg = r.cfg_persist if self.persist else r.cfg
        xargs = ["xargs", "-a", str(r.hosts_file), "-P", str(self.forks or r.forks), "-I{}"]
        if r.put:
            return [*xargs, "scp", "-q", "-F", cfg, *self.opts, str(r.src), "{}:" + r.dst]
        limit = ["timeout", str(r.timeout)] if r.timeout else []
        slow = ["-o", f"ConnectTimeout={r.timeout}"] if r.timeout else []
        return [*xargs, *limit, "ssh", "-n", "-F", cfg, *self.opts, *slow, "{}", r.cmd]


class Pssh(Adapter):
    exe = "parallel-ssh"

    def __init__(self, name, persist=False, opts="", tests=None):
        self.name, self.persist, self.opts = name, persist, opts
        self.tests = tests or Adapter.tests

    def version(self):
        return first_line("parallel-ssh", "--version")

    def argv(self, r):
        x = f"-F {r.cfg_persist if self.persist else r.cfg} {self.opts}"
        com = ["-h", str(r.hosts_file), "-p", str(r.forks), "-t", str(r.timeout), "-x", x]
        if r.put:
            return ["parallel-scp", *com, str(r.src), r.dst]
        return ["parallel-ssh", *com, "-i", r.cmd]

    def ok(self, r, out, rc):
        return out.count("[SUCCESS]")


class Clush(Adapter):
    exe = "clush"

    def __init__(self, name, persist=False, opts="", tests=None):
        self.name, self.persist, self.opts = name, persist, opts
        self.tests = tests or Adapter.tests

    def version(self):
        return first_line("clush", "--version")

    def argv(self, r):
        o = f"-F {r.cfg_persist if self.persist else r.cfg} {self.opts}"
        com = ["clush", "-S", "--hostfile", str(r.hosts_file), "-f", str(r.forks), "-o", o]
        com += ["-t", str(r.timeout), "-u", str(r.timeout)] if r.timeout else []
        if r.put:
            return [*com, "--copy", str(r.src), "--dest", r.dst]
        return [*com, r.cmd]


# ----------------------------------------------------------------- ansible
class Ansible(Adapter):
    exe = str(VENV / "bin/ansible")

    def __init__(self, name, module="raw", persist=True, opts="", strategy="", tests=None):
        self.name, self.module, self.persist, self.opts = name, module, persist, opts
        self.strategy = strategy
        self.tests = tests or Adapter.tests

    def version(self):
        v = "ansible-core " + pip_version(VENV, "ansible-core")
        return v + (", mitogen " + pip_version(VENV, "mitogen") if self.strategy else "")

    def argv(self, r):
        com = [self.exe, "all", "-i", str(r.hosts_file), "-f", str(r.forks)]
        com += ["-T", str(r.timeout), "--task-timeout", str(r.timeout)] if r.timeout else []
        if r.put:
            return [*com, "-m", "copy", "-a", f"src={r.src} dest={r.recv}/{{{{inventory_hostname}}}}/{r.dst}"]
        return [*com, "-m", self.module, "-a", r.cmd]

    def env(self, r):
        args = f"-F {r.cfg} " + self.opts
        if self.persist:
            args += " -o ControlMaster=auto -o ControlPersist=60s"
        cfg = ("[defaults]\nhost_key_checking = True\ninterpreter_python = /usr/bin/python3\n"
               "[ssh_connection]\npipelining = True\n" f"ssh_args = {args}\n")
        if self.strategy:
            sp = next(VENV.glob("lib/python3*/site-packages/ansible_mitogen/plugins/strategy"))
            cfg = cfg.replace("[defaults]\n", f"[defaults]\nstrategy = {self.strategy}\nstrategy_plugins = {sp}\n")
        return {"ANSIBLE_CONFIG": r.write("ansible/ansible.cfg", cfg)}

    def ok(self, r, out, rc):
        return len(re.findall(r"\| (?:CHANGED|SUCCESS)", out))


# ---------------------------------------------------------- Python libraries
class Lib(Adapter):
    """peers.py LIB."""
    exe = str(VENV / "bin/python")

    def __init__(self, name, lib, dist, forks=None, extra=(), tests=None, note=""):
        self.name, self.lib, self.dist, self.forks, self.extra, self.note = name, lib, dist, forks, extra, note
        self.tests = tests or Adapter.tests

    def version(self):
        return f"{self.dist} {pip_version(VENV, self.dist)}"

    def argv(self, r):
        com = [self.exe, str(HERE / "peers.py"), self.lib, "--lab", r.lab["dir"] + "/lab.json",
               "--hosts-file", str(r.hosts_file), "--forks", str(self.forks or r.forks), *self.extra]
        com += ["--timeout", str(r.timeout)] if r.timeout else []
        dst = f"{r.recv}/{{host}}/{r.dst}" if "--scp" in self.extra else r.dst
        return [*com, "put", str(r.src), dst] if r.put else [*com, "run", r.cmd]

    def ok(self, r, out, rc):
        return len(re.findall(r"^127\.[\d.]+\t0\t", out, re.M))


class Pyinfra(Adapter):
    name = "pyinfra"
    exe = str(VENV / "bin/pyinfra")

    def version(self):
        return "pyinfra " + pip_version(VENV, "pyinfra")

    def argv(self, r):
        data = {"ssh_config_file": r.cfg, "ssh_user": r.lab["user"], "ssh_port": r.lab["port"],
                "ssh_key": r.lab["key"], "ssh_known_hosts_file": r.lab["known_hosts"]}
        if r.timeout:
            data["_timeout"] = r.timeout
            r.write("config.py", f"CONNECT_TIMEOUT = {r.timeout}\n")
        inv = r.write("pyinfra/inv.py", f"hosts = [(h, {data!r}) for h in {r.hosts!r}]\n")
        com = [self.exe, "-y", "--parallel", str(r.forks), inv]
        if r.put:
            return [*com, r.write("pyinfra/put.py", "from pyinfra import host\nfrom pyinfra.operations import files\n"
                    f"files.put(src={str(r.src)!r}, dest=f'{r.recv}/{{host.name}}/{r.dst}')\n")]
        return [*com, "exec", "--", *r.cmd.split()]

    def ok(self, r, out, rc):
        m = re.search(r"Grand total\s+(\d+)\s+(\d+|-)", out)
        return int(m[2]) if m and m[2] != "-" else 0


class Rex(Adapter):
    exe = "rex"

    def __init__(self, name, conn, forks=None, tests=None):
        self.name, self.conn, self.forks = name, conn, forks
        self.tests = tests or Adapter.tests

    def version(self):
        return first_line("rex", "-v") + " " + self.conn

    def argv(self, r):
        lab = r.lab
        text = f"""use Rex -feature => ['1.4'];
user "{lab['user']}"; private_key "{lab['key']}"; public_key "{lab['key']}.pub"; key_auth;
port {lab['port']};
parallelism {self.forks or r.forks};
{f"timeout {r.timeout};" if r.timeout else ""}
set connection => '{self.conn}';
Rex::Config->set_openssh_opt(UserKnownHostsFile => "{lab['known_hosts']}",
  StrictHostKeyChecking => "yes", GlobalKnownHostsFile => "/dev/null");
open my $fh, "<", "{r.hosts_file}" or die; my @h = <$fh>; chomp @h;
group all => @h;
task "cmd", group => "all", sub {{ my $o = run "{r.cmd}"; print connection->server . " rc=$? $o\\n"; }};
task "put", group => "all", sub {{ upload "{r.src}", "{r.recv}/" . connection->server . "/{r.dst}"; }};
"""
        return ["rex", "-f", r.write("rex/Rexfile", text), "-F", "put" if r.put else "cmd"]

    def ok(self, r, out, rc):
        if r.put:
            return r.n if rc == 0 else 0
        return len(re.findall(r"^127\.[\d.]+ rc=0", out, re.M))


class Salt(Adapter):
    name = "salt-ssh -r"
    exe = str(SALT / "bin/salt-ssh")
    tests = ("true", "uptime", "sleep1")
    note = "raw mode: no minion code on the host"

    def version(self):
        return "salt " + pip_version(SALT, "salt")

    def argv(self, r):
        d = r.work / "salt"
        roster = "".join(f"'{h}':\n  host: {h}\n  user: {r.lab['user']}\n  port: {r.lab['port']}\n"
                         f"  priv: {r.lab['key']}\n" for h in r.hosts)
        r.write("salt/roster", roster)
        r.write("salt/master", f"root_dir: {d}/var\npki_dir: {d}/var/pki\ncachedir: {d}/var/cache\n"
                f"log_file: {d}/var/log\nssh_log_file: {d}/var/sshlog\nroster_file: {d}/roster\nuser: root\n"
                f"ssh_options:\n  - UserKnownHostsFile={r.lab['known_hosts']}\n  - StrictHostKeyChecking=yes\n")
        return [self.exe, "-c", str(d), "--roster-file", str(d / "roster"), "-r",
                "--max-procs", str(r.forks), "*", r.cmd]

    def ok(self, r, out, rc):
        return len(re.findall(r"retcode:\s+0\b", out))


KEX = "-o KexAlgorithms=curve25519-sha256"
ADAPTERS = [
    Genii(),
    Xargs("ssh xargs -P20", 20),
    Xargs("ssh xargs -P50", 50),
    Xargs("ssh xargs -P50 curve25519", 50, opts=KEX.split()),
    Xargs("ssh xargs -P50 +ControlPersist", 50, persist=True, tests=("true", "warm", "put")),
    Pssh("pssh"),
    Pssh("pssh curve25519", opts=KEX),
    Pssh("pssh +ControlPersist", persist=True, tests=("warm",)),
    Clush("clush"),
    Clush("clush curve25519", opts=KEX),
    Clush("clush +ControlPersist", persist=True, tests=("warm",)),
    Ansible("ansible raw", "raw", tests=("true", "uptime", "warm", "sleep1")),
    Ansible("ansible command", "command", tests=("true", "uptime", "warm", "put")),
    Ansible("ansible command curve25519", "command", opts=KEX, tests=("true",)),
    Ansible("ansible command mitogen", "command", strategy="mitogen_linear", persist=False, tests=("true",)),
    Lib("fabric ThreadingGroup", "fabric", "fabric", note="no limit: a thread per host"),
    Lib("parallel-ssh libssh2", "pssh", "parallel-ssh"),
    Lib("parallel-ssh libssh2 scp", "pssh", "parallel-ssh", extra=("--scp",), tests=("put",)),
    Lib("parallel-ssh libssh", "psshlibssh", "parallel-ssh", tests=("true", "uptime", "sleep1")),
    Pyinfra(),
    Lib("asyncssh", "asyncssh", "asyncssh"),
    Lib("asyncssh uvloop", "asyncssh", "asyncssh", extra=("--uvloop",), tests=("true",)),
    Lib("asyncssh scp", "asyncssh", "asyncssh", extra=("--scp",), tests=("put",)),
    Lib("paramiko threads", "paramiko", "paramiko", note="each client loads the known_hosts of 1000 lines"),
    Lib("paramiko threads keys-once", "paramiko", "paramiko", extra=("--keys-once",), tests=("true", "put")),
    Lib("pexpect ssh threads", "pexpect", "pexpect"),
    Lib("pxssh threads", "pxssh", "pexpect", tests=("true", "uptime", "sleep1")),
    Rex("rex OpenSSH P20", "OpenSSH", 20),
    Rex("rex OpenSSH P50", "OpenSSH", tests=("true",)),
    Rex("rex libssh2 P20", "SSH", 20),
    Salt(),
]


# ------------------------------------------------------------------ measuring
class Cg:
    """A cpuacct cgroup for one measured tree; a no-op where there is none."""

    def __init__(self, name):
        self.p = CG / name
        try:
            self.p.mkdir(exist_ok=True)
            self.usable = True
        except OSError:
            self.usable = False

    def enter(self):
        if self.usable:
            (self.p / "cgroup.procs").write_text(str(os.getpid()))

    def cpu(self):
        return int((self.p / "cpuacct.usage").read_text()) / 1e9 if self.usable else 0.0

    def pids(self):
        if not self.usable:
            return []
        return [int(x) for x in (self.p / "cgroup.procs").read_text().split()]

    def kill(self):
        for _ in range(100):
            left = self.pids()
            if not left:
                break
            for p in left:
                with contextlib.suppress(OSError):
                    os.kill(p, signal.SIGKILL)
            time.sleep(0.02)

    def close(self):
        self.kill()
        if self.usable:
            for _ in range(50):
                try:
                    return self.p.rmdir()
                except OSError:
                    time.sleep(0.05)


def server_cpu():
    try:
        return int((CG / "fleet-sshd/cpuacct.usage").read_text()) / 1e9
    except OSError:
        return 0.0


def machine_cpu():
    """CPU seconds this machine was busy with anything since boot."""
    v = [int(x) for x in pathlib.Path("/proc/stat").read_text().split("\n")[0].split()[1:9]]
    return (sum(v) - v[3] - v[4]) / os.sysconf("SC_CLK_TCK")


def rss(pid):
    try:
        with open(f"/proc/{pid}/statm") as f:
            return int(f.read().split()[1]) * PAGE
    except (OSError, IndexError):
        return 0


def pss(pid):
    try:
        with open(f"/proc/{pid}/smaps_rollup") as f:
            for line in f:
                if line.startswith("Pss:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


class Sampler(threading.Thread):
    """Peak RSS, process count (every 0.1 s) and PSS (every 1 s) of a tree."""

    def __init__(self, cg, pid):
        super().__init__(daemon=True)
        self.cg, self.pid, self.done = cg, pid, threading.Event()
        self.rss = self.pss = self.procs = 0

    def run(self):
        k = 0
        while not self.done.wait(0.1):
            pids = self.cg.pids() or [self.pid]
            now = sum(map(rss, pids))
            self.rss, self.procs = max(self.rss, now), max(self.procs, len(pids))
            if k % 10 == 5 and now >= self.rss * 0.8:
                self.pss = max(self.pss, sum(map(pss, pids)))
            k += 1


def child_env(r, extra):
    home = r.work / "home"
    home.mkdir(exist_ok=True)
    env = {k: v for k, v in os.environ.items()
           if k in ("LANG", "PATH", "TERM", "USER") or k.startswith("GENII")}
    env |= {"HOME": str(home), "PYTHONUNBUFFERED": "1", "LC_ALL": "C.UTF-8", **extra}
    return env


def once(ad, r, cap, cg):
    """One run of one adapter: a dict of numbers."""
    for p in r.recv.glob("*/" + r.dst) if r.put else ():
        p.unlink()
    argv, env = ad.argv(r), child_env(r, ad.env(r))
    out = r.work / "out"
    s0, c0, m0, t0 = server_cpu(), cg.cpu(), machine_cpu(), time.perf_counter()
    with open(out, "wb") as f, open(r.work / "err", "wb") as g:
        p = subprocess.Popen(argv, env=env, cwd=r.work, stdin=subprocess.DEVNULL, stdout=f, stderr=g,
                             start_new_session=True, preexec_fn=cg.enter)
        smp = Sampler(cg, p.pid)
        smp.start()
        killer = threading.Timer(cap, lambda: (os.killpg(p.pid, signal.SIGKILL), cg.kill()))
        killer.start()
        _, st, ru = os.wait4(p.pid, 0)
        wall = time.perf_counter() - t0
        p.returncode = os.waitstatus_to_exitcode(st)
        killer.cancel()
        smp.done.set()
        smp.join()
    busy, served = machine_cpu() - m0, server_cpu() - s0
    cpu = cg.cpu() - c0 if cg.usable else ru.ru_utime + ru.ru_stime
    text = b"\n".join((out.read_bytes(), (r.work / "err").read_bytes())).decode("utf-8", "replace")
    if r.put:
        size = r.src.stat().st_size
        ok = sum(1 for h in r.hosts if (r.recv / h / r.dst).exists() and (r.recv / h / r.dst).stat().st_size == size)
    else:
        ok = ad.ok(r, text, p.returncode)
    time.sleep(0.3)     # let the last sshd children finish before reading their CPU
    return {"wall": wall, "cpu": cpu, "server_cpu": server_cpu() - s0, "rss_mb": smp.rss / 1e6,
            "others": max(0.0, busy - served - cpu) / wall / os.cpu_count(),
            "pss_mb": smp.pss / 1e6, "procs": smp.procs, "rc": p.returncode, "ok": ok}


class Lock:
    """Others measure on this machine too: keep the lock for a few runs, but
    give it up before a run that would make the hold longer than `hold`."""

    def __init__(self, path, hold=85):
        self.path, self.hold, self.f, self.since = path, hold, None, 0.0

    def take(self, expect):
        if not self.path or self.f and time.monotonic() - self.since + expect < self.hold:
            return
        self.give()
        time.sleep(0.3)
        self.f = open(self.path, "a")
        fcntl.flock(self.f, fcntl.LOCK_EX)
        self.since = time.monotonic()

    def give(self):
        if self.f:
            self.f.close()
        self.f = None


def measure(ad, lab, hosts, test, forks, repeat, lock, cap, calm=0.15):
    cmd, warm, _ = TESTS[test]
    runs = []
    for i in range(repeat + 2):
        if sum(x["others"] < calm for x in runs) >= repeat:
            break
        work = pathlib.Path(lab["dir"]) / f"work{os.getpid()}"
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        payload = pathlib.Path(lab["dir"]) / "payload"
        if not payload.exists():
            payload.write_bytes(os.urandom(10 << 20))
        os.link(payload, work / "payload")
        for s in (pathlib.Path(lab["dir"]) / "cm").glob("*"):
            s.unlink()
        r = Run(lab, work, hosts, cmd, forks)
        if r.put:
            for h in hosts:
                (r.recv / h).mkdir(exist_ok=True)
                shutil.chown(r.recv / h, lab["user"])
        cg = Cg(f"fleet-client-{os.getpid()}-{i}")
        try:
            lock.take((runs[-1]["wall"] if runs else 20) * (2 if warm else 1) + 2)
            if warm:
                once(ad, r, cap, cg)
            runs.append(once(ad, r, cap, cg))
        finally:
            cg.close()
        if r.put:
            for h in hosts:
                shutil.rmtree(r.recv / h, ignore_errors=True)
        shutil.rmtree(work, ignore_errors=True)
        if sum(x["wall"] for x in runs) > 35:
            break           # slow enough to be sure of its rank
    # the runs the rest of the machine disturbed least
    runs = sorted(runs, key=lambda x: x["others"])[:repeat]
    med = {k: round(statistics.median(x[k] for x in runs), 3) for k in runs[0]}
    med["min_wall"] = round(min(x["wall"] for x in runs), 3)
    med["max_wall"] = round(max(x["wall"] for x in runs), 3)
    med["ok"] = min(x["ok"] for x in runs)
    return {"tool": ad.name, "version": ad.version(), "test": test, "n": len(hosts), "forks": getattr(ad, "forks", None) or forks,
            "runs": len(runs), "hosts_per_s": round(len(hosts) / med["wall"], 1),
            "cpu_ms_per_host": round(1000 * med["cpu"] / len(hosts), 1), "note": ad.note, **med}


def markdown(recs):
    out = []
    for test, n in dict.fromkeys((x["test"], x["n"]) for x in recs):
        rows = sorted((x for x in recs if (x["test"], x["n"]) == (test, n)), key=lambda x: x["wall"])
        out += [f"\n### `{test}`, {n} hosts\n",
                "| tool | forks | wall s (min–max) | hosts/s | client CPU s | CPU ms/host | sshd CPU s | peak RSS MB | PSS MB | procs | ok | rc | others |",
                "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|"]
        for x in rows:
            ok = f"{x['ok']}" if x["ok"] == n else f"**{x['ok']}**"
            out.append(f"| {x['tool']} | {x['forks']} | {x['wall']:.2f} ({x['min_wall']:.2f}–{x['max_wall']:.2f}) | {x['hosts_per_s']:.0f} "
                       f"| {x['cpu']:.2f} | {x['cpu_ms_per_host']:.1f} | {x['server_cpu']:.1f} | {x['rss_mb']:.0f} "
                       f"| {x['pss_mb']:.0f} | {x['procs']:.0f} | {ok} | {x['rc']:.0f} | {x['others']:.0%} |")
    return "\n".join(out) + "\n"


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--lab", default=os.environ.get("FLEET_LAB", "/tmp/ssh-bench"), help="lab directory (lab.py --dir)")
    p.add_argument("--only", default="", help="adapters, comma separated; a trailing * is a prefix")
    p.add_argument("--skip", default="")
    p.add_argument("--tests", default=",".join(TESTS))
    p.add_argument("-n", type=int, default=200)
    p.add_argument("--forks", type=int, default=50)
    p.add_argument("--repeat", type=int, default=3)
    p.add_argument("--calm", type=float, default=0.15, help="a run with less than this for `others` is a calm one")
    p.add_argument("--cap", type=float, default=85, help="seconds after which a run is killed")
    p.add_argument("--lock", default=os.environ.get("BENCH_LOCK", "/tmp/bench.lock"))
    p.add_argument("--json", default="")
    p.add_argument("--md", default="")
    p.add_argument("--add", action="store_true", help="keep the records already in --json")
    p.add_argument("--list", action="store_true")
    a = p.parse_args()

    def match(name, pats):
        return any(name == q or q.endswith("*") and name.startswith(q[:-1]) for q in pats.split(",") if q)
    chosen = [x for x in ADAPTERS if (not a.only or match(x.name, a.only)) and not match(x.name, a.skip)]
    if a.list:
        for x in chosen:
            print(f"{x.name:32} {'yes' if x.available() else 'absent':7} {','.join(x.tests)}")
        return
    lab = json.loads((pathlib.Path(a.lab) / "lab.json").read_text())
    all_hosts = (pathlib.Path(a.lab) / "hosts.txt").read_text().split()
    recs, lock = [], Lock(a.lock)
    if a.add and a.json and os.path.exists(a.json):
        recs = json.loads(pathlib.Path(a.json).read_text())["records"]
    for test in a.tests.split(","):
        n = TESTS[test][2] or a.n
        for ad in chosen:
            if test not in ad.tests or not ad.available():
                continue
            rec = measure(ad, lab, all_hosts[:n], test, a.forks, a.repeat, lock, a.cap, a.calm)
            recs = [x for x in recs if (x["tool"], x["test"], x["n"]) != (rec["tool"], test, n)] + [rec]
            print(f"{test:7} n={n:<5} {ad.name:32} {rec['wall']:7.2f} s  {rec['hosts_per_s']:6.1f} hosts/s  "
                  f"cpu {rec['cpu']:6.2f} s  rss {rec['rss_mb']:6.0f} MB  ok {rec['ok']}/{n} rc {rec['rc']:.0f} others {rec['others']:.0%}",
                  file=sys.stderr, flush=True)
            if a.json:
                pathlib.Path(a.json).write_text(json.dumps({"records": recs}, indent=1))
    if a.md:
        pathlib.Path(a.md).write_text(markdown(recs))
    if not a.json:
        print(json.dumps({"records": recs}, indent=1))
    print(markdown(recs))


if __name__ == "__main__":
    main()
