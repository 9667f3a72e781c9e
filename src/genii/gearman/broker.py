"""The job server without its sockets: bytes of a connection and the time in, bytes for connections out. No I/O.

The shell gives each connection a ``Peer``, hands over what arrives with ``receive``, and sends what it finds in
``peer.out`` of all peers in ``dirty``. Background jobs of a durable server are acknowledged and queued only
when the shell has told that their batch of journal records was written (see ``ledger``).

Where gearmand 1.1 and the PROTOCOL text differ, gearmand is followed. On purpose different: priorities hold across the
functions of a worker (as in gearmand 2), a job wakes one worker and another one if that does not come, a worker that
asks between two jobs is told a moment later that there is none, jobs of a vanished worker go back to the front, an
abandoned or cancelled job is gone at once, a background submit keeps a job that foreground clients share.
"""

from __future__ import annotations

from heapq import heappush
from struct import Struct
from typing import TYPE_CHECKING

from genii.gearman import commands
from genii.gearman.job import Job, State
from genii.gearman.jobs import MAX_FUNCTION
from genii.gearman.protocol import HEADER, HEADER_SIZE, HIGH, LOW, MAX_UNIQUE, NORMAL, REQUEST, RESPONSE, Kind
from genii.gearman.protocol import response as encode
from genii.gearman.queues import Queues
from genii.gearman.schedule import next_time

if TYPE_CHECKING:
    from collections.abc import Callable

    from genii.gearman.jobs import Function, Peer
    from genii.gearman.settings import Settings

__all__ = ["Broker"]

MAX_LINE = 8192
"""The longest line of the text protocol, in bytes."""
_UNPACK = Struct(">QI").unpack_from
"""A header as two numbers: its magic and type together, which take one look-up, and the size."""
_PACK = HEADER.pack
_REQUEST = int.from_bytes(REQUEST, "big") << 32
_SUBMITS = {
    _REQUEST + Kind.SUBMIT_JOB: (NORMAL, False),
    _REQUEST + Kind.SUBMIT_JOB_BG: (NORMAL, True),
    _REQUEST + Kind.SUBMIT_JOB_HIGH: (HIGH, False),
    _REQUEST + Kind.SUBMIT_JOB_HIGH_BG: (HIGH, True),
    _REQUEST + Kind.SUBMIT_JOB_LOW: (LOW, False),
    _REQUEST + Kind.SUBMIT_JOB_LOW_BG: (LOW, True),
}
_GRAB = _REQUEST + Kind.GRAB_JOB
_GRAB_ALL = _REQUEST + Kind.GRAB_JOB_ALL
_REDUCE_BACKGROUND = _REQUEST + Kind.SUBMIT_REDUCE_JOB_BACKGROUND
_CREATED = Kind.JOB_CREATED.value
_ASSIGN = Kind.JOB_ASSIGN.value
_ASSIGN_UNIQ = Kind.JOB_ASSIGN_UNIQ.value
_ASSIGN_ALL = Kind.JOB_ASSIGN_ALL.value
_COMMITTING, _SCHEDULED, _QUEUED, _RUNNING, _GONE = (state.value for state in State)


class Broker(Queues):
    """Take requests in, and act on them: the binary protocol here, lines of the text protocol in ``commands``."""

    def __init__(self, settings: Settings | None = None) -> None:
        super().__init__(settings)
        self._durable = self.settings.durable
        self._max_body = self.settings.max_body
        self._created = [HEADER.pack(RESPONSE, _CREATED, len(self._prefix) + n) + self._prefix for n in range(21)]
        """How JOB_CREATED begins, by the number of digits that follow."""
        self._handlers = self._table()

    # -- framing -----------------------------------------------------------------------------------------------------

    def receive(self, peer: Peer, data: bytes, now: float) -> None:
        """Take bytes that arrived on a connection, at ``now`` monotonic seconds, and act on whole packets and lines."""
        self._now = now
        if peer.asked:
            self._refuse(peer)  # it does not wait for the answer
        if peer.rest:
            peer.rest.append(data)
            peer.rest_size += len(data)
            if peer.rest_size < peer.need:
                return
            data = b"".join(peer.rest)
            peer.rest = []
        position, end, need = 0, len(data), 1
        handlers, unpack, max_body = self._handlers, _UNPACK, self._max_body
        while position < end and not peer.closing:
            start = position + 12
            if start <= end:
                code, size = unpack(data, position)
                stop = start + size
                handler = handlers.get(code)
                if handler is not None and stop <= end and size <= max_body:
                    handler(peer, code, data, start, stop)
                    position = stop
                    continue
            step = self._unusual(peer, data, position)
            if step < 0:
                need = -step
                break
            position += step
        if position < end and not peer.closing:
            self._keep(peer, data[position:], need)
        if (peer.out or peer.closing) and not peer.dirty:
            peer.dirty = True
            self.dirty.append(peer)

    def _keep(self, peer: Peer, rest: bytes, need: int) -> None:
        if rest[0] and len(rest) > MAX_LINE:
            self._close(peer)
            return
        peer.rest = [rest]
        peer.rest_size = len(rest)
        peer.need = need

    def _unusual(self, peer: Peer, data: bytes, position: int) -> int:
        """Deal with what is no whole request: a line, a part of either, or garbage.

        Returns how many bytes were dealt with, or, negative, how many there must be to go on.
        """
        have = len(data) - position
        if data[position]:
            length = data.find(b"\n", position) - position + 1
            if length <= 0:
                return -have - 1
            self._line(peer, data[position : position + length - 1])
            return length
        if have < 12:
            return -12
        magic: bytes
        kind: int
        size: int
        magic, kind, size = HEADER.unpack_from(data, position)
        if magic not in (REQUEST, RESPONSE) or not 0 < kind < 43:
            self._close(peer)
        elif size > self.settings.max_body:
            limit = f"A packet of {size} bytes is larger than the {self.settings.max_body} that this server takes"
            self._error(peer, b"ARGUMENT_TOO_LARGE", limit.encode())
            self._close(peer)
        elif have < 12 + size:
            return -12 - size
        else:
            self._error(peer, b"INVALID_MAGIC", b"Request magic expected")
        return min(have, 12 + size)

    def _line(self, peer: Peer, line: bytes) -> None:
        peer.emit(commands.answer(self, peer, line.removesuffix(b"\r")))

    def _close(self, peer: Peer) -> None:
        peer.closing = True
        self.touch(peer)

    def _error(self, peer: Peer, code: bytes, text: bytes) -> None:
        self._send(peer, encode(Kind.ERROR, code, text))

    def _malformed(self, peer: Peer, code: int) -> None:
        self._error(peer, b"INVALID_PACKET", b"Too few arguments in " + Kind(code - _REQUEST).name.encode())

    # -- submitting --------------------------------------------------------------------------------------------------

    def _submit(self, peer: Peer, code: int, data: bytes, start: int, stop: int) -> None:
        try:
            name, unique, payload = data[start:stop].split(b"\0", 2)
        except ValueError:
            self._malformed(peer, code)
            return
        priority, background = _SUBMITS[code]
        packet = data[start - HEADER_SIZE : stop] if background and self._durable else b""
        self._accept(peer, name, unique, payload, priority, background, packet)

    def _accept(  # one argument per field of a packet
        self,
        peer: Peer,
        name: bytes,
        unique: bytes,
        payload: bytes,
        priority: int,
        background: bool,
        packet: bytes = b"",
        reducer: bytes = b"",
        when: int = 0,
    ) -> None:
        function = self.functions.get(name) or self.function(name)
        key: bytes | tuple[bytes, bytes] = b""
        if unique:
            key = unique if unique != b"-" else (unique, payload) if payload else b""
            same = function.by_unique.get(key) if key else None
            if same is not None:
                self._coalesce(peer, same, background)
                return
        if (function.guarded or len(unique) > MAX_UNIQUE) and not self._acceptable(peer, function, unique, priority):
            return
        self._counter = number = self._counter + 1
        digits = str(number).encode()
        handle = self._prefix + digits
        durable = background and self._durable
        if durable:
            job = Job(handle, function, unique, payload, priority, True, _COMMITTING, (), None, number)
        elif background:
            job = Job(handle, function, unique, payload, priority, True, _QUEUED)
        else:
            job = Job(handle, function, unique, payload, priority, False, _QUEUED, (peer,))
            peer.listening[handle] = job
        if reducer or when:
            job.reducer = reducer
            job.when = when
        self.jobs[handle] = job
        if key:
            function.by_unique[key] = job
        if durable:
            function.waiting += 1
            self.ledger.persist(peer, job, packet, self._created[len(digits)] + digits)
            return
        peer.emit(self._created[len(digits)] + digits)
        if when:
            self.admit(job)
            return
        function.queues[priority].append(job)
        function.queued += 1
        if function.sleepers:
            if background:
                self.touch(peer)  # it waits for this answer only, so it gets it before the worker gets the job
            self._wake(function)

    def _acceptable(self, peer: Peer, function: Function, unique: bytes, priority: int) -> bool:
        if len(unique) > MAX_UNIQUE:
            self._error(peer, b"ARGUMENT_TOO_LARGE", b"Unique value too large")
        elif len(function.name) > MAX_FUNCTION:
            self._error(peer, b"ARGUMENT_TOO_LARGE", b"Function name too large")
        elif function.limits is not None and 0 < function.limits[priority] <= function.total:
            self.refused_jobs += 1
            self._error(peer, b"QUEUE_ERROR", b"Job queue is full")
        else:
            return True
        return False

    def _coalesce(self, peer: Peer, job: Job, background: bool) -> None:
        """Let a submit join a job that is there already."""
        if background:
            job.background = True
            if self._durable and job.segment < 0:
                job.number = int(job.handle.rpartition(b":")[2])
                self.ledger.persist(peer, job, b"", encode(Kind.JOB_CREATED, job.handle))
                return
        else:
            # a connection that asks twice is answered twice
            job.listeners = (*job.listeners, peer)
            peer.listening[job.handle] = job
        peer.emit(encode(Kind.JOB_CREATED, job.handle))

    def _submit_epoch(self, peer: Peer, code: int, data: bytes, start: int, stop: int) -> None:
        parts = data[start:stop].split(b"\0", 3)
        if len(parts) != 4:
            self._malformed(peer, code)
            return
        name, unique, when, payload = parts
        self._accept(peer, name, unique, payload, NORMAL, True, when=min(_integer(when), (1 << 62)))

    def _submit_scheduled(self, peer: Peer, code: int, data: bytes, start: int, stop: int) -> None:
        parts = data[start:stop].split(b"\0", 7)
        if len(parts) != 8:
            self._malformed(peer, code)
            return
        name, unique, *fields, payload = parts
        try:
            when = next_time(fields, self._now + self._wall_offset)
        except ValueError as error:
            self._error(peer, b"INVALID_ARGUMENTS", str(error).encode())
            return
        self._accept(peer, name, unique, payload, NORMAL, True, when=when)

    def _submit_reduce(self, peer: Peer, code: int, data: bytes, start: int, stop: int) -> None:
        # PROTOCOL has three arguments before the data, gearmand four; who sends three has at most two NULs there.
        parts = data[start:stop].split(b"\0", 4)
        if len(parts) < 4:
            self._malformed(peer, code)
            return
        self._accept(peer, parts[0], parts[1], parts[-1], NORMAL, code == _REDUCE_BACKGROUND, reducer=parts[2])

    # -- working -----------------------------------------------------------------------------------------------------

    def _can_do(self, peer: Peer, _code: int, data: bytes, start: int, stop: int) -> None:
        self._register(peer, data[start:stop], 0.0)

    def _can_do_timeout(self, peer: Peer, code: int, data: bytes, start: int, stop: int) -> None:
        name, separator, limit = data[start:stop].partition(b"\0")
        if not separator:
            self._malformed(peer, code)
            return
        milliseconds = _integer(limit)
        self._register(peer, name, max(1.0, milliseconds / 1000) if milliseconds > 0 else 0.0)

    def _cant_do(self, peer: Peer, _code: int, data: bytes, start: int, stop: int) -> None:
        function = self.functions.get(data[start:stop])
        if function is not None and function in peer.abilities:
            self._unregister(peer, function)

    def _reset_abilities(self, peer: Peer, _code: int, _data: bytes, _start: int, _stop: int) -> None:
        for function in list(peer.abilities):
            self._unregister(peer, function)

    def _grab(self, peer: Peer, code: int, data: bytes, _start: int, stop: int) -> None:
        if peer.asleep or peer.woken_for is not None:
            self._leave_sleep(peer)
        order = peer.order
        job = order[0].take_first() if len(order) == 1 else self._take(peer)
        if peer.woken_for is not None:
            self._woken.pop(peer, None)
            self._pass_on(peer, job)
        if job is None:
            if peer.eager and stop == len(data):
                self._keep_waiting(peer, code)
            else:
                self._refuse(peer)
            return
        handle, function = job.handle, job.function
        job.state = _RUNNING
        job.worker = peer
        if not peer.jobs:
            peer.timed = handle
            peer.begun = self._now
        peer.jobs[handle] = job
        function.running += 1
        limit = peer.abilities[function]
        if limit:
            heappush(self._timeouts, (self._now + limit, next(self._sequence), job, job.retries))
            self.rescheduled = True
        joint, payload = function.joint, job.payload
        size = len(handle) + len(joint) + len(payload)
        if code == _GRAB:
            peer.emit(b"".join((_PACK(RESPONSE, _ASSIGN, size), handle, joint, payload)))
        elif code == _GRAB_ALL and job.reducer:
            both = b"%b\0%b\0" % (job.unique, job.reducer)
            peer.emit(b"".join((_PACK(RESPONSE, _ASSIGN_ALL, size + len(both)), handle, joint, both, payload)))
        else:
            unique = job.unique
            head = _PACK(RESPONSE, _ASSIGN_UNIQ, size + len(unique) + 1)
            peer.emit(b"".join((head, handle, joint, unique, b"\0", payload)))

    def _call(self, peer: Peer, function: Function) -> None:
        """Give a worker that waits for an answer its job at once, and call any other one."""
        if not peer.asked:
            super()._call(peer, function)
            return
        code, peer.asked = peer.asked, 0
        del self._kept[peer]
        self._grab(peer, code, b"", 0, 0)
        self.touch(peer)

    def _pre_sleep(self, peer: Peer, _code: int, _data: bytes, _start: int, _stop: int) -> None:
        if peer.woken_for is not None:
            self._woken.pop(peer, None)
            peer.woken_for = None
        for function in peer.order:
            if function.queued:
                self._call(peer, function)
                return
        peer.asleep = True
        for function in peer.order:
            function.sleepers[peer] = None

    def _complete(self, peer: Peer, _code: int, data: bytes, start: int, stop: int) -> None:
        end = data.find(b"\0", start, stop)
        job = peer.jobs.pop(data[start:end], None) if end > start else None
        if job is None:
            self._error(peer, b"JOB_NOT_FOUND", b"Job given in work result not found")
            return
        handle = job.handle
        self.completed += 1
        if job.listeners:
            packet = RESPONSE + data[start - 8 : stop]
            for listener in job.listeners:
                listener.listening.pop(handle, None)
                listener.emit(packet)
                if not listener.dirty:
                    listener.dirty = True
                    self.dirty.append(listener)
            job.listeners = ()
        function = job.function
        function.running -= 1
        function.completed += 1
        if peer.timed == handle:
            function.times.append(self._now - peer.begun)
        self._end(job)

    def _fail(self, peer: Peer, _code: int, data: bytes, start: int, stop: int) -> None:
        handle = data[start:stop].removesuffix(b"\0")
        job = peer.jobs.pop(handle, None)
        if job is None:
            if handle != peer.excepted:
                self._error(peer, b"JOB_NOT_FOUND", b"Job given in work result not found")
            return
        self.failed += 1
        job.function.failed += 1
        job.function.running -= 1
        self._end_failed(job)

    def _exception(self, peer: Peer, _code: int, data: bytes, start: int, stop: int) -> None:
        handle = _handle(data, start, stop)
        job = peer.jobs.pop(handle, None)
        if job is None:
            self._error(peer, b"JOB_NOT_FOUND", b"An exception was received for a job that does not exist")
            return
        peer.excepted = handle
        self.failed += 1
        job.function.failed += 1
        job.function.running -= 1
        told, plain = RESPONSE + data[start - 8 : stop], encode(Kind.WORK_FAIL, handle)
        for listener in job.listeners:
            listener.listening.pop(handle, None)
            self._send(listener, told if listener.exceptions else plain)
        job.listeners = ()
        self._end(job)

    def _forward(self, peer: Peer, _code: int, data: bytes, start: int, stop: int) -> None:
        """Pass WORK_DATA and WORK_WARNING on."""
        job = peer.jobs.get(_handle(data, start, stop))
        if job is None:
            self._error(peer, b"JOB_NOT_FOUND", b"Job does not exist on server")
            return
        packet = RESPONSE + data[start - 8 : stop]
        for listener in job.listeners:
            self._send(listener, packet)

    def _status(self, peer: Peer, code: int, data: bytes, start: int, stop: int) -> None:
        parts = data[start:stop].split(b"\0", 2)
        job = peer.jobs.get(parts[0])
        if job is None:
            self._error(peer, b"JOB_NOT_FOUND", b"Job given in work result not found")
        elif len(parts) != 3:
            self._malformed(peer, code)
        else:
            job.progress = (b"%d" % _integer(parts[1]), b"%d" % _integer(parts[2]))
            packet = RESPONSE + data[start - 8 : stop]
            for listener in job.listeners:
                self._send(listener, packet)

    # -- options and questions ---------------------------------------------------------------------------------------

    def _set_client_id(self, peer: Peer, _code: int, data: bytes, start: int, stop: int) -> None:
        peer.client_id = data[start:stop][:127] or b"-"

    def _option(self, peer: Peer, _code: int, data: bytes, start: int, stop: int) -> None:
        if data[start:stop].lower() == b"exceptions":
            peer.exceptions = True
            peer.emit(encode(Kind.OPTION_RES, data[start:stop]))
        else:
            self._error(peer, b"UNKNOWN_OPTION", b"Server does not recognize given option")

    def _echo(self, peer: Peer, _code: int, data: bytes, start: int, stop: int) -> None:
        peer.emit(encode(Kind.ECHO_RES, data[start:stop]))

    def _get_status(self, peer: Peer, _code: int, data: bytes, start: int, stop: int) -> None:
        handle = data[start:stop].removesuffix(b"\0")
        peer.emit(encode(Kind.STATUS_RES, handle, *_answer_status(self.jobs.get(handle))))

    def _get_status_unique(self, peer: Peer, _code: int, data: bytes, start: int, stop: int) -> None:
        unique = data[start:stop].removesuffix(b"\0")
        found = (function.by_unique.get(unique) for function in self.functions.values())
        job = next((job for job in found if job is not None), None)
        clients = b"%d" % (len(job.listeners) if job else 0)
        peer.emit(encode(Kind.STATUS_RES_UNIQUE, unique, *_answer_status(job), clients))

    def _unexpected(self, peer: Peer, _code: int, _data: bytes, _start: int, _stop: int) -> None:
        self._error(peer, b"INVALID_COMMAND", b"Command not expected")

    # -- the table ---------------------------------------------------------------------------------------------------

    def _table(self) -> dict[int, Callable[[Peer, int, bytes, int, int], None]]:
        """Return what to call for each request, by the magic and type of its header."""
        known: dict[int, Callable[[Peer, int, bytes, int, int], None]] = {
            Kind.CAN_DO: self._can_do,
            Kind.CANT_DO: self._cant_do,
            Kind.RESET_ABILITIES: self._reset_abilities,
            Kind.PRE_SLEEP: self._pre_sleep,
            Kind.SUBMIT_JOB: self._submit,
            Kind.SUBMIT_JOB_BG: self._submit,
            Kind.SUBMIT_JOB_HIGH: self._submit,
            Kind.SUBMIT_JOB_HIGH_BG: self._submit,
            Kind.SUBMIT_JOB_LOW: self._submit,
            Kind.SUBMIT_JOB_LOW_BG: self._submit,
            Kind.SUBMIT_JOB_SCHED: self._submit_scheduled,
            Kind.SUBMIT_JOB_EPOCH: self._submit_epoch,
            Kind.SUBMIT_REDUCE_JOB: self._submit_reduce,
            Kind.SUBMIT_REDUCE_JOB_BACKGROUND: self._submit_reduce,
            Kind.GRAB_JOB: self._grab,
            Kind.GRAB_JOB_UNIQ: self._grab,
            Kind.GRAB_JOB_ALL: self._grab,
            Kind.WORK_STATUS: self._status,
            Kind.WORK_COMPLETE: self._complete,
            Kind.WORK_FAIL: self._fail,
            Kind.WORK_EXCEPTION: self._exception,
            Kind.WORK_DATA: self._forward,
            Kind.WORK_WARNING: self._forward,
            Kind.GET_STATUS: self._get_status,
            Kind.GET_STATUS_UNIQUE: self._get_status_unique,
            Kind.ECHO_REQ: self._echo,
            Kind.SET_CLIENT_ID: self._set_client_id,
            Kind.CAN_DO_TIMEOUT: self._can_do_timeout,
            Kind.OPTION_REQ: self._option,
        }
        return {_REQUEST + kind: known.get(kind, self._unexpected) for kind in range(1, 43)}


def _handle(data: bytes, start: int, stop: int) -> bytes:
    """Return the handle that a packet begins with; nothing when no NUL ends it."""
    end = data.find(b"\0", start, stop)
    return data[start:end] if end > start else b""


def _answer_status(job: Job | None) -> tuple[bytes, bytes, bytes, bytes]:
    if job is None:
        return b"0", b"0", b"0", b"0"
    numerator, denominator = job.progress or (b"0", b"0")
    return b"1", b"1" if job.state == _RUNNING else b"0", numerator, denominator


def _integer(text: bytes) -> int:
    """Read digits as the C library's strtoll does: what is no number is 0, what follows one is ignored."""
    text = text.strip()
    length = len(text)
    end = 1 if text[:1] in (b"+", b"-") else 0
    while end < length and end < 20 and text[end : end + 1].isdigit():
        end += 1
    try:
        return int(text[:end])
    except ValueError:
        return 0
