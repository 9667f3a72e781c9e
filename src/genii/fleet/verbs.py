"""What a task can want of a host: packages, services, users, files, lines, checkouts; and the host that offers it all.

Each verb asks the host (a question of ``state``), has the steps planned, and carries them out; a dry run stops before.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from genii.errors import CheckFailed, UsageError
from genii.fleet.command import Command
from genii.fleet.remote import Commander, RemoteFailed
from genii.fleet.secret import Secret
from genii.fleet.state import files, git, lines, packages, services, users
from genii.units import format_size

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from genii.fleet.state.plan import Plan, Question
    from genii.fleet.task_result import TaskResult
    from genii.fleet.transfer import Access, Moved, Put

__all__ = ["AsyncRemote"]

T = TypeVar("T")


class AsyncRemote(Commander):
    """One host, for ``async`` tasks; every method that changes something says so in its ``TaskResult``."""

    async def _reach(
        self, what: str, question: Question[T], planned: Callable[[T], Plan], user: str, *, check: str = ""
    ) -> TaskResult:
        """Ask, plan, and carry the plan out."""
        plan = planned(await self._ask(question, user))
        told = self.mask(plan.difference)
        result = self._result(what, wanted=True, changed=plan.changes, difference=told, planned=self.dry_run)
        if plan.changes and not self.dry_run:
            if check:
                await self.check(check, sudo=user == "root")
            for step in plan.steps:
                await self._step(what, step.command, step.input, user)
        return self._report(result)

    async def _step(self, what: str, command: str, given: bytes, user: str) -> None:
        output = await self._execute(command, user=user, given=given)
        if output.status == files.CHECK_FAILED:
            text = self._result(what, output)
            raise CheckFailed(f"{self.name}: {what}: its check failed, nothing was changed", text.stderr + text.stdout)
        if output.status != 0:
            raise self._report_failed(self._result(what, output))

    def _report_failed(self, result: TaskResult) -> RemoteFailed:
        return self._failed(self._report(result))

    async def package(
        self,
        *names: str,
        state: packages.State = "present",
        refresh: bool = False,
        purge: bool = False,
        options: str = "",
        manager: str = "",
    ) -> TaskResult:
        """Have packages installed (``name=version`` for a certain one), removed, or as new as they can be.

        ``refresh`` has the host learn what there is before something is installed; where it knows nothing yet, that is
        done anyway. ``options`` are added to the manager's command, such as ``--no-install-recommends``.

        Raises:
            StateError: what is wanted makes no sense here.
            RemoteFailed: the package manager failed; carries what it said.
        """
        family = manager or (await self.system()).packages
        what = f"package {' '.join(names)} {state}"
        question = packages.ask_packages(family, names, newer=state == "latest")
        planned = partial(packages.plan_packages, family, names, state=state, purge=purge, options=options)
        if refresh and not self.dry_run and state != "absent":
            stale = state == "latest" or planned(await self._ask(question, "")).changes
            if stale:
                await self._step(f"{family} refreshed", packages.refresh_index(family).command, b"", "root")
        return await self._reach(what, question, planned, "root")

    async def service(
        self,
        name: str,
        *,
        running: bool | None = None,
        enabled: bool | None = None,
        restart: bool = False,
        reload: bool = False,
        check: str = "",
        manager: str = "",
        config: str = "",
    ) -> TaskResult:
        """Have a service run or not, start at boot or not; restart or reload it.

        ``check`` is a command, such as ``nginx -t``, that must pass before anything of it is done. ``manager`` is
        found out, except for programs under ``"genii"``; ``config`` is that genii's file on the host.

        Raises:
            CheckFailed: the check said no; the service was left alone.
            StateError: there is no such service, or what is wanted makes no sense.
            RemoteFailed: the service manager failed; carries what it said.
        """
        found = manager or (await self.system()).services
        question = services.ask_service(found, name, config=config)
        planned = partial(
            services.plan_service,
            found, name, running=running, enabled=enabled, restart=restart, reload=reload, config=config,
        )  # fmt: skip
        # genii's socket belongs to whoever runs it; the other managers want root.
        user = self._user(None) if found == "genii" else "root"
        return await self._reach(f"service {name}", question, planned, user, check=check)

    async def user(
        self,
        name: str,
        *,
        state: users.State = "present",
        uid: int | None = None,
        group: str = "",
        groups: Sequence[str] | None = None,
        only_groups: bool = False,
        comment: str | None = None,
        home: str = "",
        shell: str = "",
        password: str | Secret = "",
        system: bool = False,
        create_home: bool = True,
        remove_home: bool = False,
        keys: Sequence[str] | None = None,
    ) -> TaskResult:
        """Have a user there, as it is described, or gone.

        ``password`` is a hash as crypt(3) makes it. ``groups`` are joined beside those it is in; ``only_groups`` leaves
        all others. ``keys`` are lines that shall be in its ``~/.ssh/authorized_keys``.

        Raises:
            StateError: what is wanted makes no sense, or can't be done with the host's tools.
            RemoteFailed: a command failed; carries what it said.
        """
        secret = password.reveal() if isinstance(password, Secret) else password
        self.mask.add(secret)
        wanted = users.WantedUser(
            name, state, uid, group, groups, only_groups, comment, home, shell, secret, system, create_home, remove_home
        )
        question = users.ask_user(name, password=bool(secret))
        result = await self._reach(f"user {name} {state}", question, partial(users.plan_user, wanted), "root")
        if not keys or state != "present":
            return result
        return await self._authorize(name, keys, result)

    async def _authorize(self, name: str, keys: Sequence[str], result: TaskResult) -> TaskResult:
        account = await self._ask(users.ask_user(name), "root")
        if not account.exists:  # a dry run has not made it
            return replace(result, difference=result.difference + "".join(f"+ key {key}\n" for key in keys))
        folder = f"{account.home}/.ssh"
        file = f"{folder}/authorized_keys"
        before = await self._ask(files.ask_file(file), "root")
        text = before.content.decode(errors="surrogateescape")
        for key in keys:
            text = lines.with_line(text, key)
        owned: dict[str, Any] = {"owner": name, "group": account.group}
        await self._reach_file(files.WantedFile(folder, "directory", mode=0o700, **owned), sudo=True)
        content = text.encode(errors="surrogateescape")
        done = await self._reach_file(files.WantedFile(file, content=content, mode=0o600, **owned), sudo=True)
        return replace(result, changed=result.changed or done.changed, difference=result.difference + done.difference)

    async def group(
        self, name: str, *, state: users.State = "present", gid: int | None = None, system: bool = False
    ) -> TaskResult:
        """Have a group there or gone.

        Raises:
            StateError: what is wanted makes no sense, or can't be done with the host's tools.
            RemoteFailed: a command failed; carries what it said.
        """
        planned = partial(users.plan_group, name, state=state, gid=gid, system=system)
        return await self._reach(f"group {name} {state}", users.ask_group(name), planned, "root")

    async def put(self, source: str | Path, path: str, *, sudo: bool | None = None) -> TaskResult:
        """Bring a file, or all that is below a directory, from here to a path of the host: only what differs.

        Modes are kept, checksums are compared, and what was cut off is continued; a file goes into a directory that is
        there. What is on the host besides stays.

        Raises:
            CommandFailed: the host can't write it (full disk, permissions).
            UsageError: it can't be read here.
        """
        from genii.fleet import transfer

        access = await self._access(sudo)
        order = await asyncio.to_thread(_order, str(source), path, access, dry_run=self.dry_run)
        return self._moved(f"put {source} to {path}", path, await transfer.put(self.connection, order))

    async def get(self, path: str, folder: str | Path, *, sudo: bool | None = None) -> TaskResult:
        """Fetch a file, or all that is below a directory, into a folder here: only what differs.

        Hosts that fetch the same need folders of their own: ``f"logs/{host.name}"``.

        Raises:
            CommandFailed: there is no such file, or it can't be read.
            UsageError: it can't be written here.
        """
        from genii.fleet import transfer

        order = transfer.Get(path, str(folder), await self._access(sudo), self.dry_run)
        return self._moved(f"get {path}", str(folder), await transfer.get(self.connection, order))

    async def _access(self, sudo: bool | None) -> Access:
        from genii.fleet.transfer import Access

        user = self._user(sudo)
        become = bool(user) and not (await self.system()).is_root
        password = self.settings.password.reveal() or None
        return Access(Command("", sudo=become, user=user if become else ""), password, self.settings.timeout)

    def _moved(self, what: str, place: str, moved: Moved) -> TaskResult:
        told = f"+ {moved.files} files ({format_size(moved.bytes)}) in {place}\n" if moved.files else ""
        result = self._result(what, wanted=True, changed=bool(moved.files), difference=told, planned=self.dry_run)
        return self._report(result)

    async def file(
        self,
        path: str,
        *,
        content: str | bytes | None = None,
        source: str | Path | None = None,
        state: files.State = "present",
        target: str = "",
        mode: int | None = None,
        owner: str = "",
        group: str = "",
        check: str = "",
        backup: bool = False,
        sudo: bool | None = None,
    ) -> TaskResult:
        """Have a file with some content (or that of ``source``, here), a directory, a link, or nothing at a path.

        It is replaced in one step and never half written. ``check`` must pass, or the old one stays: with ``{path}`` in
        it, it is given the new file beforehand (``visudo -cf {path}``); without, it judges the whole with the new file
        in place (``nginx -t``), and the old one is put back if it says no.

        Raises:
            CheckFailed: the check said no; all is as it was.
            StateError: what is wanted makes no sense, or something of another kind is there.
            RemoteFailed: a command failed, such as for a full disk; carries what it said.
        """
        if content is not None and source is not None:
            raise UsageError(f"{path}: give content or source, not both")
        if source is not None:
            content = await asyncio.to_thread(Path(source).read_bytes)
        data = content.encode() if isinstance(content, str) else content
        return await self._reach_file(
            files.WantedFile(path, state, data, target, mode, owner, group, check, backup), sudo=sudo
        )

    async def _reach_file(self, wanted: files.WantedFile, *, sudo: bool | None) -> TaskResult:
        question = files.ask_file(wanted.path, content=wanted.content is not None or wanted.state == "absent")
        what = f"file {wanted.path} {wanted.state}"
        return await self._reach(what, question, partial(files.plan_file, wanted), self._user(sudo))

    async def template(
        self,
        path: str,
        *,
        source: str | Path,
        mode: int | None = None,
        owner: str = "",
        group: str = "",
        check: str = "",
        backup: bool = False,
        sudo: bool | None = None,
        variables: Mapping[str, object] | None = None,
    ) -> TaskResult:
        """Have a file made from a jinja2 template; it knows ``host``, ``system``, the host's variables and those given.

        Raises:
            ConfigError: the template is wrong, or uses a name that it was not given.
            CheckFailed, StateError, RemoteFailed: as ``file``.
        """
        from genii.fleet.template import render

        known = {**self.variables, "host": self.name, "system": await self.system(), **(variables or {})}
        text = await asyncio.to_thread(render, str(source), known)
        return await self.file(
            path, content=text, mode=mode, owner=owner, group=group, check=check, backup=backup, sudo=sudo
        )

    async def line(
        self,
        path: str,
        line: str = "",
        *,
        matching: str = "",
        after: str = "",
        before: str = "",
        state: Literal["present", "absent"] = "present",
        check: str = "",
        backup: bool = False,
        sudo: bool | None = None,
    ) -> TaskResult:
        """Have a line in a file, in place of the one that ``matching`` finds; or have such lines gone.

        Raises:
            StateError: a pattern is wrong, or something else than a file is there.
            CheckFailed, RemoteFailed: as ``file``.
        """

        def planned(facts: files.File) -> Plan:
            text = facts.content.decode(errors="surrogateescape")
            if state == "absent":
                text = lines.without_line(text, line, matching=matching)
            else:
                text = lines.with_line(text, line, matching=matching, after=after, before=before)
            content = text.encode(errors="surrogateescape")
            if state == "absent" and not facts.kind:
                return files.plan_file(files.WantedFile(path, "absent"), facts)
            return files.plan_file(files.WantedFile(path, content=content, check=check, backup=backup), facts)

        return await self._reach(f"line in {path} {state}", files.ask_file(path), planned, self._user(sudo))

    async def git(
        self,
        repository: str,
        path: str,
        *,
        revision: str = "HEAD",
        force: bool = False,
        depth: int = 0,
        sudo: bool | None = None,
    ) -> TaskResult:
        """Have a branch, a tag or a commit of a repository checked out at a path.

        Raises:
            StateError: no such revision, something else is there, or it was changed by hand, which ``force`` undoes.
            RemoteFailed: git failed; carries what it said.
        """
        question = git.ask_checkout(repository, path, revision)
        planned = partial(git.plan_checkout, repository, path, revision, force=force, depth=depth)
        return await self._reach(f"git {repository} at {path}", question, planned, self._user(sudo))


def _order(source: str, path: str, access: Access, *, dry_run: bool) -> Put:
    from genii.fleet.transfer import Put
    from genii.fleet.tree import scan

    origin = os.path.abspath(source)
    return Put(origin, scan(origin), path, os.path.isdir(origin), access, dry_run)
