"""A checkout of a git repository on a host. No I/O."""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass
from shlex import quote

from genii.fleet.state.plan import Plan, Question, StateError, Step, fields, one_line

__all__ = ["Checkout", "ask_checkout", "plan_checkout"]

_COMMIT = re.compile(r"[0-9a-f]{40}")
_QUIET = "GIT_TERMINAL_PROMPT=0 git -c advice.detachedHead=false"


@dataclass(frozen=True, slots=True)
class Checkout:
    """What is at a path, and what the repository has."""

    exists: bool = False
    """Whether something is there at all."""
    commit: str = ""
    """What is checked out; empty: it is no repository, or an empty one."""
    url: str = ""
    dirty: bool = False
    """Whether files that git knows were changed there."""
    wanted: str = ""
    """The commit that the revision stands for in the repository now; empty: there is no such branch or tag."""
    tool: bool = True
    problem: str = ""
    """What git said when it could not read the repository."""


def ask_checkout(repository: str, path: str, revision: str) -> Question[Checkout]:
    """Return the question what is checked out at a path, and what should be.

    Raises:
        StateError: a path that is not absolute, or a revision that is an option.
    """
    one_line("repository", repository)
    if not posixpath.isabs(path):
        raise StateError(f"{path!r} is no absolute path")
    if repository.startswith("-") or one_line("revision", revision).startswith("-"):
        raise StateError(f"{repository!r}, {revision!r}: neither a repository nor a revision begins with '-'")
    here, there, what = quote(path), quote(repository), quote(revision)
    script = f"""command -v git >/dev/null || exit 0
echo tool=1
if [ -e {here} ] && {{ [ ! -d {here} ] || [ -n "$(ls -A {here})" ]; }}; then
  echo exists=1
  if [ -e {here}/.git ]; then
    echo commit="$(git -C {here} rev-parse -q --verify HEAD 2>/dev/null)"
    echo url="$(git -C {here} config --get remote.origin.url)"
    [ -z "$(git -C {here} status --porcelain -uno 2>/dev/null)" ] || echo dirty=1
  fi
fi
said=$({_QUIET} ls-remote -- {there} {what} {what}'^{{}}' 2>&1) || {{
  echo problem="$(echo "$said" | tail -n 1)"; exit 0
}}
echo "$said" | while IFS='	' read -r commit name; do case $name in
  refs/tags/{what}'^{{}}') echo tag="$commit" ;; refs/tags/{what}) echo object="$commit" ;;
  refs/heads/{what}) echo branch="$commit" ;; HEAD) echo head="$commit" ;;
esac; done"""
    return Question(script, lambda answer: _read(answer, revision))


def _read(answer: bytes, revision: str) -> Checkout:
    said = fields(answer)
    found = said.get("branch") or said.get("tag") or said.get("object")
    if not found and revision == "HEAD":
        found = said.get("head")
    if not found and _COMMIT.fullmatch(revision):
        found = revision
    return Checkout(
        exists="exists" in said,
        commit=said.get("commit", ""),
        url=said.get("url", ""),
        dirty="dirty" in said,
        wanted=found or "",
        tool="tool" in said,
        problem=said.get("problem", ""),
    )


def plan_checkout(
    repository: str, path: str, revision: str, facts: Checkout, *, force: bool = False, depth: int = 0
) -> Plan:
    """Return what puts a revision of a repository at a path.

    ``force`` throws away what was changed there by hand. ``depth`` fetches only so many commits.

    Raises:
        StateError: git or the revision is not there, something else is at the path, or it was changed by hand.
    """
    _examine(repository, path, revision, facts, force=force)
    if facts.commit == facts.wanted and facts.url == repository and not facts.dirty:
        return Plan()
    here = quote(path)
    steps = []
    if not facts.url:
        steps.append(f"git init -q -- {here} && git -C {here} remote add origin {quote(repository)}")
    elif facts.url != repository:
        steps.append(f"git -C {here} remote set-url origin {quote(repository)}")
    if facts.commit != facts.wanted:
        shallow = f"--depth {depth} " if depth else ""
        fetch = f"{_QUIET} -C {here} fetch -q --tags --force"
        # Not every server gives out a commit by its number alone.
        other = f" || {fetch} -- origin" if _COMMIT.fullmatch(revision) else ""
        steps.append(f"{fetch} {shallow}-- origin {quote(revision)}{other}")
    steps.append(f"{_QUIET} -C {here} checkout -q --force --detach {facts.wanted}")
    told = f"- {path} at {facts.commit or 'nothing'}\n+ {path} at {facts.wanted} ({revision})\n"
    return Plan(tuple(Step(step) for step in steps), told)


def _examine(repository: str, path: str, revision: str, facts: Checkout, *, force: bool) -> None:
    if not facts.tool:
        raise StateError("git is not installed on the host; add host.package('git') before")
    if facts.problem:
        raise StateError(f"the host can't read {repository}: {facts.problem}")
    if not facts.wanted:
        raise StateError(f"{repository} has no branch or tag {revision!r}; a commit is named by all its 40 digits")
    if facts.exists and not facts.url:
        raise StateError(f"{path} is there already and is no checkout; remove it first, with state='absent'")
    if facts.dirty and not force:
        raise StateError(f"files in {path} were changed by hand; save them, or throw the changes away with force=True")
