"""The folder of results: a file for each stream of each host, and one JSON line for each host.

``results.jsonl`` only grows: of several lines about one host the last one holds, so that a run that was interrupted, or
one of the failed hosts only, goes on in the same folder.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, BinaryIO

from genii.errors import UsageError

if TYPE_CHECKING:
    from genii.fleet.result import Result

__all__ = ["Report", "failed_hosts"]

_LINES = "results.jsonl"


class Report:
    """Write a folder of results."""

    def __init__(self, folder: str) -> None:
        """Make the folder where it is missing.

        Raises:
            UsageError: it can't be made or written to.
        """
        self._folder = folder
        try:
            os.makedirs(folder, mode=0o700, exist_ok=True)
            self._lines = open(os.path.join(folder, _LINES), "a", encoding="utf-8")  # noqa: SIM115 -- closed by close
        except OSError as error:
            raise UsageError(f"the results can't be written to {folder}: {error.strerror}") from error

    def streams(self, host: str) -> HostFiles:
        """Return the files of one host, empty at first."""
        return HostFiles(os.path.join(self._folder, host))

    def add(self, result: Result) -> None:
        """Note a result; it is on its way to the disk when this returns."""
        self._lines.write(json.dumps(result.row(texts=False), ensure_ascii=False) + "\n")
        self._lines.flush()

    def close(self) -> None:
        """Close the list."""
        self._lines.close()


class HostFiles:
    """The files of one host; one that stays empty is not left behind."""

    def __init__(self, base: str) -> None:
        self._files: dict[str, BinaryIO] = {}
        self._paths = {"out": f"{base}.out", "err": f"{base}.err"}
        for path in self._paths.values():
            if os.path.exists(path):  # of an earlier run
                os.unlink(path)

    def write(self, stream: str, data: bytes) -> None:
        """Append to ``out`` or ``err``."""
        if stream not in self._files:
            self._files[stream] = open(self._paths[stream], "wb", buffering=0)  # noqa: SIM115 -- closed by close
        self._files[stream].write(data)

    def close(self) -> None:
        """Close both."""
        for file in self._files.values():
            file.close()


def failed_hosts(folder: str) -> list[str]:
    """Return the hosts of a folder of results whose last result is not ok.

    Raises:
        UsageError: it is no such folder.
    """
    path = os.path.join(folder, _LINES)
    states: dict[str, str] = {}
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            for line in file:
                if not line.endswith("\n"):
                    break  # the last line of a run that was killed
                row = json.loads(line)
                states[row["host"]] = row["state"]
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}; --results DIR of an earlier run writes it") from None
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path} is not the list of an earlier run: {error}") from None
    return [host for host, state in states.items() if state != "ok"]
