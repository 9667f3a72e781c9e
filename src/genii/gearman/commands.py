"""The text protocol for administrators: a line in, an answer out. No I/O.

The answers are gearmand 1.1's byte for byte, but that functions are sorted by name. ``shutdown``, which gearmand
had until anybody could stop the server with it, is obeyed from this machine only. ``peek LIMIT [FUNCTION]`` is ours: it
lists jobs in the order in which they would be served (handle, state, priority, retries, background, time, size,
unique id, beginning of the payload; TAB between them). ``figures``, ours too, tells what became of the jobs of each
function (name, completed, failed, median and 95th percentile of the seconds that the last completed ones took).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from genii.gearman.job import State
from genii.gearman.protocol import HIGH, LOW, NORMAL

if TYPE_CHECKING:
    from collections.abc import Callable

    from genii.gearman.broker import Broker
    from genii.gearman.job import Job
    from genii.gearman.jobs import Peer

__all__ = ["answer"]

_OK = b"OK\r\n"
_END = b".\n"


def answer(broker: Broker, peer: Peer, line: bytes) -> bytes:
    """Carry out one line, which came without its end, and return the answer."""
    words = line.split(b" ")
    words = words[:1] + [word for word in words[1:] if word]
    command = _COMMANDS.get(words[0].lower())
    if command is None or len(words) < _WORDS.get(words[0].lower(), 1):
        return b"ERR UNKNOWN_COMMAND Unknown+server+command" + words[0] + b"\r\n"
    return command(broker, peer, words[1:])


def _status(broker: Broker, _peer: Peer, _words: list[bytes]) -> bytes:
    rows = [
        b"%b\t%d\t%d\t%d\n" % (name, function.total, function.running, function.workers)
        for name, function in sorted(broker.functions.items())
    ]
    return b"".join(rows) + _END


def _priority_status(broker: Broker, _peer: Peer, _words: list[bytes]) -> bytes:
    rows = []
    for name, function in sorted(broker.functions.items()):
        high, normal, low = (sum(job.state == 2 for job in function.queues[level]) for level in (HIGH, NORMAL, LOW))
        rows.append(b"%b\t%d\t%d\t%d\t%d\n" % (name, high, normal, low, function.workers))
    return b"".join(rows) + _END


def _workers(broker: Broker, _peer: Peer, _words: list[bytes]) -> bytes:
    rows = [
        b"%d %b %b :%b\n"
        % (
            peer.descriptor,
            peer.address.encode() or b"-",
            peer.client_id,
            b"".join(b" " + function.name for function in peer.order),
        )
        for peer in broker.peers
    ]
    return b"".join(rows) + _END


def _show(broker: Broker, _peer: Peer, words: list[bytes]) -> bytes:
    what = [word.lower() for word in words]
    if what == [b"jobs"]:
        rows = [b"%b\t%d\t0\t%d\n" % (job.handle, job.retries, job.background) for job in broker.jobs.values()]
    elif what == [b"unique", b"jobs"]:
        rows = [job.unique + b"\n" for job in broker.jobs.values()]
    else:
        return b"ERR UNKNOWN_SHOW_ARGUMENTS\r\n"
    return b"".join(rows) + _END


def _peek(broker: Broker, _peer: Peer, words: list[bytes]) -> bytes:
    if not words or not words[0].isdigit() or len(words) > 2:
        return _incomplete(b"peek")
    function = broker.functions.get(words[1]) if len(words) == 2 else None
    jobs = [job for job in broker.jobs.values() if len(words) == 1 or job.function is function]
    jobs.sort(key=lambda job: (-job.state if job.state >= State.QUEUED else 0, job.priority))
    rows = [_describe(job) for job in jobs[: int(words[0]) or None]]
    return b"".join(rows) + _END


def _describe(job: Job) -> bytes:
    columns = (
        State(job.state).name.lower(),
        ("high", "normal", "low")[job.priority],
        str(job.retries),
        str(int(job.background)),
        str(job.when),
        str(len(job.payload)),
        _shown(job.unique),
        _shown(job.payload[:60]),
    )
    return job.handle + b"\t" + "\t".join(columns).encode() + b"\n"


def _shown(data: bytes) -> str:
    """Write bytes in one line, without anything that a terminal or this protocol would take for its own."""
    text = data.decode("utf-8", "backslashreplace")
    return "".join(character if character.isprintable() else repr(character)[1:-1] for character in text)


def _figures(broker: Broker, _peer: Peer, _words: list[bytes]) -> bytes:
    rows = []
    for name, function in sorted(broker.functions.items()):
        times = sorted(function.times) or [0.0]
        median, late = times[len(times) // 2], times[int(len(times) * 0.95)]
        rows.append(b"%b\t%d\t%d\t%.6f\t%.6f\n" % (name, function.completed, function.failed, median, late))
    return b"".join(rows) + _END


def _cancel(broker: Broker, _peer: Peer, words: list[bytes]) -> bytes:
    if len(words) != 2 or words[0].lower() != b"job":
        return b"ERR UNKNOWN_ERROR\r\n"
    job = broker.jobs.get(words[1])
    if job is None:
        return b"ERR UNKNOWN_JOB\r\n"
    broker.cancel(job)
    return _OK


def _maxqueue(broker: Broker, _peer: Peer, words: list[bytes]) -> bytes:
    if not words:
        return _incomplete(b"maxqueue")
    try:
        limits = [int(word) for word in words[1:4]]
    except ValueError:
        return _incomplete(b"maxqueue")
    function = broker.functions.get(words[0])
    if function is not None:
        if len(limits) == 1:
            limits *= 3
        high, normal, low = (max(0, limit) for limit in (*limits, 0, 0, 0)[:3])
        function.limits = (high, normal, low) if high or normal or low else None
        function.guarded = function.guarded or function.limits is not None
    return _OK


def _create(broker: Broker, _peer: Peer, words: list[bytes]) -> bytes:
    if len(words) != 2 or words[0].lower() != b"function":
        return _incomplete(b"create")
    broker.function(words[1])
    return _OK


def _drop(broker: Broker, _peer: Peer, words: list[bytes]) -> bytes:
    if len(words) != 2 or words[0].lower() != b"function":
        return _incomplete(b"drop")
    function = broker.functions.get(words[1])
    if function is None:
        return b"ERR function not found\r\n"
    if not broker.drop_function(function):
        return b"ERR there are still connected workers or executing clients\r\n"
    return _OK


def _getpid(broker: Broker, _peer: Peer, _words: list[bytes]) -> bytes:
    return b"OK %d\n" % broker.settings.pid


def _version(broker: Broker, _peer: Peer, _words: list[bytes]) -> bytes:
    return b"OK " + broker.settings.version.encode() + b"\n"


def _verbose(broker: Broker, _peer: Peer, _words: list[bytes]) -> bytes:
    return b"OK " + broker.settings.verbosity.encode() + b"\n"


def _shutdown(broker: Broker, peer: Peer, words: list[bytes]) -> bytes:
    if not peer.local:
        return b"ERR NOT_ALLOWED The+server+can+be+stopped+only+from+its+own+machine\r\n"
    if words and words[0].lower() != b"graceful":
        return b"ERR INVALID_ARGUMENTS shutdown+takes+only+the+word+graceful\r\n"
    broker.stopping = "graceful" if words else "now"
    return _OK


def _incomplete(command: bytes) -> bytes:
    return b"ERR INVALID_ARGUMENTS An+incomplete+set+of+arguments+was+sent+to+this+command+" + command + b"\r\n"


_WORDS = {b"show": 2, b"cancel": 3}
"""Commands that are not known with fewer words."""
_COMMANDS: dict[bytes, Callable[[Broker, Peer, list[bytes]], bytes]] = {
    b"status": _status,
    b"prioritystatus": _priority_status,
    b"workers": _workers,
    b"show": _show,
    b"peek": _peek,
    b"figures": _figures,
    b"cancel": _cancel,
    b"maxqueue": _maxqueue,
    b"create": _create,
    b"drop": _drop,
    b"getpid": _getpid,
    b"version": _version,
    b"verbose": _verbose,
    b"shutdown": _shutdown,
}
