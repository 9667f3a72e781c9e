"""Whole deployments to directories of this machine, with real git, shells and files."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import threading
import time
from typing import TYPE_CHECKING

import pytest
from tests.deploy.harness import all_files, git
from tests.waiting import wait_until

from genii.config.deploy import Command, Health, Origin
from genii.deploy.session import Event
from genii.deploy.steps import load_steps
from genii.errors import GeniiError

if TYPE_CHECKING:
    from tests.deploy.harness import Site

    from genii.deploy.deployer import Result


# -- what a deployment leaves ------------------------------------------------------------------------------------------


def test_the_layout_is_that_of_capistrano(site: Site) -> None:
    site.set(linked_dirs=("log", "tmp/pids"), linked_files=("config/settings.env",))
    site.share("config/settings.env", "a=1\n")
    revision = git(site.repository, "rev-parse", "HEAD")
    result = site.deploy()
    assert result.status == "good", result
    root, release = site.root(), result.release
    assert os.readlink(root / "current") == f"{root}/releases/{release}"
    assert (root / "current" / "REVISION").read_text() == f"{revision}\n"
    for path in ("log", "tmp/pids", "config/settings.env"):
        assert os.readlink(root / "current" / path) == f"{root}/shared/{path}"
    assert (root / "revisions.log").read_text() == (
        f"Branch main (at {revision}) deployed as release {release} by somebody\n"
    )
    files = {path.name: path.read_bytes() for path in site.repository.rglob("*.py")}
    assert {path.name: path.read_bytes() for path in (root / "current" / "lib").iterdir()} == files


def test_the_next_release_shares_what_did_not_change(site: Site) -> None:
    site.deploy()
    (site.repository / "lib" / "part0.py").unlink()
    (site.repository / "lib" / "part1.py").rename(site.repository / "part1.py")
    (site.repository / "lib" / "part2.py").unlink()
    (site.repository / "lib" / "part2.py").mkdir()
    (site.repository / "lib" / "part2.py" / "deep.py").write_text("a directory now\n")
    site.commit("v2")
    assert site.deploy().status == "good"
    first, second = (site.root() / "releases" / name for name in site.releases())
    assert all_files(second) == all_files(site.repository)
    assert (first / "lib/part3.py").stat().st_ino == (second / "lib/part3.py").stat().st_ino
    assert (first / "VERSION").read_text() == "v1\n"
    assert (first / "lib/part2.py").read_text() == "part = 2\n"


def test_only_what_changed_travels(site: Site) -> None:
    (site.repository / "large").write_bytes(os.urandom(1 << 20))
    site.commit("v2")
    site.deploy()
    site.commit("v3")
    deployer = site.deployer()
    assert asyncio.run(deployer.deploy(site.source())).status == "good"
    update = next(step for step in deployer.members[0].plan.prepare if step.name == "update")
    assert 0 < update.payload < 5000
    assert site.live() == "v3"


def test_a_file_that_was_written_on_the_host_is_sent_again(site: Site) -> None:
    site.deploy()
    (site.root() / "current" / "lib" / "part3.py").write_text("tampered\n")
    site.commit("v2")
    assert site.deploy().status == "good"
    assert (site.root() / "current" / "lib" / "part3.py").read_text() == "part = 3\n"


def test_a_host_that_another_machine_deployed_to_is_understood(site: Site) -> None:
    site.deploy()
    shutil.rmtree(site.folder / "state")
    site.commit("v2")
    assert site.deploy().status == "good"
    assert site.live() == "v2"


def test_old_releases_go_and_good_ones_stay(site: Site) -> None:
    site.set(keep=2)
    names = []
    for number in range(4):
        site.commit(f"keep {number}")
        names.append(site.deploy().release)
    assert site.releases() == names[2:]
    assert site.live() == "keep 3"
    assert not [*(site.root() / ".genii/trash").iterdir()]


def test_the_log_on_the_host_tells_each_step(site: Site) -> None:
    go = site.folder / "go"

    class Watch(list[Event]):
        def append(self, event: Event) -> None:
            if (event.step, event.kind) == ("install", "begin"):
                go.touch()

    site.events = Watch()  # beginning and end arrive together where a step takes no time at all
    site.set(install=(f"while [ ! -e {go} ]; do sleep 0.01; done; echo building $RELEASE at $REVISION",))
    release = site.deploy().release
    (line,) = site.log()
    assert (line["release"], line["status"], line["by"], line["from"]) == (release, "good", "somebody", "control")
    steps = {step["step"]: step for step in line["steps"]}
    assert steps["install"]["output"] == f"building {release} at {line['revision']}"
    assert steps["switch"]["status"] == 0
    assert steps["install"]["seconds"] > 0


@pytest.mark.parametrize("order", ["safe", "classic"])
def test_steps_come_in_their_order(site: Site, order: str) -> None:
    site.deploy()
    hooks = {f"{when}_{step}": (Command(f"echo {when} {step} >>$DEPLOY_TO/order"),)
             for step in ("update", "link", "install", "check", "stop", "switch", "start", "health", "cleanup")
             for when in ("before", "after")}  # fmt: skip
    steps = {name: (f"echo {name} >>$DEPLOY_TO/order",) for name in ("install", "check", "stop", "start")}
    site.set(
        order=order, restart="stop", hooks=hooks, steps=steps, health=Health(command="echo health >>$DEPLOY_TO/order")
    )
    assert site.deploy().status == "good"
    taken = [line for line in (site.root() / "order").read_text().splitlines() if " " not in line]
    safe = ["install", "check", "stop", "start", "health"]
    assert taken == (safe if order == "safe" else ["stop", "install", "check", "start", "health"])
    told = (site.root() / "order").read_text().splitlines()
    for name in taken:
        place = told.index(name)
        assert told[place - 1 : place + 2] == [f"before {name}", name, f"after {name}"]
    assert (told.index("after check") < told.index("before switch")) is (order == "safe")


# -- what fails --------------------------------------------------------------------------------------------------------


def test_a_failed_check_leaves_everything_as_it_was(three: Site) -> None:
    three.deploy()
    before = [three.releases(host) for host in three.settings.hosts]
    three.commit("v2")
    three.set(check=("test $DEPLOY_HOST != h2 || { echo no good here; exit 3; }",))
    result = three.deploy()
    assert result.status == "failed"
    assert result.hosts["h2"] == "failed: check failed (exit status 3): no good here"
    assert result.hosts["h1"] == "unchanged"
    assert [three.live(host) for host in three.settings.hosts] == ["v1"] * 3
    assert [three.releases(host) for host in three.settings.hosts] == before


def test_an_unhealthy_host_takes_all_back(three: Site) -> None:
    three.set(steps={"restart": ("cat VERSION >$DEPLOY_TO/running",)})
    three.deploy()
    three.commit("v2")
    three.set(health=Health(command="test $DEPLOY_HOST != h2 || grep -q v1 $DEPLOY_TO/running", timeout=1.0))
    result = three.deploy()
    assert result.status == "rolled back"
    assert result.hosts["h2"].startswith("failed, rolled back: health failed")
    assert result.hosts["h1"] == "rolled back"
    for host in three.settings.hosts:
        assert three.live(host) == "v1"
        assert (three.root(host) / "running").read_text() == "v1\n"
        assert json.loads((three.root(host) / ".genii/releases.jsonl").read_text().splitlines()[-1])["state"] == "bad"


def test_the_canary_is_first_and_saves_the_others(three: Site) -> None:
    three.set(steps={"restart": ("date +%s%N >>$DEPLOY_TO/restarts",)})
    three.deploy()
    three.commit("v2")
    three.set(batches=(1, -50), health=Health(command="test $(cat VERSION) = v1", timeout=1.0))
    assert three.deploy().status == "rolled back"
    assert [three.live(host) for host in three.settings.hosts] == ["v1"] * 3
    counts = [len((three.root(host) / "restarts").read_text().splitlines()) for host in three.settings.hosts]
    assert counts == [3, 1, 1]


def test_batches_follow_each_other(three: Site) -> None:
    three.set(batches=(1,), steps={"restart": (f"echo $DEPLOY_HOST >>{three.folder}/sequence",)})
    assert three.deploy().status == "good"
    assert (three.folder / "sequence").read_text().split() == ["h1", "h2", "h3"]


def test_enough_hosts_go_on_without_the_rest(three: Site) -> None:
    three.deploy()
    three.commit("v2")
    three.set(min_ok=2, check=("test $DEPLOY_HOST != h2",))
    result = three.deploy()
    assert (result.status, result.message) == ("good", "left behind: h2")
    assert [three.live(host) for host in three.settings.hosts] == ["v2", "v1", "v2"]
    assert len(three.releases("h2")) == 1


def test_the_first_release_that_is_not_well_leaves_no_current(site: Site) -> None:
    site.set(health=Health(command="false", timeout=1.0))
    assert site.deploy().status == "rolled back"
    assert not (site.root() / "current").is_symlink()


def test_a_missing_linked_file_is_told_before_anything_is_made(site: Site) -> None:
    site.set(linked_files=("config/settings.env",))
    result = site.deploy()
    assert result.status == "failed"
    assert f"{site.root()}/shared/config/settings.env is missing" in result.hosts["h1"]
    assert site.releases() == []


def test_a_current_that_is_a_directory_is_told(site: Site) -> None:
    (site.root() / "current").mkdir(parents=True)
    result = site.deploy()
    assert "is a directory, not a link" in result.hosts["h1"]
    assert site.releases() == []


def test_a_wrong_branch_names_the_near_ones(site: Site) -> None:
    with pytest.raises(GeniiError, match=r"no branch, tag or commit 'mian'.*did you mean 'main'"):
        site.deploy("mian")
    assert site.releases() == []


def test_a_wrong_repository_is_told(site: Site) -> None:
    site.set(origin=Origin("git", str(site.folder / "nowhere.git")))
    with pytest.raises(GeniiError, match=r"git can't fetch .*nowhere\.git"):
        site.deploy()


def test_a_dirty_tree_is_told(site: Site) -> None:
    (site.repository / "VERSION").write_text("not committed\n")
    result = site.deploy()
    assert "changes that are not committed, and not deployed: VERSION" in result.warnings[0]
    assert site.live() == "v1"


def test_a_hook_that_hangs_is_ended_and_the_lock_kept_for_tidying(site: Site) -> None:
    site.set(timeout=1.0, check=(f"echo $$ >{site.folder}/pid; sleep 1000 & wait",))
    result = site.deploy()
    assert "check took too long" in result.hosts["h1"]
    assert site.releases() == []
    with pytest.raises(ProcessLookupError):
        os.killpg(int((site.folder / "pid").read_text()), 0)


def test_a_secret_is_nowhere(site: Site) -> None:
    secret = "correct horse battery"
    site.set(
        install=('echo "the secret is $TOKEN"; printf "%s" "$TOKEN"',), check=('echo "failed with $TOKEN"; exit 1',)
    )
    result = site.deploy(secrets={"TOKEN": secret})
    assert "failed with [secret]" in result.hosts["h1"]
    assert site.output("install") == "the secret is [secret]\n[secret]"
    for path in site.root().rglob("*"):
        assert not path.is_file() or secret not in path.read_text()


def test_a_secret_reaches_the_commands(site: Site) -> None:
    site.set(install=('test "$TOKEN" = "it\'s; $(secret)"',), env={"PLAIN": "x"}, check=("test $PLAIN = x",))
    assert site.deploy(secrets={"TOKEN": "it's; $(secret)"}).status == "failed"  # the test expands, the value does not
    site.set(install=("test \"$TOKEN\" = 'it'\"'\"'s; $(secret)'",))
    assert site.deploy(secrets={"TOKEN": "it's; $(secret)"}).status == "good"


def test_a_command_that_writes_into_shared_files_is_caught(site: Site) -> None:
    site.deploy()
    site.commit("v2")
    site.set(install=("echo more >>lib/part3.py",))
    result = site.deploy()
    assert "hard links" in result.hosts["h1"]
    assert site.live() == "v1"
    site.set(reuse="copy")
    assert site.deploy().status == "good"
    assert (site.root() / "current/lib/part3.py").read_text() == "part = 3\nmore\n"


def test_a_release_folder_that_exists_is_no_trouble(site: Site) -> None:
    name = time.strftime("%Y%m%d%H%M%S", time.gmtime(time.time() + 5))
    (site.root() / "releases" / name).mkdir(parents=True)
    assert site.deploy().release > name


def test_the_clocks_of_hosts_do_not_matter(three: Site) -> None:
    ahead = "20991231235959"
    (three.root("h2") / "releases" / ahead).mkdir(parents=True)
    release = three.deploy().release
    assert release == "21000101000000"
    assert [three.releases(host)[-1] for host in three.settings.hosts] == [release] * 3
    three.commit("v2")
    assert three.deploy().release == "21000101000001"
    three.rollback()
    assert [three.live(host) for host in three.settings.hosts] == ["v1"] * 3


def test_a_large_release_travels_compressed(site: Site) -> None:
    (site.repository / "large").write_text("all work and no play\n" * 100_000)
    site.commit("v2")
    assert site.deploy().status == "good"
    assert all_files(site.root() / "current") == all_files(site.repository)
    site.commit("v3")
    assert site.deploy().status == "good"
    assert all_files(site.root() / "current") == all_files(site.repository)


def test_a_long_history_is_read(site: Site) -> None:
    first = site.deploy().release
    record = site.root() / ".genii/releases.jsonl"
    line = json.dumps({"release": "20200101000000", "state": "removed", "branch": "b" * 300})
    record.write_text(f"{line}\n" * 1000 + record.read_text())
    revisions = site.root() / "revisions.log"
    revisions.write_text("Branch main (at abc) deployed as release 20200101000000 by alice\n" * 1000)
    site.commit("v2")
    assert site.deploy().status == "good"
    site.rollback()
    assert os.path.basename(os.readlink(site.root() / "current")) == first


def test_files_that_a_power_cut_may_have_taken_are_brought_again(site: Site) -> None:
    site.deploy()
    name = site.root() / ".genii/tree.id"
    assert len(name.read_text().split()) == 1  # it is on the disk
    name.write_text(f"{name.read_text().strip()} {'0' * 8}-of-another-boot\n")
    (site.root() / ".genii/tree/VERSION").unlink()
    assert site.deploy().status == "good"
    assert site.live() == "v1"


# -- back --------------------------------------------------------------------------------------------------------------


def test_rolls_back_to_the_release_before_and_further(site: Site) -> None:
    names = []
    for version in ("a", "b", "c"):
        site.commit(version)
        names.append(site.deploy().release)
    assert site.rollback().status == "good"
    assert site.live() == "b"
    assert site.rollback().status == "good"
    assert site.live() == "a"
    assert "no good release before" in site.rollback().hosts["h1"]
    assert site.rollback(names[2]).status == "good"
    assert site.live() == "c"
    assert (site.root() / "revisions.log").read_text().splitlines()[-1] == f"somebody rolled back to release {names[2]}"


def test_a_bad_release_is_no_place_to_go_back_to(site: Site) -> None:
    site.commit("good")
    site.deploy()
    site.commit("bad")
    site.set(health=Health(command="! grep -q bad VERSION", timeout=1.0))
    site.deploy()
    site.commit("better")
    site.deploy()
    site.rollback()
    assert site.live() == "good"


def test_old_mtimes_do_not_decide(site: Site) -> None:
    for version in ("a", "b", "c"):
        site.commit(version)
        site.deploy()
    os.utime(site.root() / "releases" / site.releases()[0])
    site.rollback()
    assert site.live() == "b"


def test_a_roll_back_counts_where_it_worked(three: Site) -> None:
    first = three.deploy().release
    three.commit("v2")
    three.deploy()
    three.set(steps={"restart": ("[ $DEPLOY_HOST != h2 ]",)})
    result = three.rollback()
    assert result.status == "failed"
    assert (result.hosts["h1"], result.hosts["h3"]) == ("good", "good")
    assert "restart failed" in result.hosts["h2"]
    for host in ("h1", "h3"):
        lines = (three.root(host) / "revisions.log").read_text().splitlines()
        assert lines[-1] == f"somebody rolled back to release {first}"
        assert three.log(host)[-1]["status"] == "good"


def test_an_unknown_release_is_refused(site: Site) -> None:
    site.deploy()
    result = site.rollback("20000101000000")
    assert result.status == "failed"
    assert "there is no release 20000101000000" in result.hosts["h1"]


# -- several at once ---------------------------------------------------------------------------------------------------


def test_two_at_once_know_of_each_other(site: Site) -> None:
    site.deploy()
    site.set(check=(f"touch {site.folder}/began; while [ ! -e {site.folder}/go ]; do sleep 0.05; done",))
    first: list[Result] = []
    thread = threading.Thread(target=lambda: first.append(site.deploy()))
    thread.start()
    wait_until((site.folder / "began").exists)
    second = site.deploy()
    (site.folder / "go").touch()
    thread.join(50)
    assert first[0].status == "good"
    assert "locked by somebody on control since" in second.hosts["h1"]
    assert len(site.releases()) == 2


def test_the_lock_can_be_waited_for(site: Site) -> None:
    site.root().mkdir(parents=True)
    (site.root() / ".genii").mkdir()
    holder = subprocess.Popen(["flock", str(site.root() / ".genii/lock"), "sleep", "2"])
    assert "locked by" in site.deploy().hosts["h1"] or holder.poll() is not None
    assert site.deploy(lock_wait=40.0).status == "good"
    holder.wait(10)


def test_a_daemon_of_a_hook_keeps_neither_lock_nor_deployment(site: Site) -> None:
    pidfile = site.folder / "pid"
    site.set(steps={"restart": (f"sleep 1000 & echo $! >{pidfile}",)})
    assert site.deploy().status == "good"
    pid = int(pidfile.read_text())
    try:
        os.kill(pid, 0)
        assert "lock" not in " ".join(os.readlink(f"/proc/{pid}/fd/{name}") for name in os.listdir(f"/proc/{pid}/fd"))
        assert site.deploy().status == "good"
    finally:
        os.kill(pid, 9)
        os.kill(int(pidfile.read_text()), 9)


# -- hooks, roles, steps -----------------------------------------------------------------------------------------------


def test_a_hook_runs_once_and_only_where_its_role_is(three: Site) -> None:
    three.set(
        roles={"db": ("h2", "h3")},
        hooks={"after_install": (Command(f"echo once $DEPLOY_HOST >>{three.folder}/ran", ("db",), once=True),
                                 Command(f"echo all $DEPLOY_HOST >>{three.folder}/ran", ("db",)))},
    )  # fmt: skip
    assert three.deploy().status == "good"
    assert sorted((three.folder / "ran").read_text().splitlines()) == ["all h2", "all h3", "once h2"]


def test_a_failed_deployment_runs_its_hook(site: Site) -> None:
    site.set(check=("false",), hooks={"failed": (Command("echo $RELEASE >$DEPLOY_TO/failed"),)})
    site.deploy()
    assert (site.root() / "failed").read_text().strip().isdigit()


def test_steps_are_redefined_in_python(site: Site) -> None:
    tasks = site.folder / "tasks.py"
    tasks.write_text(
        "import genii\n\n@genii.step('restart')\ndef again(release):\n"
        "    return [f'echo {release.host} {release.name} >$DEPLOY_TO/restarted']\n"
    )
    release = site.deploy(functions=load_steps(str(tasks))).release
    assert (site.root() / "restarted").read_text() == f"h1 {release}\n"


def test_dependencies_are_taken_over_while_their_lock_file_stays(site: Site) -> None:
    (site.repository / "lock").write_text("one\n")
    site.commit("v2")
    site.set(install=("mkdir deps; date +%s%N >deps/made",), inputs=("lock",), outputs=("deps",))
    made: list[str] = []
    for lock in ("one", "one", "two"):
        (site.repository / "lock").write_text(f"{lock}\n")
        site.commit(f"with {lock} {len(made)}")
        assert site.deploy().status == "good"
        made.append((site.root() / "current/deps/made").read_text())
    assert made[0] == made[1] != made[2]
    assert "taken over from" in site.output("install")


# -- other sources -----------------------------------------------------------------------------------------------------


def test_a_mirror_on_the_host(site: Site) -> None:
    site.set(origin=Origin("git", f"file://{site.repository}", branch="main", on_host=True))
    assert site.deploy().status == "good"
    revision = site.commit("v2")
    assert site.deploy().status == "good"
    assert site.live() == "v2"
    assert (site.root() / "current/REVISION").read_text() == f"{revision}\n"
    assert git(site.root() / "repo", "rev-parse", "--is-bare-repository") == "true"


def test_a_repository_elsewhere_is_mirrored_here(site: Site) -> None:
    bare = site.folder / "bare.git"
    git(site.folder, "clone", "-q", "--mirror", str(site.repository), str(bare))
    site.set(origin=Origin("git", f"file://localhost{bare}", branch="main"))
    assert site.deploy().status == "good"
    site.commit("v2")
    git(bare, "remote", "update")
    assert site.deploy().status == "good"
    assert site.live() == "v2"
