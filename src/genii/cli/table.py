"""The commands by name: what they do in a line, and the module that does it. No I/O.

A module has ``configure(parser)``, which adds its options, and ``run(options)``, which returns the exit code.
"""

from __future__ import annotations

from genii.typed import NamedTuple

__all__ = ["COMMANDS", "GROUPS", "Command"]


class Command(NamedTuple):
    """One command; ``module`` is within ``genii.cli``; without a group it is not in the list of ``genii --help``."""

    group: str
    help: str
    module: str
    on_hosts: bool = False
    """Whether ``--on HOSTS`` has it talk to the supervisors of those hosts."""


GROUPS = ("Run", "Look", "Steer", "Hosts", "Tools")

COMMANDS: dict[str, Command] = {
    "up": Command("Run", "run what is declared, in the foreground or (-d) as a daemon", "up"),
    "down": Command("Run", "stop everything, then the supervisor", "down"),
    "status": Command("Look", "what runs, since when, and why something does not", "status", on_hosts=True),
    "top": Command("Look", "all that runs in full screen: sort, filter, logs, actions", "top"),
    "logs": Command("Look", "what programs print (-f: as it comes)", "logs", on_hosts=True),
    "attach": Command("Look", "read along with one process, and type lines for it", "attach"),
    "events": Command("Look", "what happened (-f: as it happens)", "events"),
    "start": Command("Steer", "start programs and what they depend on", "start", on_hosts=True),
    "stop": Command("Steer", "stop programs", "stop", on_hosts=True),
    "restart": Command("Steer", "check programs, then stop and start them", "restart", on_hosts=True),
    "reload": Command("Steer", "have programs read their own configuration again", "reload", on_hosts=True),
    "signal": Command("Steer", "send a signal to programs", "signal", on_hosts=True),
    "scale": Command("Steer", "change how many processes a program has", "scale"),
    "pause": Command("Steer", "have workers take no more jobs after their current one", "pause"),
    "resume": Command("Steer", "have paused workers take jobs again", "resume"),
    "drain": Command("Steer", "stop workers when each has done its job, however long that takes", "drain"),
    "update": Command("Steer", "read the configuration again and apply what changed", "update", on_hosts=True),
    "upgrade": Command("Steer", "replace the running supervisor by this version of genii; programs run on", "upgrade"),
    "run": Command("Hosts", "run a command on many hosts over SSH", "run"),
    "put": Command("Hosts", "bring files to many hosts: only what differs, checked", "put"),
    "get": Command("Hosts", "fetch files from many hosts", "get"),
    "tasks": Command("Hosts", "list the tasks of tasks.py (also: genii -T)", "tasks"),
    "task": Command("Hosts", "run a task of tasks.py on its hosts", "task"),
    "deploy": Command("Hosts", "bring a release to hosts: check, switch, watch, take back if it is not well", "deploy"),
    "rollback": Command("Hosts", "take hosts back to the release before", "rollback"),
    "releases": Command("Hosts", "which release is where, and the record of deployments", "releases"),
    "bootstrap": Command("Hosts", "put Python and genii on hosts that have neither", "bootstrap"),
    "init": Command("Tools", "write a commented genii.toml for this folder", "init"),
    "check": Command("Tools", "check a configuration: file:line:col: what is wrong", "check", on_hosts=True),
    "export": Command("Tools", "print a systemd unit, an init script, a Dockerfile, completion, a schema …", "export"),
    "daemonize": Command("Tools", "run any command as a daemon", "daemonize"),
    "nohup": Command("Tools", "run a command immune to the terminal's hang-up", "nohup"),
    "jobs": Command("Tools", "a Gearman job server, and commands for any: serve, submit, status, queue", "jobs"),
    "work": Command("Tools", "do the jobs of a worker class: module:Class", "work"),
    "prefork": Command("Tools", "serve connections with forked workers: serve, status, stop, reload", "prefork"),
    "supervisord": Command("Tools", "run a supervisord.conf, with the command line of supervisord", "supervisord"),
    "supervisorctl": Command("Tools", "steer a supervisord, with the commands of supervisorctl", "supervisorctl"),
    "echo_supervisord_conf": Command("", "print a supervisord.conf to begin with", "echo_supervisord_conf"),
    "pidproxy": Command("", "run a command, hand signals on to the process that a pid file names", "pidproxy"),
}
