"""The jobs that wait and the workers that may have them: queues, sleepers, time-outs, ends. No I/O.

The rules of Gearman that hold whatever packet brought them about; the packets themselves are the broker's.
"""

from __future__ import annotations

from heapq import heappop, heappush
from itertools import count
from typing import TYPE_CHECKING

from genii.gearman.job import Job, State
from genii.gearman.jobs import Function, Peer
from genii.gearman.ledger import Ledger
from genii.gearman.protocol import HIGH, LOW, MAX_HANDLE, NORMAL, Kind
from genii.gearman.protocol import response as encode
from genii.gearman.settings import Settings, Statistics

if TYPE_CHECKING:
    from genii.gearman.records import Submitted

__all__ = ["Queues", "unique_key"]

PATIENCE = 1.0
"""Seconds that a woken worker has to ask for its job before another one is woken."""
POISON = 3
"""After so many attempts a job goes to the end of its queue, so that one that kills its workers can't block it."""

_NOOP = encode(Kind.NOOP)
_NO_JOB = encode(Kind.NO_JOB)
_COMMITTING, _SCHEDULED, _QUEUED, _RUNNING, _GONE = (state.value for state in State)
_PRIORITIES = (HIGH, NORMAL, LOW)


class Queues:
    """Keep the jobs and give them to workers, by the rules of Gearman."""

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or Settings()
        self.functions: dict[bytes, Function] = {}
        self.jobs: dict[bytes, Job] = {}
        self.peers: dict[Peer, None] = {}
        self.dirty: list[Peer] = []
        """Peers with output, or to be closed; the shell takes them out."""
        self.ledger = Ledger(self)
        self.stopping = ""
        """``"now"`` or ``"graceful"`` once a client asked the server to stop."""
        self.rescheduled = True
        """Whether ``next_tick`` may be nearer than it was; the shell clears it."""
        self.completed = self.failed = self.requeued = self.refused_jobs = 0

        self._wakeup = self.settings.wakeup
        self._linger = self.settings.linger
        self._round_robin = self.settings.round_robin
        self._prefix = self.settings.prefix[: MAX_HANDLE - 20] + b":"
        self._counter = self._skipped = 0
        self._now = 0.0
        self._wall_offset = 0.0
        self._sequence = count()
        self._timeouts: list[tuple[float, int, Job, int]] = []
        self._scheduled: list[tuple[int, int, Job]] = []
        self._woken: dict[Peer, None] = {}
        self._kept: dict[Peer, float] = {}
        """Workers whose request is kept waiting, and until when; the first one first."""

    # -- life of connections -----------------------------------------------------------------------------------------

    def connect(self, peer: Peer) -> None:
        """Take a new connection."""
        peer.exceptions = self.settings.exceptions
        self.peers[peer] = None

    def disconnect(self, peer: Peer) -> None:
        """Take the end of a connection: its jobs go back to the front, its foreground jobs lose it as a listener."""
        if peer not in self.peers:
            return
        del self.peers[peer]
        peer.closing = True
        peer.out.clear()
        self._leave_sleep(peer)
        self._kept.pop(peer, None)
        for function in peer.abilities:
            function.workers -= 1
            function.sleepers.pop(peer, None)
        peer.abilities.clear()
        peer.order.clear()
        for job in list(peer.listening.values()):
            self._stop_listening(peer, job)
        for job in reversed(list(peer.jobs.values())):
            self._requeue(job)
        self._woken.pop(peer, None)
        self._pass_on(peer, None)

    # -- what is due -------------------------------------------------------------------------------------------------

    def tick(self, now: float, wall: float) -> None:
        """Do what is due: time-outs, scheduled jobs, workers that did not come when they were called.

        It also tells the broker what the wall clock says, so it is called at the start and after clock steps.
        """
        self._now = now
        self._wall_offset = wall - now
        while self._timeouts and self._timeouts[0][0] <= now:
            _, _, job, retries = heappop(self._timeouts)
            if job.state == _RUNNING and job.retries == retries:
                self._requeue(job)
        while self._scheduled and self._scheduled[0][0] <= wall:
            job = heappop(self._scheduled)[2]
            if job.state == _SCHEDULED:
                job.function.waiting -= 1
                self._enqueue(job)
        late = [peer for peer in self._woken if peer.woken_at + PATIENCE <= now]
        for peer in late:
            del self._woken[peer]
            self._pass_on(peer, None)
        for peer in [peer for peer, until in self._kept.items() if until <= now]:
            peer.eager = False
            self._refuse(peer)

    def next_tick(self, now: float, wall: float) -> float | None:
        """Return the seconds until ``tick`` has something to do; None: nothing is due."""
        delays = []
        if self._timeouts:
            delays.append(self._timeouts[0][0] - now)
        if self._scheduled:
            delays.append(self._scheduled[0][0] - wall)
        for peer in self._woken:
            delays.append(peer.woken_at + PATIENCE - now)
            break
        for until in self._kept.values():
            delays.append(until - now)
            break
        return max(0.0, min(delays)) if delays else None

    def skip_numbers(self, newest: int) -> None:
        """Give no job a number up to this one."""
        skipped = max(newest - self._counter, 0)
        self._counter += skipped
        self._skipped += skipped

    @property
    def submitted(self) -> int:
        """Count the jobs that were taken since the start."""
        return self._counter - self._skipped

    def statistics(self) -> Statistics:
        """Return the counts."""
        functions = self.functions.values()
        return Statistics(
            submitted=self.submitted,
            completed=self.completed,
            failed=self.failed,
            requeued=self.requeued,
            refused=self.refused_jobs,
            queued=sum(function.queued for function in functions),
            waiting=sum(function.waiting for function in functions),
            running=sum(function.running for function in functions),
            connections=len(self.peers),
            workers=sum(bool(peer.abilities) for peer in self.peers),
            functions=len(self.functions),
        )

    # -- output ------------------------------------------------------------------------------------------------------

    def touch(self, peer: Peer) -> None:
        """Tell the shell that a peer has output."""
        if not peer.dirty:
            peer.dirty = True
            self.dirty.append(peer)

    def _send(self, peer: Peer, packet: bytes) -> None:
        peer.emit(packet)
        if not peer.dirty:
            peer.dirty = True
            self.dirty.append(peer)

    # -- queueing ----------------------------------------------------------------------------------------------------

    def function(self, name: bytes) -> Function:
        """Return the function of this name, a new one if there is none."""
        function = self.functions.get(name)
        if function is None:
            function = self.functions[name] = Function(name)
        return function

    def drop_function(self, function: Function) -> bool:
        """Forget a function and the jobs that wait for it, telling their clients; return False if it is in use."""
        if function.workers or function.running:
            return False
        for job in [job for job in self.jobs.values() if job.function is function]:
            self.cancel(job)
        if function.total:
            return False
        del self.functions[function.name]
        return True

    def admit(self, job: Job) -> None:
        """Queue a new job, at once or when its time has come."""
        if job.when:
            job.state = _SCHEDULED
            job.function.waiting += 1
            heappush(self._scheduled, (job.when, next(self._sequence), job))
            self.rescheduled = True
        else:
            self._enqueue(job)

    def _enqueue(self, job: Job) -> None:
        job.function.append(job)
        if job.function.sleepers:
            self._wake(job.function)

    def revive(self, record: Submitted) -> Job:
        """Take back a job that the journal has."""
        handle = b"%b%d" % (self._prefix, record.number)
        function = self.function(record.function)
        job = Job(handle, function, record.unique, record.payload, record.priority, True, _COMMITTING)
        job.number = record.number
        job.reducer = record.reducer
        job.when = record.when
        self.jobs[handle] = job
        key = unique_key(job)
        if key:
            function.by_unique[key] = job
        self.admit(job)
        return job

    # -- giving jobs to workers --------------------------------------------------------------------------------------

    def _register(self, peer: Peer, name: bytes, limit: float) -> None:
        function = self.function(name)
        if function not in peer.abilities:
            function.workers += 1
            peer.order.insert(0, function)
        peer.abilities[function] = limit
        if peer.asleep:
            function.sleepers[peer] = None
            if function.queued:
                self._wake(function)

    def _unregister(self, peer: Peer, function: Function) -> None:
        del peer.abilities[function]
        peer.order.remove(function)
        function.workers -= 1
        function.sleepers.pop(peer, None)
        for job in reversed([job for job in peer.jobs.values() if job.function is function]):
            self._requeue(job)
        if peer.woken_for is function:
            self._woken.pop(peer, None)
            self._pass_on(peer, None)

    def _take(self, peer: Peer) -> Job | None:
        """Take the next job for a worker: the highest priority first, then its functions in their order."""
        order = peer.order
        ready = [function for function in order if function.queued]
        for priority in _PRIORITIES:
            for function in ready:
                job = function.take(priority)
                if job is not None:
                    if self._round_robin:
                        order.remove(function)
                        order.append(function)
                    return job
        return None

    def _wake(self, function: Function) -> None:
        """Wake as many workers for a job as is set, those that sleep longest first; before them one that is awake."""
        sleepers = function.sleepers
        wanted = self._wakeup or len(sleepers)
        while sleepers and wanted and function.queued:
            wanted -= 1
            peer = next(reversed(sleepers))
            if not peer.asked:
                peer = next(iter(sleepers))
            for other in peer.order:
                other.sleepers.pop(peer, None)
            peer.asleep = False
            self._call(peer, function)

    def _call(self, peer: Peer, function: Function) -> None:
        """Tell a worker to ask for a job, and remember for which one, in case that it does not."""
        if self._now - peer.refused_at < self._linger:
            peer.eager = True
        peer.woken_for = function
        peer.woken_at = self._now
        self._woken[peer] = None
        peer.emit(_NOOP)
        if not peer.dirty:
            peer.dirty = True
            self.dirty.append(peer)

    def _pass_on(self, peer: Peer, job: Job | None) -> None:
        """Wake another worker where one that was woken took something else, or nothing, and left a job waiting."""
        function = peer.woken_for
        peer.woken_for = None
        if function is None or (job is not None and job.function is function):
            return
        if function.queued and function.sleepers:
            self._wake(function)

    def _keep_waiting(self, peer: Peer, code: int) -> None:
        """Let a worker wait for an answer: the job that it is hoped comes soon saves both sides a sleep and a call."""
        if not self._kept:
            self.rescheduled = True
        self._kept[peer] = self._now + self._linger
        peer.asked = code
        peer.asleep = True
        for function in peer.order:
            function.sleepers[peer] = None

    def _refuse(self, peer: Peer) -> None:
        """Tell a worker that there is no job, now or after it was kept waiting."""
        if peer.asked:
            peer.asked = 0
            del self._kept[peer]
            self._leave_sleep(peer)
        peer.refused_at = self._now
        self._send(peer, _NO_JOB)

    def _leave_sleep(self, peer: Peer) -> None:
        if peer.asleep:
            peer.asleep = False
            for function in peer.order:
                function.sleepers.pop(peer, None)

    # -- the end of jobs ---------------------------------------------------------------------------------------------

    def _end(self, job: Job) -> None:
        """Forget a job, here and in the journal."""
        job.state = _GONE
        job.worker = None
        del self.jobs[job.handle]
        if job.unique:
            key = unique_key(job)
            if job.function.by_unique.get(key) is job:
                del job.function.by_unique[key]
        if job.number:
            self.ledger.end(job)

    def _end_failed(self, job: Job) -> None:
        packet = encode(Kind.WORK_FAIL, job.handle)
        for listener in job.listeners:
            listener.listening.pop(job.handle, None)
            self._send(listener, packet)
        job.listeners = ()
        self._end(job)

    def drop(self, job: Job) -> None:
        """Take a job that does not run out of its queue and forget it."""
        if job.state == _QUEUED:
            job.function.forget(job)
        elif job.state == _SCHEDULED:
            job.function.waiting -= 1
        self._end_failed(job)
        job.payload = b""  # its entry in the queue may stay for a while

    def _requeue(self, job: Job) -> None:
        """Give back a job whose worker vanished, or gave up, or was too slow."""
        worker = job.worker
        if worker is not None:
            worker.jobs.pop(job.handle, None)
        job.worker = None
        job.progress = None
        job.retries += 1
        job.function.running -= 1
        self.requeued += 1
        if 0 < self.settings.attempts <= job.retries:
            self.failed += 1
            job.function.failed += 1
            self._end_failed(job)
        elif not (job.background or job.listeners):
            self._end(job)
        else:
            if job.retries < POISON:
                job.function.append_left(job)
            else:
                job.function.append(job)
            if job.function.sleepers:
                self._wake(job.function)

    def _stop_listening(self, peer: Peer, job: Job) -> None:
        """Take note that a client went: a waiting job that nobody else wants is dropped, a running one goes on."""
        peer.listening.pop(job.handle, None)
        job.listeners = tuple(listener for listener in job.listeners if listener is not peer)
        if not (job.listeners or job.background) and job.state == _QUEUED:
            self.drop(job)

    def cancel(self, job: Job) -> None:
        """Drop a job that waits, telling its clients; one that runs is not run again."""
        if job.state == _RUNNING:
            job.background = False
            for listener in job.listeners:
                listener.listening.pop(job.handle, None)
                self._send(listener, encode(Kind.WORK_FAIL, job.handle))
            job.listeners = ()
        elif job.state != _COMMITTING:
            self.drop(job)


def unique_key(job: Job) -> bytes | tuple[bytes, bytes]:
    """Return what a later submit is compared with; ``-`` stands for the payload."""
    if job.unique != b"-":
        return job.unique
    return (job.unique, job.payload) if job.payload else b""
