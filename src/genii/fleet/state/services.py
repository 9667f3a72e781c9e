"""Services under systemd, OpenRC, SysV scripts and genii itself: a table of commands, and one rule for all. No I/O."""

from __future__ import annotations

import re
from dataclasses import dataclass
from shlex import quote
from typing import TYPE_CHECKING

from genii.fleet.state.plan import Plan, Question, StateError, Step, fields

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["MANAGERS", "Manager", "Service", "ask_service", "plan_service"]

_NAME = re.compile(r"[A-Za-z0-9_@][A-Za-z0-9@._:\\-]*")


@dataclass(frozen=True, slots=True)
class Manager:
    """How one service manager is asked and told; ``$s`` is the name of the service.

    The question prints lines ``exists=1``, ``running=1``, ``enabled=1``, ``stale=1`` for what is so, or ``refused=…``
    with what the manager says instead of an answer.
    """

    ask: str
    start: str
    stop: str
    restart: str
    reload: str
    enable: str = ""
    """Have it started when the host boots; empty: this manager has no such thing."""
    disable: str = ""
    reread: str = ""
    """Have the manager read its own files again, when it says that they are newer (``stale``)."""


MANAGERS: Mapping[str, Manager] = {
    "systemd": Manager(
        ask="""o=$(systemctl show -p LoadState,ActiveState,UnitFileState,NeedDaemonReload -- "$s" 2>&1) ||
  { echo "refused=$(echo "$o" | tail -n 1)"; exit 0; }
echo "$o" | while IFS='=' read -r k v; do case $k=$v in
  LoadState=not-found) ;; LoadState=*) echo exists=1 ;;
  ActiveState=active|ActiveState=reloading|ActiveState=activating) echo running=1 ;;
  UnitFileState=enabled|UnitFileState=enabled-runtime|UnitFileState=alias) echo enabled=1 ;;
  UnitFileState=static|UnitFileState=indirect|UnitFileState=generated) echo enabled=always ;;
  NeedDaemonReload=yes) echo stale=1 ;;
esac; done""",
        start='systemctl start -- "$s"',
        stop='systemctl stop -- "$s"',
        restart='systemctl restart -- "$s"',
        reload='systemctl reload -- "$s"',
        enable='systemctl enable -- "$s"',
        disable='systemctl disable -- "$s"',
        reread="systemctl daemon-reload",
    ),
    "openrc": Manager(
        ask="""rc-service -e "$s" && echo exists=1
rc-service "$s" status >/dev/null 2>&1 && echo running=1
rc-update show default | awk -v s="$s" -F'[ |]+' '$2 == s || $1 == s { print "enabled=1" }'""",
        start='rc-service "$s" start',
        stop='rc-service "$s" stop',
        restart='rc-service "$s" restart',
        reload='rc-service "$s" reload',
        enable='rc-update -q add "$s" default',
        disable='rc-update -q del "$s" default',
    ),
    "sysv": Manager(
        ask="""[ -x "/etc/init.d/$s" ] && echo exists=1
"/etc/init.d/$s" status >/dev/null 2>&1 </dev/null && echo running=1
ls /etc/rc[2345].d/S[0-9][0-9]"$s" /etc/rc.d/rc[2345].d/S[0-9][0-9]"$s" 2>/dev/null | grep -q . && echo enabled=1""",
        start='"/etc/init.d/$s" start </dev/null',
        stop='"/etc/init.d/$s" stop </dev/null',
        restart='"/etc/init.d/$s" restart </dev/null',
        reload='"/etc/init.d/$s" reload </dev/null',
        enable='if command -v update-rc.d >/dev/null; then update-rc.d "$s" defaults && update-rc.d "$s" enable; '
        'else chkconfig "$s" on; fi',
        disable='if command -v update-rc.d >/dev/null; then update-rc.d "$s" disable; else chkconfig "$s" off; fi',
    ),
    "genii": Manager(
        ask="""genii{config} status -- "$s" >/dev/null 2>&1
case $? in 0) echo exists=1; echo running=1 ;; 1|3) echo exists=1 ;; esac""",
        start='genii{config} start -- "$s"',
        stop='genii{config} stop -- "$s"',
        restart='genii{config} restart -- "$s"',
        reload='genii{config} reload -- "$s"',
    ),
}


@dataclass(frozen=True, slots=True)
class Service:
    """How a service is."""

    exists: bool = False
    running: bool = False
    enabled: bool = False
    always: bool = False
    """Whether others start it, so that there is nothing to enable."""
    stale: bool = False
    """Whether the manager has not read its newest file yet."""
    refused: str = ""
    """What the manager said instead of an answer."""


def ask_service(manager: str, name: str, *, config: str = "") -> Question[Service]:
    """Return the question how a service is; ``config`` is genii's own file on the host.

    Raises:
        StateError: a name that no service can have, or an unknown manager.
    """
    table = _manager(manager)
    return Question(_script(table.ask, name, config) + "\ntrue", _read)


def _read(answer: bytes) -> Service:
    said = fields(answer)
    return Service(
        exists="exists" in said,
        running="running" in said,
        enabled=said.get("enabled") == "1",
        always=said.get("enabled") == "always",
        stale="stale" in said,
        refused=said.get("refused", ""),
    )


def plan_service(
    manager: str,
    name: str,
    facts: Service,
    *,
    running: bool | None = None,
    enabled: bool | None = None,
    restart: bool = False,
    reload: bool = False,
    config: str = "",
) -> Plan:
    """Return what makes a service run or not, start at boot or not, and read its files again.

    ``restart`` and ``reload`` also start a service that does not run, since what they are for is that it runs with what
    its files say.

    Raises:
        StateError: there is no such service, the manager does not answer, or what is wanted contradicts itself.
    """
    table = _manager(manager)
    if (restart or reload) and running is False:
        raise StateError(f"{name}: a service can't be stopped and restarted at once; leave one of them out")
    if facts.refused:
        raise StateError(f"{manager} does not tell how {name!r} is: {facts.refused}")
    if not facts.exists:
        if running or enabled or restart or reload:
            raise StateError(f"{manager} knows no service {name!r}; is its package installed?")
        return Plan()
    if enabled is not None and not table.enable:
        raise StateError(f"{name}: {manager} starts what its file declares; nothing is enabled or disabled there")
    actions = [("reread", f"{manager} reads its files again")] if table.reread and facts.stale else []
    if enabled is not None and enabled != facts.enabled and not facts.always:
        actions.append(("enable", f"+ {name} starts at boot") if enabled else ("disable", f"- {name} starts at boot"))
    actions += _running_actions(name, facts, running=running, restart=restart, reload=reload)
    if [action for action, _ in actions] == ["reread"] and not running:
        return Plan()
    steps = tuple(Step(_script(getattr(table, action), name, config)) for action, _ in actions)
    return Plan(steps, "".join(f"{line}\n" for _, line in actions))


def _running_actions(
    name: str, facts: Service, *, running: bool | None, restart: bool, reload: bool
) -> list[tuple[str, str]]:
    if facts.running:
        if running is False:
            return [("stop", f"- {name} runs")]
        if restart:
            return [("restart", f"  {name} is restarted")]
        return [("reload", f"  {name} is reloaded")] if reload else []
    return [("start", f"+ {name} runs")] if running or restart or reload else []


def _script(text: str, name: str, config: str) -> str:
    if not _NAME.fullmatch(name):
        raise StateError(f"{name!r} is no name of a service")
    return f"s={quote(name)}\n" + text.replace("{config}", f" -c {quote(config)}" if config else "")


def _manager(name: str) -> Manager:
    if name not in MANAGERS:
        known = ", ".join(MANAGERS)
        raise StateError(f"the host has no service manager that is known here ({known}); name one with manager=")
    return MANAGERS[name]
