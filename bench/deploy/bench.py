#!/usr/bin/env python3
"""Time deploys to 1 and 10 loopback hosts with any tool (see adapters.py).

  python3 bench.py -a capistrano -a refssh -n 5 --hosts 1,10 --files 20,2000 -o results.json
  python3 bench.py -a ./mytool_adapter.py        # class Tool(Adapter)
  python3 bench.py -a ./mytool.json              # command templates
Nothing else should run on the machine while timing.  Per case: cold = first deploy to empty hosts, warm = later deploys of a new
commit, rollback, run = `uptime` on every host.  Each number: wall seconds, client user+sys CPU, client max RSS.
"""
import argparse, json, os, random, resource, shutil, statistics, subprocess, sys, tempfile, time
from pathlib import Path
sys.path.insert(0, str(Path(__file__).parent))
from adapters import ALL, DEPLOY_TO, Ctx, load
from sshfarm import Farm


def git(repo, *a): return subprocess.run(["git", "-C", str(repo), "-c", "user.name=b", "-c", "user.email=b@b", *a], check=True, capture_output=True, text=True).stdout.strip()


def make_repo(path, files, kb=8):
    path.mkdir(parents=True); subprocess.run(["git", "init", "-q", "-b", "main", str(path)], check=True)
    rnd = random.Random(1)
    for i in range(files):
        p = path / f"lib/d{i % 50}/f{i}.py"; p.parent.mkdir(parents=True, exist_ok=True)
        p.write_text("".join(f"x{rnd.randrange(10**9)} = {rnd.random()}\n" for _ in range(kb * 32)))
    (path / "config").mkdir(exist_ok=True); (path / "config/settings.env.example").write_text("a=1\n")
    (path / "VERSION").write_text("v0\n"); git(path, "add", "-A"); git(path, "commit", "-qm", "v0")


def bump(repo, v):
    (Path(repo) / "VERSION").write_text(f"v{v}\n"); git(repo, "commit", "-qam", f"v{v}"); return git(repo, "rev-parse", "HEAD")


def timed(cmd, check=True, timeout=600):
    env = {**os.environ, **cmd.env}
    out = tempfile.TemporaryFile()
    t = time.perf_counter()
    p = subprocess.Popen(cmd.argv, cwd=cmd.cwd, env=env, stdout=out, stderr=out, stdin=subprocess.DEVNULL)
    _, st, ru = os.wait4(p.pid, 0); wall = time.perf_counter() - t
    rc = os.waitstatus_to_exitcode(st); p.returncode = rc
    if rc and check:
        out.seek(0); raise SystemExit(f"{cmd.argv} -> {rc}\n" + out.read().decode(errors='replace')[-3000:])
    return {"wall": wall, "cpu": ru.ru_utime + ru.ru_stime, "rss_mb": ru.ru_maxrss / 1024, "rc": rc}


def clean(hosts):
    for h in hosts:
        shutil.rmtree(h.root + "/demo", ignore_errors=True)
        p = Path(h.root, "demo/shared/config"); p.mkdir(parents=True); (p / "settings.env").write_text("s=1\n")


def live(h):
    d = Path(h.root, "demo"); r = os.path.basename(os.readlink(d / "current")); return r, (d / "releases" / r / "VERSION").read_text().strip()


def med(rs, k): return round(statistics.median(r[k] for r in rs), 3)


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("-a", "--adapter", action="append"); ap.add_argument("-n", type=int, default=5)
    ap.add_argument("--hosts", default="1,10"); ap.add_argument("--files", default="20"); ap.add_argument("-o"); ap.add_argument("--port", type=int, default=2223)
    ap.add_argument("--no-rollback", action="store_true")
    a = ap.parse_args(); ns = [int(x) for x in a.hosts.split(",")]; results = []
    with Farm(max(ns), a.port) as farm, tempfile.TemporaryDirectory(prefix="depbench-") as tmp:
        tmp = Path(tmp)
        for nf in [int(x) for x in a.files.split(",")]:
            repo = tmp / f"repo{nf}"; make_repo(repo, nf); v = 0
            size = len(subprocess.run(["git", "-C", str(repo), "archive", "main"], capture_output=True).stdout)
            for name in a.adapter or list(ALL):
                ad = load(name)
                if ad.why_not(): print(f"{ad.name}: skipped ({ad.why_not()})", flush=True); continue
                w = tmp / f"{ad.name}-{nf}"; w.mkdir(exist_ok=True)
                ad.setup(Ctx(w, repo, farm.ssh_config, farm.key, str(farm.dir / "known_hosts"), farm.port, farm.hosts))
                for n in ns:
                    hs = farm.hosts[:n]; R = {"cold": [], "warm": [], "rollback": [], "run": []}
                    for i in range(a.n):
                        clean(hs)
                        v += 1; bump(repo, v); R["cold"].append(timed(ad.deploy(hs)))
                        assert all(live(h)[1] == f"v{v}" for h in hs), [live(h) for h in hs]
                        time.sleep(1.05); v += 1; bump(repo, v); R["warm"].append(timed(ad.deploy(hs)))
                        assert all(live(h)[1] == f"v{v}" for h in hs), [live(h) for h in hs]
                        c = None if a.no_rollback else ad.rollback(hs)
                        if c:
                            time.sleep(1.05); R["rollback"].append(timed(c)); assert all(live(h)[1] == f"v{v-1}" for h in hs)
                        c = ad.run(hs, "uptime")
                        if c: R["run"].append(timed(c))
                    row = {"tool": ad.name, "version": ad.version(), "hosts": n, "files": nf, "tar_bytes": size, "n": a.n,
                           **{k: {m: med(r, m) for m in ("wall", "cpu", "rss_mb")} | {"min": round(min(x["wall"] for x in r), 3), "max": round(max(x["wall"] for x in r), 3)} for k, r in R.items() if r}}
                    results.append(row)
                    print(f"{ad.name:16s} hosts={n:<3d} files={nf:<5d} " + "  ".join(f"{k} {row[k]['wall']:.2f}s (cpu {row[k]['cpu']:.2f}, {row[k]['rss_mb']:.0f} MB)" for k in R if k in row), flush=True)
    if a.o: Path(a.o).write_text(json.dumps({"when": time.strftime("%F"), "cpus": os.cpu_count(), "results": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
