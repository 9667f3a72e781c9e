"""Salt's own client, kept open and spoken to in lines of JSON; run by the Python that Salt is installed for.

It imports nothing of genii, and Salt not before it runs. Each line on standard input asks for one function on one
minion: ``{"id": 1, "minion": "web1", "function": "test.ping", "arguments": [], "keywords": {}}``; each line on standard
output answers one: ``{"id": 1, "return": true}`` or ``{"id": 1, "error": "..."}``. Questions that arrive together and
differ only in their minions become one job. What a minion returns is taken from the master's event bus; one that does
not return is asked by ``saltutil.find_job`` whether it is still at it, as Salt's command line does.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
import time
from typing import Any

__all__ = ["Bridge", "main"]

_PATIENCE = 10.0
"""Seconds between two looks at jobs that have not returned."""
_MISSED = 3
"""So many looks in a row without an answer, and the minion is given up."""
_TRIMMED = "VALUE_TRIMMED"


class _Waiting:
    """A minion's share of a job."""

    def __init__(self, number: int, probe: bool, now: float) -> None:
        self.number = number
        """Of the question."""
        self.is_probe = probe
        self.looked = now
        self.missed = 0


class Bridge:
    """Questions on their way to minions, and what becomes of them."""

    def __init__(self, client: Any, answer: Any) -> None:
        self._client = client
        self._answer = answer
        self._jobs: dict[tuple[str, str], _Waiting] = {}
        """By the job and the minion."""
        self._probes: dict[tuple[str, str], tuple[str, str]] = {}
        """What a probe is about."""

    def ask(self, questions: list[dict[str, Any]], now: float) -> None:
        """Publish questions, those that are alike as one job."""
        alike: dict[str, list[dict[str, Any]]] = {}
        for question in questions:
            key = json.dumps([question["function"], question["arguments"], question["keywords"]])
            alike.setdefault(key, []).append(question)
        for group in alike.values():
            self._publish(group, now)

    def _publish(self, group: list[dict[str, Any]], now: float) -> None:
        minions = sorted({question["minion"] for question in group})
        jid, known, error = self._run(minions, group[0]["function"], group[0]["arguments"], group[0]["keywords"])
        for question in group:
            if error or question["minion"] not in known:
                self._answer({"id": question["id"], "error": error or "the Salt master has no minion of this name"})
            else:
                self._jobs[jid, question["minion"]] = _Waiting(question["id"], False, now)

    def _run(self, minions: list[str], function: str, arguments: list[Any], keywords: dict[str, Any]) -> Any:
        try:
            found = self._client.run_job(
                minions, function, arguments, tgt_type="list", kwarg=keywords or None, listen=False
            )
        except Exception as error:
            return "", [], str(error).strip() or type(error).__name__
        return found.get("jid", ""), found.get("minions", []), ""

    def event(self, data: dict[str, Any]) -> None:
        """Take what a minion returned."""
        key = (str(data.get("jid")), str(data.get("id")))
        waiting = self._jobs.pop(key, None)
        if waiting is None:
            return
        about = self._probes.pop(key, None)
        if about is not None:
            self._probed(about, data.get("return"))
        elif data.get("return") == _TRIMMED:
            self._answer({"id": waiting.number, "error": "the master has cut the answer (max_event_size)"})
        else:
            self._answer({"id": waiting.number, "return": data.get("return")})

    def _probed(self, about: tuple[str, str], found: Any) -> None:
        """Learn whether a job is still running: the minion answers with what it knows of it, or with nothing."""
        asked = self._jobs.get(about)
        if asked is not None and isinstance(found, dict) and found.get("jid"):
            asked.missed = 0

    def look(self, now: float) -> None:
        """Ask the minions of jobs that have not returned for long; give up those that know nothing or are silent."""
        late: dict[str, list[str]] = {}
        for key, waiting in list(self._jobs.items()):
            if now - waiting.looked < _PATIENCE:
                continue
            if waiting.is_probe:  # a minion with much to do answers late, which is an answer
                if now - waiting.looked >= _PATIENCE * (_MISSED + 1):
                    del self._jobs[key], self._probes[key]
            elif waiting.missed >= _MISSED:
                del self._jobs[key]
                self._answer({"id": waiting.number, "error": "the minion has stopped answering"})
            else:
                waiting.looked = now
                waiting.missed += 1
                late.setdefault(key[0], []).append(key[1])
        for jid, minions in late.items():
            probe, known, _ = self._run(minions, "saltutil.find_job", [jid], {})
            for minion in known:
                self._jobs[probe, minion] = _Waiting(0, True, now)
                self._probes[probe, minion] = (jid, minion)


def _read(source: Any, inbox: queue.Queue[Any]) -> None:
    for line in source:
        inbox.put(("ask", json.loads(line)))
    inbox.put(("end", None))


def _listen(options: Any, inbox: queue.Queue[Any]) -> None:
    import salt.utils.event

    bus = salt.utils.event.get_event("master", opts=options, listen=True)
    inbox.put(("ready" if bus.connect_pub(timeout=5) else "deaf", None))
    while True:
        event = bus.get_event(wait=3600, tag="salt/job", full=True, match_type="startswith")
        if event and "/ret/" in event["tag"]:
            inbox.put(("event", event["data"]))


def _serve(bridge: Bridge, inbox: queue.Queue[Any]) -> None:
    """Do what comes until there is nobody to do it for."""
    while True:
        items = []
        try:
            items.append(inbox.get(timeout=1.0))
            while True:
                items.append(inbox.get_nowait())
        except queue.Empty:
            pass
        for kind, data in items:
            if kind == "event":
                bridge.event(data)
        bridge.ask([data for kind, data in items if kind == "ask"], time.monotonic())
        bridge.look(time.monotonic())
        if any(kind == "end" for kind, _ in items):
            return


def main() -> None:
    """Serve until standard input ends; the one argument is the master's configuration file."""
    # Salt prints to standard output what it has to say; that is kept for answers.
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def answer(row: dict[str, Any]) -> None:
        out.write(json.dumps(row, default=str) + "\n")
        out.flush()

    try:
        import salt.client
        import salt.config

        options = salt.config.client_config(sys.argv[1])
        client = salt.client.LocalClient(mopts=options)
    except Exception as error:
        answer({"error": f"{type(error).__name__}: {error}"})
        os._exit(1)
    inbox: queue.Queue[Any] = queue.Queue()
    threading.Thread(target=_listen, args=(options, inbox), daemon=True).start()
    if inbox.get()[0] != "ready":
        answer({"error": "the event bus of the Salt master can't be reached: is it running, and on this machine?"})
        os._exit(1)
    threading.Thread(target=_read, args=(sys.stdin, inbox), daemon=True).start()
    answer({"ready": True})
    _serve(Bridge(client, answer), inbox)
    os._exit(0)  # Salt's own threads would keep us waiting


if __name__ == "__main__":
    main()
