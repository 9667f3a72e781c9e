"""Where the files of a release come from: git, a directory, an archive, a wheel; each becomes a tar file.

Everything here blocks: the deployer runs it in a thread, while it connects to the hosts.
"""

from __future__ import annotations

import fcntl
import os
import re
import stat
import subprocess
import tarfile
from contextlib import contextmanager
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

import msgspec

from genii.deploy.package import Package, Shelf
from genii.errors import GeniiError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from genii.config.deploy import Origin
    from genii.deploy.tree import Item

__all__ = ["Fetched", "Source"]

_ADVICE = ("Please make sure", "and the repository exists", "fatal: Could not read from remote", "Cloning into")
_HEX = re.compile(r"[0-9a-f]{40}")


class Fetched(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be released: named, and ready to be sent."""

    revision: str
    branch: str
    time: int = 0
    package: Package | None = None
    """None: the hosts fetch it from git themselves."""
    warnings: tuple[str, ...] = ()


class Source:
    """The source of one deployment; ``folder`` keeps what makes the next time faster."""

    def __init__(self, origin: Origin, folder: str, branch: str = "") -> None:
        self._origin = origin
        self._branch = branch or origin.branch
        self._folder = folder
        self._shelf = Shelf(os.path.join(folder, "trees"))
        self._repository = ""
        self._running: subprocess.Popen[bytes] | None = None
        self._stopped = False

    def fetch(self) -> Fetched:
        """Bring the files here.

        Raises:
            GeniiError: there is no such branch, file or repository; the text says what there is.
        """
        if self._origin.kind == "git":
            return self._ask_remote() if self._origin.on_host else self._fetch_git()
        make = {"directory": self._pack_directory, "archive": self._pack_archive, "wheel": self._pack_wheel}
        return make[self._origin.kind]()

    def known(self, tree: str, revision: str) -> Mapping[str, Item] | None:
        """Return the files of a tree that a host has, from memory or from git; None: nothing is known of it here."""
        if not tree:
            return None
        found = self._shelf.index(tree)
        if found is None and self._repository and _HEX.fullmatch(revision):
            try:
                package = self._archive(revision)
            except GeniiError:
                return None
            return package.items if package.identity == tree else None
        return found

    def stop(self) -> None:
        """End ``fetch``, which another thread waits for."""
        self._stopped = True
        if self._running is not None:
            self._running.terminate()

    # -- git -----------------------------------------------------------------------------------------------------------

    def _git(self, *words: str) -> tuple[int, str, str]:
        # Into files, not pipes: those stay open as long as any helper of git's lives, and we would wait for it.
        environment = {**os.environ, "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
        with open(os.memfd_create("output"), "w+b") as output, open(os.memfd_create("errors"), "w+b") as errors:
            try:
                self._running = subprocess.Popen(
                    ["git", *words], stdin=subprocess.DEVNULL, stdout=output, stderr=errors, env=environment
                )
            except FileNotFoundError:
                raise GeniiError("git is not installed on this machine; install it, or deploy a directory") from None
            if self._stopped:
                self._running.terminate()
            status = self._running.wait()
            output.seek(0)
            errors.seek(0)
            return status, output.read().decode(errors="surrogateescape"), errors.read().decode(errors="replace")

    def _fetch_git(self) -> Fetched:
        where = self._origin.where.removeprefix("file://")
        if os.path.isdir(where):
            self._repository = where
            dirty, commit = self._dirty(where), self._commit()
        else:
            self._repository = os.path.join(self._folder, "repo.git")
            self._mirror()
            dirty, commit = (), self._commit()
        revision, time, branch = commit
        package = self._shelf.of_revision(revision) or self._archive(revision)
        return Fetched(revision=revision, branch=branch, time=time, package=package, warnings=dirty)

    def _dirty(self, where: str) -> tuple[str, ...]:
        if not os.path.exists(os.path.join(where, ".git")):
            return ()
        status, out, _ = self._git("-C", where, "status", "--porcelain")
        lines = out.splitlines()
        if status or not lines:
            return ()
        more = f" and {len(lines) - 3} more" if len(lines) > 3 else ""
        listed = ", ".join(line[3:] for line in lines[:3])
        return (f"{where} has changes that are not committed, and not deployed: {listed}{more}",)

    def _mirror(self) -> None:
        with _locked(os.path.join(self._folder, "repo.lock")):
            if not os.path.exists(os.path.join(self._repository, "HEAD")):
                words = ["clone", "-q", "--mirror", "--", self._origin.where, self._repository]
            else:
                self._git("-C", self._repository, "remote", "set-url", "origin", self._origin.where)
                words = ["-C", self._repository, "remote", "update", "--prune"]
            status, _, said = self._git(*words)
        if status:
            raise GeniiError(f"git can't fetch {self._origin.where}: {_last_lines(said)}")

    def _commit(self) -> tuple[str, int, str]:
        """Return the commit, its time, and the name of the branch."""
        words = ("log", "-1", "--format=%H %ct %D", f"{self._branch}^{{commit}}", "--")
        status, out, said = self._git("-C", self._repository, *words)
        if status:
            self._refuse_branch(said)
        revision, time, *names = out.strip().split(" ", 2)
        head = re.match(r"HEAD -> ([^,]+)", names[0] if names else "")
        return revision, int(time), head[1] if head and self._branch == "HEAD" else self._branch

    def _refuse_branch(self, said: str) -> None:
        status, out, _ = self._git(
            "-C", self._repository, "for-each-ref", "--format=%(refname:short)", "refs/heads", "refs/tags"
        )
        if status:
            raise GeniiError(f"{self._origin.where} is no git repository: {_last_lines(said)}")
        raise GeniiError(_no_branch(self._branch, self._origin.where, out.split()))

    def _archive(self, revision: str) -> Package:
        tar = self._shelf.temporary()
        words = ("-C", self._repository, "-c", "tar.umask=0022", "archive", "--format=tar", "-o", tar, revision)
        status, _, said = self._git(*words)
        if status:
            if os.path.exists(tar):
                os.unlink(tar)
            raise GeniiError(f"git can't pack {revision[:12]} of {self._origin.where}: {_last_lines(said)}")
        return self._shelf.put(tar, revision)

    def _ask_remote(self) -> Fetched:
        """Find the commit without fetching anything."""
        status, out, said = self._git("ls-remote", "--", self._origin.where)
        if status:
            raise GeniiError(f"git can't reach {self._origin.where}: {_last_lines(said)}")
        refs = {name: commit for commit, _, name in (line.partition("\t") for line in out.splitlines()) if name}
        branch = self._branch
        for name in (f"refs/heads/{branch}", f"refs/tags/{branch}^{{}}", f"refs/tags/{branch}", branch):
            if name in refs:
                return Fetched(revision=refs[name], branch=branch)
        if _HEX.fullmatch(branch):
            return Fetched(revision=branch, branch=branch)
        names = [name.split("/", 2)[2] for name in refs if name.count("/") >= 2]
        raise GeniiError(_no_branch(branch, self._origin.where, names))

    # -- files of this machine -----------------------------------------------------------------------------------------

    def _pack_directory(self) -> Fetched:
        where = self._origin.where
        if not os.path.isdir(where):
            raise GeniiError(f"there is no directory {where} to deploy; build it first")
        tar = self._shelf.temporary()
        with tarfile.open(tar, "w", format=tarfile.GNU_FORMAT) as file:
            for path, name in _walk(where, self._origin.exclude):
                _add(file, path, name)
        return self._put(tar)

    def _pack_wheel(self) -> Fetched:
        import glob

        found = sorted(glob.glob(self._origin.where))
        if len(found) != 1:
            said = f"match: {', '.join(map(os.path.basename, found))}; remove the old ones" if found else "is there"
            raise GeniiError(f"{len(found) or 'no'} wheel{'s' if found else ''} {self._origin.where} {said}")
        tar = self._shelf.temporary()
        with tarfile.open(tar, "w", format=tarfile.GNU_FORMAT) as file:
            _add(file, found[0], os.path.basename(found[0]))
        return self._put(tar, os.path.basename(found[0]))

    def _pack_archive(self) -> Fetched:
        where, tar = self._origin.where, self._shelf.temporary()
        try:
            if where.endswith(".zip"):
                _repack_zip(where, tar, self._origin.strip)
            else:
                _repack_tar(where, tar, self._origin.strip)
        except (tarfile.TarError, OSError, EOFError, ValueError) as error:
            raise GeniiError(f"the archive {where} can't be read: {error}") from error
        return self._put(tar)

    def _put(self, tar: str, name: str = "") -> Fetched:
        package = self._shelf.put(tar)
        return Fetched(revision=package.identity, branch=name or os.path.basename(self._origin.where), package=package)


def _no_branch(branch: str, where: str, names: Sequence[str]) -> str:
    close = get_close_matches(branch, names, n=1)
    there = f"did you mean {close[0]!r}?" if close else f"there are: {', '.join(names[:10]) or 'none'}"
    return f"there is no branch, tag or commit {branch!r} in {where} ({there})"


def _last_lines(text: str) -> str:
    """Return what git said last, without the advice that it gives whatever the reason was."""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith(_ADVICE)]
    return "; ".join(lines[-3:]) or "git said nothing"


@contextmanager
def _locked(path: str) -> Iterator[None]:
    """Keep a second deployment of this machine out of the mirror while it is fetched."""
    with open(path, "a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _walk(root: str, exclude: Sequence[str]) -> Iterator[tuple[str, str]]:
    for folder, folders, files in os.walk(root):
        inside = os.path.relpath(folder, root)
        prefix = "" if inside == "." else f"{inside}/"
        folders[:] = sorted(name for name in folders if not _excluded(prefix + name, exclude))
        for name in sorted([*folders, *files]):
            if not _excluded(prefix + name, exclude):
                yield os.path.join(folder, name), prefix + name


def _excluded(path: str, patterns: Sequence[str]) -> bool:
    name = path.rpartition("/")[2]
    return any(fnmatchcase(name, pattern) or fnmatchcase(path, pattern) for pattern in patterns)


def _add(tar: tarfile.TarFile, path: str, name: str) -> None:
    """Add a file with nobody's name and one of two modes; sockets and the like are left out."""
    status = os.lstat(path)
    info = tarfile.TarInfo(name)
    info.mtime = int(status.st_mtime)
    if stat.S_ISLNK(status.st_mode):
        info.type, info.linkname, info.mode = tarfile.SYMTYPE, os.readlink(path), 0o777
        tar.addfile(info)
    elif stat.S_ISDIR(status.st_mode):
        info.type, info.mode = tarfile.DIRTYPE, 0o755
        tar.addfile(info)
    elif stat.S_ISREG(status.st_mode):
        info.mode = 0o755 if status.st_mode & 0o111 else 0o644
        with open(path, "rb") as file:
            info.size = os.fstat(file.fileno()).st_size
            tar.addfile(info, file)


def _stripped(name: str, strip: int) -> str:
    return "/".join([part for part in name.split("/") if part not in ("", ".")][strip:])


def _repack_tar(where: str, tar: str, strip: int) -> None:
    with tarfile.open(where) as old, tarfile.open(tar, "w", format=tarfile.GNU_FORMAT) as new:
        for member in old:
            name = _stripped(member.name, strip) if not member.name.startswith("/") else member.name
            if not name:
                continue
            info = tarfile.TarInfo(name)
            info.mtime = member.mtime
            info.mode = 0o755 if member.mode & 0o111 or member.isdir() else 0o644
            info.type, info.linkname = member.type, member.linkname
            if member.islnk():  # a second name of a file: parts of the archive travel alone, so it becomes a file
                info.type, info.linkname = tarfile.REGTYPE, ""
            if info.isreg():
                content = old.extractfile(member)
                info.size = old.getmember(member.linkname).size if member.islnk() else member.size
                new.addfile(info, content)
            else:
                new.addfile(info)


def _repack_zip(where: str, tar: str, strip: int) -> None:
    import io
    import zipfile

    try:
        with zipfile.ZipFile(where) as old, tarfile.open(tar, "w", format=tarfile.GNU_FORMAT) as new:
            for member in old.infolist():
                name = _stripped(member.filename, strip) if not member.filename.startswith("/") else member.filename
                if not name:
                    continue
                info, mode = tarfile.TarInfo(name), member.external_attr >> 16
                data = b"" if member.is_dir() else old.read(member)
                info.type = tarfile.DIRTYPE if member.is_dir() else tarfile.REGTYPE
                info.mode = 0o755 if mode & 0o111 or member.is_dir() else 0o644
                if stat.S_ISLNK(mode):
                    info.type, info.linkname, data = tarfile.SYMTYPE, data.decode(), b""
                info.size = len(data)
                new.addfile(info, io.BytesIO(data))
    except zipfile.BadZipFile as error:
        raise ValueError(str(error)) from error
