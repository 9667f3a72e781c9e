"""Carry deployments and roll-backs out on many hosts: what the plans say, phase by phase, with a barrier in between."""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec

from genii.deploy import facts as asking
from genii.deploy.facts import LOCKED, Facts, Holder, read_facts, read_holder, take_lock
from genii.deploy.layout import name_release
from genii.deploy.mask import Mask
from genii.deploy.plan import Plan, Release, plan_deploy, plan_rollback, refusals
from genii.deploy.rollout import batches, enough
from genii.deploy.session import Event, Outcome, Session
from genii.deploy.shell import Step, quote
from genii.deploy.steps import StepContext, StepFunctions
from genii.deploy.tree import Shipment, compare
from genii.errors import GeniiError
from genii.fleet.transport import ConnectionFailed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterable, Iterator, Mapping, Sequence

    from genii.config.deploy import Deployment
    from genii.deploy.package import Package
    from genii.deploy.plan import Place
    from genii.deploy.sources import Fetched, Source
    from genii.fleet.transport import Host, Transport

    Chunks = Callable[[], Iterator[bytes]]

__all__ = ["Deployer", "Identity", "Member", "Result"]

_SKEW = 60
"""Seconds by which the clock of a host may differ before it is told."""
_TOLD = 2000
"""Characters of a step's output in the log on the host, and in a message."""


class Identity(msgspec.Struct, frozen=True):
    """Who deploys, from where."""

    by: str
    control: str
    pid: int = 0


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """How it ended: ``status`` is good, failed or rolled back; what became of each host, and why."""

    status: str
    release: str
    message: str
    hosts: Mapping[str, str]
    warnings: tuple[str, ...] = ()


class Member:
    """One host that takes part."""

    def __init__(self, host: Host, place: Place, settings: Deployment) -> None:
        self.host = host
        self.settings = settings
        self.place = place
        self.session: Session | None = None
        self.facts = Facts()
        self.plan = Plan()
        self.payload: Chunks | None = None
        self.outcomes: list[Outcome] = []
        self.error = ""
        self.locked_by: Holder | None = None
        self.touched = False
        """Whether anything of the release may be on the host."""
        self.published = False
        """Whether the switch may have begun."""
        self.well = False
        """Whether it serves the release and was found well."""
        self.finished = False
        self.state = "unchanged"

    @property
    def name(self) -> str:
        """The name of the host."""
        return self.host.name


class Deployer:
    """One run over some hosts; ``notify`` is told events as they happen, and ``say`` lines for people."""

    def __init__(
        self,
        deployment: Deployment,
        hosts: Sequence[tuple[Host, Place]],
        transport: Transport,
        identity: Identity,
        *,
        secrets: Mapping[str, str] | None = None,
        functions: StepFunctions | None = None,
        notify: Callable[[Event], None] | None = None,
        say: Callable[[str], None] | None = None,
        lock_wait: float = 0.0,
    ) -> None:
        self._deployment = deployment
        self.members = [Member(host, place, deployment.at(host.name)) for host, place in hosts]
        self._transport = transport
        self._identity = identity
        self._secrets = dict(secrets or {})
        self._functions = functions or StepFunctions({})
        self._notify = notify
        self._say = say or (lambda _: None)
        self._room = asyncio.Semaphore(deployment.limit)
        self._mask = Mask(self._secrets.values())
        self._warnings: list[str] = []
        self._lock_wait = lock_wait
        self._well = False
        self.release = Release(name="", revision="", branch="", by=identity.by, control=identity.control, at="")

    # -- deploy and roll back ------------------------------------------------------------------------------------------

    async def deploy(self, source: Source, on_release: Callable[[Release], None] | None = None) -> Result:
        """Bring what the source has to all hosts; on return each of them has it, or is as it was.

        Raises:
            GeniiError: there is nothing to deploy (branch, file); nothing was changed.
        """
        return await self._guarded(self._deploy(source, on_release))

    async def rollback(self, wanted: str = "", on_release: Callable[[Release], None] | None = None) -> Result:
        """Take all hosts back to the good release before the current one, or to the one that is named."""
        return await self._guarded(self._rollback(wanted, on_release))

    async def _guarded(self, work: Awaitable[Result]) -> Result:
        try:
            return await work
        except asyncio.CancelledError:
            if self._well:
                self._say("interrupted: only writing it down")
                await self._each(self.members, self._finish_again)
            else:
                self._say("interrupted: taking back what was begun")
                await self._undo("interrupted")
            raise
        finally:
            await self.close()

    async def _deploy(self, source: Source, on_release: Callable[[Release], None] | None) -> Result:
        fetched = await self._fetch(source, self._open(f"deploys {self._deployment.name}"))
        if on_release is not None:
            on_release(self.release)
        await self._make_plans(fetched, source)
        if not self._enough():
            return self._fail("nothing was changed")
        await self._phase("prepare", self._alive())
        if not self._enough():
            await self._undo("failed before the switch")
            return self._fail("nothing was switched")
        await self._undo("left behind", [member for member in self.members if member.error])
        return await self._publish(self._deployment.batches)

    async def _rollback(self, wanted: str, on_release: Callable[[Release], None] | None) -> Result:
        await self._open(f"rolls back {self._deployment.name}", update=False)
        for member in self._alive():
            try:
                target = member.facts.history.back(wanted)
            except ValueError as error:
                member.error = f"{error}"
                continue
            if target == member.facts.history.current:
                member.state = "was there already"
            member.plan = self._plan_back(member, target)
        if not self._enough():
            return self._fail("nothing was changed")
        name, revision, branch = (
            ", ".join(sorted({member.plan.env[word] for member in self._alive()} - {""}))
            for word in ("RELEASE", "REVISION", "BRANCH")
        )
        self.release = msgspec.structs.replace(self.release, name=name, revision=revision, branch=branch, at=_now())
        if on_release is not None:
            on_release(self.release)
        # Back is an emergency: everywhere at once, and where it does not work there is nowhere to go.
        await self._phase("publish", self._alive())
        await self._finish(self._alive())
        unwell = any(member.error and member.published and not member.well for member in self.members)
        return self._fail("not well after the switch") if unwell else self._good()

    def _plan_back(self, member: Member, target: str) -> Plan:
        known = member.facts.history.states.get(target)
        release = Release(
            name=target,
            revision=known.revision if known else "",
            branch=known.branch if known else "",
            by=self._identity.by,
            control=self._identity.control,
            at=_now(),
        )
        redefined = self._functions.commands(self._context(member, release))
        return plan_rollback(member.settings, member.place, member.facts, release, redefined)

    async def _finish_again(self, member: Member) -> None:
        if member.error or member.finished:
            return
        if member.session is None or not await member.session.settle():
            await self._reconnect(member)
        await self._take(member, "finish")

    async def _publish(self, shares: Sequence[int]) -> Result:
        ready = {member.name: member for member in self._alive()}
        portions = batches(list(ready), shares)
        for number, portion in enumerate(portions, 1):
            if len(portions) > 1:
                self._say(f"batch {number} of {len(portions)}: {', '.join(portion)}")
            batch = [ready[name] for name in portion]
            await self._phase("publish", batch)
            if any(member.error for member in batch):
                await self._undo("was not well after the switch")
                switched = any(member.plan.revert and member.published for member in self.members)
                return self._fail("not well after the switch", "rolled back" if switched else "failed")
        await self._finish(ready.values())
        return self._good()

    async def _finish(self, members: Collection[Member]) -> None:
        """Write down that these are well, and clean up."""
        self._well = True
        await self._phase("finish", members)
        for member in members:
            member.well = True
            if member.error:  # it serves the release all the same
                self._warnings.append(f"{member.name}: {member.error}")
            if member.state == "unchanged":
                member.state = "good"

    def _good(self) -> Result:
        left = [member.name for member in self.members if not member.well]
        message = f"left behind: {', '.join(left)}" if left else ""
        return self._result("good", message)

    # -- beginnings ----------------------------------------------------------------------------------------------------

    async def _open(self, what: str, *, update: bool = True) -> None:
        """Connect, take the lock and ask, on all hosts at once; where another has a lock, let go of all and wait."""
        deadline = time.monotonic() + self._lock_wait
        while True:
            await self._each(self.members, lambda member: self._open_one(member, what, lock=True, update=update))
            locked = [member for member in self.members if member.locked_by is not None]
            if not locked or time.monotonic() >= deadline:
                return
            self._say(f"waiting for {locked[0].name}, which is locked by {locked[0].locked_by}")
            await self.close()
            for member in self.members:
                member.error, member.locked_by = "", None
            await asyncio.sleep(1 + random.random())  # noqa: S311 -- two that wait should not meet again and again

    async def _open_one(self, member: Member, what: str, *, lock: bool, update: bool) -> None:
        connection = await self._transport.connect(member.host)
        member.session = Session(connection, self._secrets.values(), self._notify)
        await member.session.open()
        root, settings = member.settings.to, member.settings
        ask = asking.ask(root, settings.linked_files, update=update)
        steps = [Step(name="ask", script=ask, inline=True, timeout=60.0)]
        if lock:
            holder = Holder(self._identity.by, self._identity.control, _now(), what)
            steps.insert(0, Step(name="lock", script=take_lock(root, holder), inline=True, timeout=60.0))
        outcomes = await member.session.run(steps)
        if outcomes[0].step == "lock" and outcomes[0].status == LOCKED:
            member.locked_by = read_holder(outcomes[0].text)
            raise GeniiError(f"locked by {member.locked_by}")
        self._check(outcomes)
        try:
            member.facts = read_facts(root, outcomes[-1].output, settings.linked_files)
        except ValueError as error:
            raise GeniiError(str(error)) from error
        self._compare_clocks(member)

    def _compare_clocks(self, member: Member) -> None:
        skew = member.facts.clock - time.time() if member.facts.clock else 0.0
        if abs(skew) > _SKEW:
            ahead = "ahead" if skew > 0 else "behind"
            self._warnings.append(f"{member.name}: its clock is {abs(skew):.0f} s {ahead} of this machine's")

    async def _fetch(self, source: Source, asking: Coroutine[Any, Any, None]) -> Fetched:
        """Bring the files here while the hosts are asked; then name the release."""
        fetching = asyncio.create_task(asyncio.to_thread(source.fetch))
        try:
            await asking
            fetched = await fetching
        except BaseException:
            source.stop()
            fetching.cancel()
            raise
        self._warnings += fetched.warnings
        self.release = self._name(fetched)
        return fetched

    def _name(self, fetched: Fetched) -> Release:
        existing = [
            name for member in self.members for name in (*member.facts.history.releases, *member.facts.history.states)
        ]
        return msgspec.structs.replace(
            self.release,
            name=name_release(time.time(), existing),
            revision=fetched.revision,
            branch=fetched.branch,
            time=fetched.time,
            tree=fetched.package.identity if fetched.package else "",
            at=_now(),
        )

    async def _make_plans(self, fetched: Fetched, source: Source) -> None:
        """Decide for each host; hosts that have the same files before them share the bytes that are sent."""
        made: dict[tuple[str, tuple[str, ...] | None], tuple[Shipment, Chunks]] = {}
        for member in self._alive():
            shipment: Shipment | None = None
            if fetched.package is not None:
                key = member.facts.tree, member.facts.altered
                if key not in made:
                    made[key] = await asyncio.to_thread(_ship, fetched.package, source, member.facts)
                shipment, member.payload = made[key]
            refused = refusals(member.settings, member.facts, need=2 * shipment.unpacked if shipment else 0)
            if refused:
                member.error = "; ".join(refused)
                continue
            redefined = self._functions.commands(self._context(member, self.release))
            member.plan = plan_deploy(member.settings, member.place, member.facts, self.release, shipment, redefined)

    def _context(self, member: Member, release: Release) -> StepContext:
        root = member.settings.to
        return StepContext(
            deployment=self._deployment.name, host=member.name, roles=member.place.roles, name=release.name,
            path=f"{root}/releases/{release.name}", root=root, revision=release.revision, branch=release.branch,
            previous=member.facts.history.current,
        )  # fmt: skip

    # -- phases --------------------------------------------------------------------------------------------------------

    def _alive(self) -> list[Member]:
        return [member for member in self.members if not member.error]

    def _enough(self) -> bool:
        alive = {member.name for member in self._alive()}
        return enough(alive, [member.name for member in self.members], self._deployment.min_ok)

    async def _phase(self, name: str, members: Iterable[Member]) -> None:
        await self._each(members, lambda member: self._take(member, name))

    async def _take(self, member: Member, phase: str) -> None:
        steps: tuple[Step, ...] = getattr(member.plan, phase)
        assert member.session is not None
        if phase == "finish":
            steps = (*steps, self._log_step(member, "good"), _UNLOCK)
        if not steps:
            return
        member.touched = True
        member.published = member.published or phase == "publish"
        payload = member.payload if any(step.payload for step in steps) else None
        outcomes = await member.session.run(steps, {**member.plan.env, **self._secrets}, payload)
        member.outcomes += outcomes
        member.finished = phase == "finish"
        self._check(outcomes)

    def _check(self, outcomes: Sequence[Outcome]) -> None:
        """Raise what the first step says that failed."""
        for outcome in outcomes:
            if outcome.status:
                told = outcome.text[-_TOLD:]
                how = "took too long" if outcome.timed_out else f"failed (exit status {outcome.status})"
                raise GeniiError(f"{outcome.step} {how}{f': {told}' if told else ''}")
        if outcomes and outcomes[-1].status is None:
            raise GeniiError(f"{next(one.step for one in outcomes if one.status is None)} was not carried out")

    async def _each(self, members: Iterable[Member], work: Callable[[Member], Awaitable[None]]) -> None:
        """Do something on some hosts at once; what fails on a host is that host's, and does not end the others'."""

        async def one(member: Member) -> None:
            async with self._room:
                try:
                    await work(member)
                except GeniiError as error:
                    member.error = str(error).removeprefix(f"{member.name}: ")

        async with asyncio.TaskGroup() as group:
            for member in members:
                group.create_task(one(member))

    # -- ends ----------------------------------------------------------------------------------------------------------

    async def _undo(self, why: str, members: Iterable[Member] | None = None) -> None:
        """Take back what was begun: before the switch remove it, after it bring the release before back."""
        chosen = [member for member in (self.members if members is None else members) if member.touched]
        await self._each_undone([member for member in chosen if not member.published], "discard", "unchanged", why)
        back = [member for member in chosen if member.published and member.plan.revert]
        await self._each_undone(back, "revert", "rolled back", why)
        for member in chosen:
            if member.published and not member.plan.revert:  # there is no way back from a roll-back
                member.state = f"{why} at the switch; roll back again"

    async def _each_undone(self, members: Iterable[Member], phase: str, state: str, why: str) -> None:
        async def one(member: Member) -> None:
            async with self._room:
                began = len(member.outcomes)
                try:
                    await self._undo_one(member, phase, why)
                    member.state = state
                except GeniiError as error:
                    told = str(error).removeprefix(f"{member.name}: ")
                    back = any(one.step == "switch" and one.status == 0 for one in member.outcomes[began:])
                    member.state = f"{state}, but {told}" if back else f"not {state}: {told}; the next run recovers it"

        async with asyncio.TaskGroup() as group:
            for member in members:
                group.create_task(one(member))

    async def _undo_one(self, member: Member, phase: str, why: str) -> None:
        if member.session is None or not await member.session.settle():
            await self._reconnect(member)
        assert member.session is not None
        steps: tuple[Step, ...] = getattr(member.plan, phase)
        env = member.plan.revert_env if phase == "revert" else member.plan.env
        outcomes = await member.session.run((*steps, self._log_step(member, why), _UNLOCK), {**env, **self._secrets})
        member.outcomes += outcomes
        member.touched = False
        self._check(outcomes)

    async def _reconnect(self, member: Member) -> None:
        """Go on with a new connection, under the lock again, where the old one is of no use."""
        if member.session is not None:
            with suppress(GeniiError, OSError):
                await member.session.close()
        connection = await self._transport.connect(member.host)
        member.session = Session(connection, self._secrets.values(), self._notify)
        await member.session.open()
        holder = Holder(self._identity.by, self._identity.control, _now(), f"recovers {self._deployment.name}")
        # The shell of the lost connection may still be about to end what it ran.
        for _ in range(20):
            lock = Step(name="lock", script=take_lock(member.settings.to, holder), inline=True, timeout=60.0)
            outcome = (await member.session.run([lock]))[0]
            if outcome.status != LOCKED:
                break
            await asyncio.sleep(0.5)
        self._check([outcome])

    def _log_step(self, member: Member, status: str) -> Step:
        """Return the step that adds this deployment to the log on the host."""
        line = msgspec.json.encode(
            {
                "at": self.release.at, "deployment": self._deployment.name, "release": self.release.name,
                "revision": self.release.revision, "branch": self.release.branch, "by": self._identity.by,
                "from": self._identity.control, "status": status,
                "steps": [
                    {"step": one.step, "status": one.status, "seconds": round(one.seconds, 4),
                     "output": one.text[-_TOLD:]}
                    for one in member.outcomes if one.began
                ],
            }
        ).decode()  # fmt: skip
        folder = "{ [ -d shared/log ] || mkdir -p shared/log; }"
        script = f"{folder} && printf '%s\\n' {quote(line)} >>shared/log/deploy.jsonl"
        note = "writes the log on the host"
        return Step(name="log", script=script, note=note, inline=True, always=True, timeout=60.0)

    def _fail(self, message: str, status: str = "failed") -> Result:
        for member in self.members:
            if member.error and member.state == "unchanged":
                member.state = f"failed: {member.error}"
            elif member.error and member.state == "rolled back":
                member.state = f"failed, rolled back: {member.error}"
        return self._result(status, message)

    def _result(self, status: str, message: str) -> Result:
        hosts = {member.name: self._mask.text(member.state) for member in self.members}
        return Result(
            status=status, release=self.release.name, message=message, hosts=hosts, warnings=tuple(self._warnings)
        )

    async def close(self) -> None:
        """Close all connections; with each goes the lock of its host."""

        async def one(member: Member) -> None:
            session, member.session = member.session, None
            if session is not None:
                with suppress(ConnectionFailed, OSError):
                    await session.close()

        async with asyncio.TaskGroup() as group:
            for member in self.members:
                group.create_task(one(member))

    # -- looking -------------------------------------------------------------------------------------------------------

    async def look(self) -> None:
        """Ask all hosts without the lock and without changing anything."""
        await self._each(self.members, lambda member: self._open_one(member, "", lock=False, update=True))

    async def preview(self, source: Source) -> Release:
        """Ask all hosts and make the plans as a deployment would, and change nothing.

        Raises:
            GeniiError: there is nothing to deploy.
        """
        await self._make_plans(await self._fetch(source, self.look()), source)
        return self.release

    @property
    def warnings(self) -> list[str]:
        """What is worth a word although it is no error."""
        return self._warnings


def _ship(package: Package, source: Source, facts: Facts) -> tuple[Shipment, Chunks]:
    """Return what a host lacks, and what makes the bytes of it."""
    from genii.deploy.package import pack

    current = facts.history.states.get(facts.history.current)
    have = source.known(facts.tree, current.revision if current else "")
    delta = compare(have, package.items, facts.altered)
    size, chunks = package.payload(delta.send)
    packed, made = pack(chunks(), size) or (size, chunks)
    return Shipment(delta, packed, size), made


_UNLOCK = Step(name="unlock", script="exec 9>&-", inline=True, always=True, note="gives the lock back")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
