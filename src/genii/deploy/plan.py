"""The plan of a deployment on one host: from settings and facts to steps, in phases. No I/O.

Between two phases all hosts wait for each other. The steps of a phase travel in one piece: it is one round trip.
"""

from __future__ import annotations

from posixpath import dirname
from typing import TYPE_CHECKING

import msgspec

from genii.deploy import health
from genii.deploy.facts import BOOT
from genii.deploy.history import Entry
from genii.deploy.layout import Layout, deployed_line, rolled_back_line
from genii.deploy.shell import Step, quote
from genii.deploy.tree import END_OF_TREE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from genii.config.deploy import Command, Deployment
    from genii.deploy.facts import Facts
    from genii.deploy.tree import Shipment

__all__ = ["Place", "Plan", "Release", "plan_deploy", "plan_rollback", "refusals"]


_SYNC = "{ sync -f . 2>/dev/null || sync; }"
"""Brings one file system to the disk where sync(1) can do that (GNU's and BusyBox's can), else all."""
_PATIENCE = 60.0
"""Seconds that a step of ours may take at least, however short the time for commands is."""


class Release(msgspec.Struct, frozen=True, kw_only=True):
    """What is released, by whom, from where; the same on all hosts."""

    name: str
    revision: str
    branch: str
    by: str
    control: str
    """The name of the machine that deploys."""
    at: str
    """When, in ISO 8601."""
    time: int = 0
    """When the revision was made, in seconds since the epoch; 0: not known."""
    tree: str = ""
    """The identity of its files, where they are known here."""

    def entry(self, state: str, reason: str = "") -> Entry:
        """Return the line of a host's record that gives it a state."""
        return Entry(
            release=self.name, state=state, revision=self.revision, branch=self.branch, by=self.by, host=self.control,
            at=self.at, reason=reason,
        )  # fmt: skip


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """A host as a deployment sees it."""

    host: str
    roles: tuple[str, ...] = ()
    first_of: tuple[str, ...] = ()
    """The roles of which it is the first host; ``""`` stands for all hosts."""

    def runs(self, command: Command) -> bool:
        """Say whether a hook is for this host."""
        mine = set(command.roles) & set(self.roles)
        if command.roles and not mine:
            return False
        return not command.once or bool(mine & set(self.first_of) if command.roles else "" in self.first_of)


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What is done on one host: the phases, and what undoes them."""

    prepare: tuple[Step, ...] = ()
    """All before the switch; fails alone."""
    publish: tuple[Step, ...] = ()
    """The switch and what proves it; in batches."""
    finish: tuple[Step, ...] = ()
    """When all hosts are well."""
    discard: tuple[Step, ...] = ()
    """When it ends before the switch."""
    revert: tuple[Step, ...] = ()
    """When it ends after the switch began."""
    env: Mapping[str, str] = {}
    revert_env: Mapping[str, str] = {}
    """The variables of ``revert``: those of the release that comes back."""

    @property
    def round_trips(self) -> int:
        """Return how often the control machine waits for the host: once to ask, once for each phase."""
        return 1 + sum(1 for phase in (self.prepare, self.publish, self.finish) if phase)


def refusals(deployment: Deployment, facts: Facts, *, need: int = 0) -> list[str]:
    """Return why this host can't be deployed to as it is; ``need`` bytes will arrive."""
    root, found = deployment.to, []
    if facts.current_is in ("directory", "file"):
        found.append(
            f"{root}/current is a {facts.current_is}, not a link to a release; "
            f"move it away (for example to {root}/releases/00000000000000) and deploy again"
        )
    found += [
        f"the linked file {root}/shared/{path} is missing; put it there (genii deploy init tells of all)"
        for path in facts.missing
    ]
    if facts.free and facts.free < need:
        found.append(f"only {facts.free >> 20} MiB are free below {root}, and {need >> 20} MiB are needed")
    return found


def plan_deploy(
    deployment: Deployment,
    place: Place,
    facts: Facts,
    release: Release,
    shipment: Shipment | None,
    redefined: Mapping[str, Sequence[str]] | None = None,
) -> Plan:
    """Return what brings a release to a host. ``shipment`` is None where git runs on the host."""
    maker = _Maker(deployment, place, facts, release, redefined or {})
    update = maker.update(shipment)
    if deployment.order == "classic":
        prepare: list[Step] = []
        placed = [*update, *maker.link(), maker.sync()]
        publish = [*maker.stop(), *placed, *maker.switch(release.name), *maker.ready(), *maker.start()]
    else:
        prepare = [*update, *maker.link(), *maker.ready(), maker.sync()]
        publish = [*maker.stop(), *maker.switch(release.name), *maker.start()]
    good = [release.entry("good"), *maker.removed(deployment.keep)]
    line = deployed_line(release.branch, release.revision, release.name, release.by)
    return Plan(
        prepare=tuple(prepare),
        publish=(*publish, *maker.health()),
        finish=(maker.note(good, line, sync=True), *maker.cleanup(deployment.keep)),
        discard=maker.discard(),
        revert=maker.revert(),
        env=maker.env(),
        revert_env=maker.revert_env(),
    )


def plan_rollback(
    deployment: Deployment,
    place: Place,
    facts: Facts,
    release: Release,
    redefined: Mapping[str, Sequence[str]] | None = None,
) -> Plan:
    """Return what takes a host back to a release that it has."""
    maker = _Maker(deployment, place, facts, release, redefined or {})
    left = facts.history.current
    entries = [release.entry("good")]
    if left and left != release.name:
        entries.append(Entry(release=left, state="rolled-back", by=release.by, host=release.control, at=release.at))
    return Plan(
        publish=(*maker.stop(), *maker.switch(release.name), *maker.start(), *maker.health()),
        finish=(maker.note(entries, rolled_back_line(release.name, release.by), sync=False),),
        env=maker.env(),
    )


class _Maker:
    """Make the steps of one host."""

    def __init__(
        self,
        deployment: Deployment,
        place: Place,
        facts: Facts,
        release: Release,
        redefined: Mapping[str, Sequence[str]],
    ) -> None:
        self._deployment = deployment
        self._place = place
        self._facts = facts
        self._release = release
        self._redefined = {**deployment.steps, **redefined}
        self._layout = Layout(deployment.to)
        self._here = f"releases/{release.name}"
        self._path = self._layout.release(release.name)

    def env(self) -> dict[str, str]:
        layout, release = self._layout, self._release
        return {
            "DEPLOY_TO": layout.root,
            "RELEASE": release.name,
            "RELEASE_PATH": self._path,
            "CURRENT_PATH": layout.current,
            "SHARED_PATH": layout.shared,
            "PREVIOUS_RELEASE": self._facts.history.current,
            "REVISION": release.revision,
            "BRANCH": release.branch,
            "DEPLOY_HOST": self._place.host,
            "DEPLOY_ROLES": " ".join(self._place.roles),
            **self._deployment.env,
        }

    # -- steps ---------------------------------------------------------------------------------------------------------

    def _around(self, name: str, steps: Iterable[Step], directory: str = "") -> list[Step]:
        """Return the steps with the hooks before and after them."""
        inner = list(steps)
        return [*self._hooks(f"before_{name}", directory), *inner, *self._hooks(f"after_{name}", directory)]

    def _hooks(self, key: str, directory: str = "") -> list[Step]:
        commands = [one.text for one in self._deployment.hooks.get(key, ()) if self._place.runs(one)]
        return [self._user(key, commands, directory)] if commands else []

    def _user(self, name: str, commands: Iterable[str], directory: str = "", *, timeout: float = 0) -> Step:
        return Step(
            name=name,
            commands=tuple(commands),
            directory=directory or self._path,
            timeout=timeout or self._deployment.timeout,
        )

    def _ours(self, name: str, script: str, note: str, *, payload: int = 0) -> Step:
        timeout = max(self._deployment.timeout, _PATIENCE)
        return Step(name=name, script=script, note=note, payload=payload, timeout=timeout)

    def _line(self, name: str, script: str, note: str) -> Step:
        """Return a step that is one list of commands."""
        return msgspec.structs.replace(self._ours(name, script, note), inline=True)

    def update(self, shipment: Shipment | None) -> list[Step]:
        lines = [_append(".genii/releases.jsonl", [self._release.entry("begun").line()])]
        gone = [".genii/trash/*", *(f"releases/{name}" for name in self._facts.history.half_made())]
        lines.append(f"[ ! -e {self._here} ] || {{ echo '{self._path} exists already'; exit 73; }}")
        if shipment is None:
            lines.append(f"rm -rf {' '.join(gone)}")
            lines += self._update_from_git()
            note = f"git fetches {self._deployment.origin.where} and unpacks {self._release.revision[:12]}"
        else:
            lines += self._update_from_tar(shipment, gone)
            note = _told(shipment)
        # Never write into a file that releases share.
        lines += _remove_existing([f"{self._here}/{name}" for name in ("REVISION", "REVISION_TIME", END_OF_TREE)])
        lines.append(f"printf '%s\\n' {quote(self._release.revision)} >{self._here}/REVISION")
        if self._release.time:
            lines.append(f"printf '%s\\n' {self._release.time} >{self._here}/REVISION_TIME")
        update = self._ours("update", "\n".join(lines), note, payload=shipment.size if shipment else 0)
        # There is no release yet in whose directory a hook could run before it.
        return [*self._hooks("before_update", self._layout.root), update, *self._hooks("after_update")]

    def _update_from_tar(self, shipment: Shipment, gone: Iterable[str]) -> list[str]:
        delta, end = shipment.delta, f".genii/tree/{END_OF_TREE}"
        removed = ["."] if delta.whole else [END_OF_TREE, *delta.remove]
        trees = [".genii/tree" if path == "." else f"./.genii/tree/{path}" for path in removed]
        # From the first of these on, until its name is written again, nobody relies on the tree.
        lines = [f"rm -rf .genii/tree.id {' '.join([*map(quote, trees), *gone])}", *_make_missing([".genii/tree"])]
        if shipment.size:
            # A tar file that breaks off between two files is whole to tar; only the last entry tells that it is.
            lines.append(f"tar -x{'z' if shipment.packed else ''}of - -C .genii/tree")
            if shipment.packed:
                lines.append("cat >/dev/null")  # what gzip did not take
            lines.append(f"[ -e {end} ] || {{ echo 'not all of the files arrived'; exit 74; }}")
        # What is not on the disk yet is as good as that as long as the kernel runs; sync() is about what comes after.
        lines.append(f"read -r boot <{BOOT}\nprintf '%s %s\\n' {quote(self._release.tree)} \"$boot\" >.genii/tree.id")
        copy = "cp -al" if self._deployment.reuse == "link" else "cp -a"
        lines.append(f"{copy} .genii/tree {self._here}")
        return lines

    def _update_from_git(self) -> list[str]:
        url, revision = quote(self._deployment.origin.where), quote(self._release.revision)
        return [
            "export GIT_TERMINAL_PROMPT=0",
            f"[ -e repo/HEAD ] || git clone -q --mirror {url} repo",
            f"git --git-dir=repo remote set-url origin {url}",
            "git --git-dir=repo remote update --prune >/dev/null",
            f"git --git-dir=repo cat-file -e {revision} || {{ echo {revision} is not in the repository; exit 66; }}",
            f"mkdir {self._here}",
            f"git --git-dir=repo archive {revision} | tar -xof - -C {self._here}",
        ]

    def link(self) -> list[Step]:
        dirs, files = self._deployment.linked_dirs, self._deployment.linked_files
        if not dirs and not files:
            return self._around("link", ())
        lines = []
        lines += _make_missing([f"shared/{path}" for path in dirs])
        lines += [
            f"[ -e {quote(f'shared/{path}')} ] || {{ echo {quote(f'the linked file {path} is missing in shared/')}; "
            "exit 66; }"
            for path in files
        ]
        parents = dict.fromkeys(dirname(path) for path in (*dirs, *files))
        lines += _make_missing([f"{self._here}/{parent}" for parent in parents if parent])
        lines += _remove_existing([f"{self._here}/{path}" for path in (*dirs, *files)])
        for parent in parents:  # one command for all links in a directory
            targets = [f"{self._layout.shared}/{path}" for path in (*dirs, *files) if dirname(path) == parent]
            lines.append(f"ln -s {' '.join(map(quote, targets))} {quote(f'{self._here}/{parent}'.rstrip('/'))}/")
        step = self._ours("link", "\n".join(lines), f"links {', '.join((*dirs, *files))} to shared")
        return self._around("link", [step])

    def ready(self) -> list[Step]:
        """Return the steps in which the release is made ready and proves itself."""
        steps = [*self._install(), *self._check()]
        if self._deployment.reuse == "link" and any(step.commands for step in steps) and self._release.tree:
            steps.append(
                self._ours(
                    "intact",
                    "found=$(find .genii/tree -type f -newer .genii/tree.id)\n"
                    '[ -z "$found" ] || { echo "a command wrote into files that releases share by hard links: '
                    '$found"; echo "set reuse = \\"copy\\" for this deployment, or write a new file and rename it"; '
                    "exit 70; }",
                    "makes sure that no command wrote into a file of another release",
                )
            )
        return steps

    def sync(self) -> Step:
        """Return the step after which the release outlives a power cut; what is switched to has to be there after it.

        The names of files are in the journal of a file system long before what is in them is on the disk.
        """
        name = f" && printf '%s\\n' {quote(self._release.tree)} >.genii/tree.id" if self._release.tree else ""
        return self._line("sync", f"{_SYNC}{name}", "writes the release to the disk")

    def _install(self) -> list[Step]:
        commands = self._redefined.get("install")
        own = commands is None
        if commands is None:
            commands = self._deployment.install
        if not commands and self._deployment.origin.kind == "wheel" and own:
            commands = (_INSTALL_WHEEL,)
        if not commands:
            return self._around("install", ())
        if own and self._deployment.inputs:
            commands = (self._install_or_reuse(commands),)
        return self._around("install", [self._user("install", commands)])

    def _install_or_reuse(self, commands: Sequence[str]) -> str:
        before = self._facts.history.current
        text = "".join(f"(\n{command}\n) || exit\n" for command in commands)
        if not before or self._facts.history.state(before) not in ("good", "rolled-back"):
            return text
        old = self._layout.release(before)
        same = [f"cmp -s {quote(f'{old}/{path}')} {quote(path)}" for path in self._deployment.inputs]
        same += [f"[ -e {quote(f'{old}/{path}')} ]" for path in self._deployment.outputs]
        copies = "".join(
            f"mkdir -p {quote(dirname(path) or '.')} && rm -rf {quote(path)} && "
            f"cp -al {quote(f'{old}/{path}')} {quote(path)} || exit\n"
            for path in self._deployment.outputs
        )
        told = f"taken over from {before}: {', '.join(self._deployment.outputs)}"
        return f"if {' && '.join(same)}; then\n{copies}echo {quote(told)}\nelse\n{text}fi"

    def _check(self) -> list[Step]:
        commands = self._redefined.get("check", self._deployment.check)
        return self._around("check", [self._user("check", commands)] if commands else ())

    def stop(self) -> list[Step]:
        stops = self._deployment.restart == "stop" or self._deployment.order == "classic"
        commands = self._redefined.get("stop") or (self._genii("stop") if stops else ())
        # The release in use has to be stopped, so its own directory is the place for that.
        directory = self._layout.current if self._facts.history.current else self._layout.root
        return self._around("stop", [self._user("stop", commands, directory)] if commands else (), directory)

    def switch(self, release: str) -> list[Step]:
        target = self._layout.release(release)
        script = f"ln -sfn {quote(target)} .genii/current.new && mv -T .genii/current.new current"
        return self._around("switch", [self._line("switch", script, f"current -> {target}, by rename")])

    def start(self) -> list[Step]:
        stops = self._deployment.restart == "stop" or self._deployment.order == "classic"
        name = "start" if stops or "start" in self._redefined else "restart"
        verb = {"rolling": "restart --rolling"}.get(self._deployment.restart, self._deployment.restart)
        commands = self._redefined.get(name) or self._genii("start" if name == "start" else verb)
        steps = [self._user(name, commands)] if commands else []
        return self._around(name, steps)

    def _genii(self, verb: str) -> tuple[str, ...]:
        if not self._deployment.programs:
            return ()
        names = " ".join(map(quote, self._deployment.programs))
        return (f"cd {quote(self._layout.root)} && {self._deployment.genii} {verb} {names}",)

    def health(self) -> list[Step]:
        commands = self._redefined.get("health")
        asked = self._deployment.health
        if commands:
            return self._around("health", [self._user("health", commands)])
        if asked is None:
            return self._around("health", ())
        step = self._user("health", (health.wait_script(asked),), timeout=asked.timeout + 60)
        return self._around("health", [msgspec.structs.replace(step, note=f"waits for {health.describe(asked)}")])

    # -- ends ----------------------------------------------------------------------------------------------------------

    def note(self, entries: Iterable[Entry], line: str, *, sync: bool) -> Step:
        lines = _append(".genii/releases.jsonl", [entry.line() for entry in entries]), _append("revisions.log", [line])
        # What stands behind current is on the disk already; nobody has to wait until what is said of it is, too.
        script = " && ".join(lines) + (f" && {{ ( exec 9>&-; {_SYNC} ) >/dev/null 2>&1 & }}" if sync else "")
        return self._line("record", script, "writes the release down as good")

    def removed(self, keep: int) -> list[Entry]:
        return [Entry(release=name, state="removed") for name in self._facts.history.surplus(keep, self._release.name)]

    def cleanup(self, keep: int) -> list[Step]:
        gone = self._facts.history.surplus(keep, self._release.name)
        if not gone:
            return self._around("cleanup", ())
        lines = self._remove(gone)
        return self._around("cleanup", [self._ours("cleanup", "\n".join(lines), f"removes {', '.join(gone)}")])

    def _remove(self, releases: Iterable[str]) -> list[str]:
        """Return commands that take releases away: by rename first, so that none is ever half there."""
        names = [f"releases/{name}" for name in releases]
        if not names:
            return []
        return [
            *_make_missing([".genii/trash"]),
            f'for path in {" ".join(names)}; do [ ! -e "$path" ] || mv "$path" ".genii/trash/$$.${{path#*/}}"; done',
            "rm -rf .genii/trash/*",
        ]

    def discard(self) -> tuple[Step, ...]:
        entry = self._release.entry("bad", "failed before the switch").line()
        script = "\n".join(
            (
                f"rm -rf {self._here}",
                "[ -s .genii/tree.id ] || rm -rf .genii/tree",  # what filled the disk may be half a tree
                _append(".genii/releases.jsonl", [entry]),
            )
        )
        steps = [*self._hooks("failed", self._layout.root), self._ours("discard", script, f"removes {self._here}")]
        return _always(steps)

    def revert(self) -> tuple[Step, ...]:
        before = self._facts.history.current
        entry = self._release.entry("bad", "was not well after the switch").line()
        note = self._line("record", _append(".genii/releases.jsonl", [entry]), "writes the release down as bad")
        if before:
            back = [*self.stop(), *self.switch(before), *self.start(), *self.health()]
            back = [self._in_release(step, before) for step in back]
        else:
            away = f'[ "$(readlink current)" != {quote(self._path)} ] || rm -f current'
            back = [*self.stop(), self._ours("switch", away, "removes current, as there was none before")]
        return _always([note, *back, *self._hooks("failed", self._layout.root)])

    def _in_release(self, step: Step, release: str) -> Step:
        here = self._layout.release(release) if step.directory == self._path else step.directory
        return msgspec.structs.replace(step, directory=here)

    def revert_env(self) -> dict[str, str]:
        before = self._facts.history.current
        entry = self._facts.history.states.get(before)
        return self.env() | {
            "RELEASE": before,
            "RELEASE_PATH": self._layout.release(before) if before else "",
            "REVISION": entry.revision if entry else "",
            "BRANCH": entry.branch if entry else "",
            "FAILED_RELEASE": self._release.name,
        }


_INSTALL_WHEEL = """\
set -e
if command -v uv >/dev/null; then uv venv -q .venv; uv pip install -q --python .venv/bin/python ./*.whl
else python3 -m venv .venv; .venv/bin/pip install -q ./*.whl; fi"""


def _told(shipment: Shipment) -> str:
    delta = shipment.delta
    packed = f" ({shipment.unpacked} unpacked)" if shipment.packed else ""
    removed = f"; removes {len(delta.remove)}" if delta.remove else ""
    return f"brings {'all ' if delta.whole else ''}{len(delta.send)} files, {shipment.size} bytes{packed}{removed}"


def _make_missing(folders: Iterable[str]) -> list[str]:
    """Return commands that make directories; none is started where all are there."""
    words = " ".join(map(quote, folders))
    if not words:
        return []
    return [f'set --; for path in {words}; do if [ ! -d "$path" ]; then set -- "$@" "$path"; fi; done',
            '[ $# = 0 ] || mkdir -p "$@"']  # fmt: skip


def _remove_existing(paths: Iterable[str]) -> list[str]:
    """Return commands that remove files and directories; none is started where there are none."""
    words = " ".join(map(quote, paths))
    if not words:
        return []
    test = 'if [ -e "$path" ] || [ -L "$path" ]; then set -- "$@" "$path"; fi'
    return [f"set --; for path in {words}; do {test}; done", '[ $# = 0 ] || rm -rf "$@"']


def _append(path: str, lines: Iterable[str]) -> str:
    return f"printf '%s\\n' {' '.join(map(quote, lines))} >>{path}"


def _always(steps: Iterable[Step]) -> tuple[Step, ...]:
    """Return the steps of an undoing: each is tried, whatever became of those before it."""
    return tuple(msgspec.structs.replace(step, always=True) for step in steps)
