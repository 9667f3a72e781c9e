"""What became of a command on one host, and on many. No I/O."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["Group", "Result", "State", "exit_code", "fold", "group_results", "too_many_failed"]

State = Literal["ok", "failed", "timeout", "unreachable", "cancelled", "skipped"]
_ORDER: tuple[State, ...] = ("ok", "failed", "timeout", "unreachable", "cancelled", "skipped")
_TIMED_OUT = 124


@dataclass(frozen=True, slots=True)
class Result:
    """The end of a command on a host: failures are results, too."""

    host: str
    state: State
    status: int | None = None
    """The exit status; 128 + N after signal N; None: there is none."""
    error: str = ""
    """Why there is no status."""
    seconds: float = 0.0
    output: str = ""
    """The beginning of its standard output."""
    errors: str = ""
    """The beginning of its standard error."""
    output_bytes: int = 0
    errors_bytes: int = 0
    digest: str = ""
    """A fingerprint of all of its output: the same for the same."""

    @property
    def ok(self) -> bool:
        """Whether it ended with 0."""
        return self.state == "ok"

    def row(self, *, texts: bool = True) -> dict[str, Any]:
        """Return the result for JSON; without ``texts`` only the sizes of its output."""
        found: dict[str, Any] = {
            "host": self.host, "state": self.state, "status": self.status, "error": self.error,
            "seconds": round(self.seconds, 3),
            "stdout_bytes": self.output_bytes, "stderr_bytes": self.errors_bytes,
        }  # fmt: skip
        return {**found, "stdout": self.output, "stderr": self.errors} if texts else found

    def reason(self) -> str:
        """Return in a few words why it is not ok."""
        if self.error:
            return self.error.removeprefix(f"{self.host}: ")
        last = next((line.strip() for line in reversed(self.errors.splitlines()) if line.strip()), "")
        return f"exit {self.status}" + (f": {last}" if last else "")


@dataclass(slots=True)
class Group:
    """Hosts with the same end and the same output."""

    state: State
    status: int | None
    first: Result
    hosts: list[str]


def group_results(results: Iterable[Result]) -> list[Group]:
    """Put hosts with identical results together: the good first, then the largest groups."""
    found: dict[tuple[object, ...], Group] = {}
    for result in results:
        key = (result.state, result.status, result.digest, result.error.removeprefix(f"{result.host}: "))
        if key in found:
            found[key].hosts.append(result.host)
            if not (found[key].first.output or found[key].first.errors):
                found[key].first = result
        else:
            found[key] = Group(result.state, result.status, result, [result.host])
    return sorted(found.values(), key=lambda group: (_ORDER.index(group.state), -len(group.hosts), group.hosts[0]))


def fold(names: Iterable[str]) -> str:
    """Write names shortly: ``web[001-003,007],db``."""
    series: dict[tuple[str, str], list[str]] = {}
    parts: list[str] = []
    for name in sorted(set(names)):
        match = re.fullmatch(r"(.*?)(\d+)(\D*)", name)
        if match is None:
            parts.append(name)
        else:
            series.setdefault((match[1], match[3]), []).append(match[2])
    for (head, tail), numbers in series.items():
        padded = {len(text) for text in numbers if text.startswith("0") and text != "0"}
        for width in sorted({len(text) if len(text) in padded else 0 for text in numbers}):
            some = [int(text) for text in numbers if (len(text) if len(text) in padded else 0) == width]
            parts.append(_folded(head, tail, width, sorted(some)))
    return ",".join(sorted(parts))


def _folded(head: str, tail: str, width: int, numbers: list[int]) -> str:
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    texts = [f"{run[0]:0{width}}" + (f"-{run[-1]:0{width}}" if len(run) > 1 else "") for run in runs]
    inner = ",".join(texts)
    return f"{head}{inner}{tail}" if len(numbers) == 1 else f"{head}[{inner}]{tail}"


def exit_code(results: Sequence[Result]) -> int:
    """Return the exit code of the whole: that of a single command, else 0 or 1."""
    if len(results) == 1:
        only = results[0]
        if only.state == "timeout":
            return _TIMED_OUT
        return only.status if only.status is not None else int(not only.ok)
    return 0 if all(result.ok for result in results) else 1


def too_many_failed(failed: int, total: int, allowed: str) -> bool:
    """Say whether more failed than ``allowed``: a number, or a percentage of all such as ``5%``.

    Raises:
        ValueError: it is neither.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(%?)", allowed.strip())
    if match is None or (match[2] and float(match[1]) > 100):
        raise ValueError(f"{allowed!r} is neither a number nor a percentage; write for example 3 or 5%")
    most = float(match[1]) * total / 100 if match[2] else float(match[1])
    return failed > most
