"""The commands of supervisorctl: what they ask, print and exit with, see http://supervisord.org/running.html."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from genii.config.ini.names import namespec
from genii.errors import UsageError
from genii.supervisord.client import Client, Refused, RemoteFault
from genii.supervisord.version import API_VERSION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from genii.config.ini.control import ControlPlugin
    from genii.supervisord.ctlplugins import Plugins

__all__ = ["COMMANDS", "Controller"]

OK, GENERIC, BAD_ARGUMENTS, NO_INTERFACE, NO_SERVER, NOT_RUNNING = 0, 1, 2, 3, 4, 7
_DEAD_FAULTS = (50, 40, 70)
_AT_REST = (0, 100, 200, 1000)
_RUNNING = 20
_TAIL = 1600
_START = {10: "no such process", 20: "no such file", 21: "file is not executable", 60: "already started",
          50: "spawn error", 40: "abnormal termination"}  # fmt: skip
_SIGNAL = {10: "no such process", 11: "bad signal name", 70: "not running"}
_CLEAR = {10: "no such process", 30: "failed"}

COMMANDS = {
    "add": "add NAME…: start to manage process groups of the configuration",
    "avail": "avail: all configured processes",
    "clear": "clear NAME…|all: empty the logs of processes",
    "exit": "exit: leave the shell",
    "fg": "fg NAME: see a process's output and write to its input; Ctrl-C ends it",
    "help": "help [COMMAND]",
    "maintail": "maintail [-f|-BYTES]: the end of supervisord's own log",
    "open": "open URL: talk to another supervisord (http://HOST:PORT or unix:///PATH)",
    "pid": "pid [NAME…|all]: the pid of supervisord, or of processes",
    "quit": "quit: leave the shell",
    "reload": "reload: restart supervisord and all programs",
    "remove": "remove NAME…: no longer manage process groups that are stopped",
    "reread": "reread: read the configuration and say what changed; nothing is started or stopped",
    "restart": "restart NAME…|GROUP:*|all: stop, then start; does not read the configuration (see reread, update)",
    "shutdown": "shutdown: stop everything and supervisord itself",
    "signal": "signal SIGNAL NAME…|GROUP:*|all: send a signal",
    "start": "start NAME…|GROUP:*|all: start processes",
    "status": "status [NAME…|GROUP:*|all]: the state of processes",
    "stop": "stop NAME…|GROUP:*|all: stop processes",
    "tail": "tail [-f|-BYTES] NAME [stdout|stderr]: the end of a process's log",
    "update": "update [GROUP…|all]: read the configuration; stop, start and restart what it changed",
    "version": "version: the version of supervisord",
}


class Controller:
    """One session with a supervisord; ``status`` is the exit code."""

    def __init__(self, url: str, username: str, password: str, *, interactive: bool = False) -> None:
        self.url = url
        self.username = username
        self.password = password
        self.interactive = interactive
        self.status = OK
        self.client = Client(url, username, password)
        self._plugins: Plugins | None = None

    def plug_in(self, declared: Iterable[ControlPlugin]) -> None:
        """Add the commands of plugins.

        Raises:
            NotAllowed: a plugin can't be loaded.
        """
        from genii.supervisord.ctlplugins import Plugins

        self._plugins = Plugins(self, declared)

    @property
    def commands(self) -> list[str]:
        """The names of all commands."""
        return [*COMMANDS, *(self._plugins.names() if self._plugins else ())]

    def output(self, text: str) -> None:
        """Print a line at once: others read along."""
        print(text, flush=True)

    def fail(self, text: str, status: int = GENERIC) -> None:
        """Print what is wrong and note the exit code."""
        self.output(text)
        self.status = status

    def ask(self, method: str, *params: Any) -> Any:
        """Call a method of the namespace ``supervisor``."""
        return self.client.call(f"supervisor.{method}", *params)

    def run(self, line: str) -> bool:
        """Carry out one command line; say whether the shell is to end."""
        words = line.split()
        if not words:
            return False
        name, arguments = ("help", ["help"]) if words[0] == "?" else (words[0], words[1:])
        command: Callable[[list[str]], bool | None] | None = None
        if name in COMMANDS:
            command = getattr(self, f"do_{name}")
        if command is None:
            return self._run_plugin(name, line)
        try:
            return bool(command(arguments))
        except Refused as error:
            if error.status == 401:
                return self._authenticate(line, error)
            self.fail(f"error: {error}")
        except RemoteFault as fault:
            self.fail(f"error: <Fault {fault.number}: {fault.text!r}>")
        except UsageError as error:
            self.fail(f"error: {error}")
        except OSError as error:
            self.fail(f"error: {self.url}: {error.strerror or error}")
        return False

    def _run_plugin(self, name: str, line: str) -> bool:
        """Carry out a command of a plugin; whatever that raises is printed."""
        command = self._plugins.command(name) if self._plugins else None
        if command is None:
            self.fail(f"*** Unknown syntax: {line}")
            return False
        try:
            return bool(command(line.partition(name)[2].strip()))
        except Exception as error:
            self.fail(f"error: {type(error).__name__}: {error}")
            return False

    def _authenticate(self, line: str, error: Refused) -> bool:
        self.fail("Server requires authentication")
        if not self.interactive:
            self.output(f"error: {error}")
            return False
        from getpass import getpass

        self.username, self.password = input("Username:"), getpass("Password:")
        self.client = Client(self.url, self.username, self.password)
        self.status = OK
        return self.run(line)

    def is_up(self) -> bool:
        """Say whether a supervisord answers whose interface is the one that we know."""
        try:
            version = self.ask("getVersion")
        except ConnectionRefusedError:
            self.fail(f"{self.url} refused connection", NO_SERVER)
            return False
        except FileNotFoundError:
            self.fail(f"{self.url} no such file", NOT_RUNNING)
            return False
        except RemoteFault as fault:
            if fault.number != 1:
                raise
            self.fail(
                "Sorry, supervisord responded but did not recognize the supervisor namespace commands that "
                "supervisorctl uses to control it.  Please check that the [rpcinterface:supervisor] section is "
                "enabled in the configuration file (see sample.conf).",
                NO_INTERFACE,
            )
            return False
        if version != API_VERSION:
            self.fail(
                f"Sorry, this version of supervisorctl expects to talk to a server with API version {API_VERSION}, "
                f"but the remote version is {version}.",
                5,
            )
        return bool(version == API_VERSION)

    def _note(self, code: int, ignored: int = 80) -> None:
        if code not in (80, ignored):
            self.status = NOT_RUNNING if code in _DEAD_FAULTS else GENERIC

    def _usage(self, command: str, text: str, status: int = GENERIC) -> None:
        self.fail(text, status)
        self.output(COMMANDS[command])

    # ------------------------------------------------------------------ look

    def do_status(self, names: list[str]) -> None:
        """Print the state of processes."""
        if not self.is_up():
            self.status = 4
            return
        infos = self.ask("getAllProcessInfo")
        if names and "all" not in names:
            infos = [info for name in names for info in self._matching(name, infos)]
        called = [namespec(info["group"], info["name"]) for info in infos]
        width = max([30, *map(len, called)]) + 3
        for name, info in zip(called, infos, strict=True):
            self.output(f"{name:<{width}}{info['statename']:<10}{info['description']}")
            if info["state"] in _AT_REST:
                self.status = 3

    def _matching(self, name: str, infos: list[dict[str, Any]]) -> list[dict[str, Any]]:
        group, process = _split(name)
        found = [info for info in infos if info["group"] == group and process in (None, info["name"])]
        if not found:
            what = f"{group}: ERROR (no such group)" if process is None else f"{name}: ERROR (no such process)"
            self.fail(what, 4)
        return found

    def do_pid(self, names: list[str]) -> None:
        """Print pids."""
        if not self.is_up():
            return
        if not names:
            self.output(str(self.ask("getPID")))
        elif "all" in names:
            for info in self.ask("getAllProcessInfo"):
                self.output(str(info["pid"]))
        else:
            for name in names:
                self._pid(name)

    def _pid(self, name: str) -> None:
        try:
            pid = self.ask("getProcessInfo", name)["pid"]
        except RemoteFault as fault:
            if fault.number != 10:
                raise
            self.fail(f"No such process {name}")
            return
        self.output(str(pid))
        if not pid:
            self.status = NOT_RUNNING

    def do_avail(self, words: list[str]) -> None:
        """Print what is configured."""
        if self._too_many("avail", words):
            return
        for info in self._unless_ending("getAllConfigInfo", "ERROR: supervisor shutting down") or []:
            used = "in use" if info["inuse"] else "avail"
            start = "auto" if info["autostart"] else "manual"
            name = namespec(info["group"], info["name"])
            self.output(f"{name:<32} {used:<9} {start:<9} {info['group_prio']}:{info['process_prio']}")

    def do_version(self, words: list[str]) -> None:
        """Print the version of supervisord."""
        if not self._too_many("version", words) and self.is_up():
            self.output(self.ask("getSupervisorVersion"))

    def _too_many(self, command: str, words: list[str]) -> bool:
        if words:
            self._usage(command, f"Error: {command} accepts no arguments")
        return bool(words)

    def _unless_ending(self, method: str, text: str) -> Any:
        """Call a method; print ``text`` if supervisord is ending."""
        try:
            return self.ask(method)
        except RemoteFault as fault:
            if fault.number != 6:
                raise
            self.fail(text)
            return None

    # ------------------------------------------------------------------ steer

    def do_start(self, names: list[str]) -> None:
        """Start processes."""
        if not self.is_up():
            return
        if not names:
            self._usage("start", "Error: start requires a process name", BAD_ARGUMENTS)
            return
        self._each(names, ("startAllProcesses", "startProcessGroup", "startProcess"), (), _START, "started", 60,
                   BAD_ARGUMENTS)  # fmt: skip

    def do_stop(self, names: list[str]) -> None:
        """Stop processes."""
        if not self.is_up():
            return
        if not names:
            self._usage("stop", "Error: stop requires a process name")
            return
        self._each(names, ("stopAllProcesses", "stopProcessGroup", "stopProcess"), (), _SIGNAL, "stopped", 70)

    def do_restart(self, names: list[str]) -> None:
        """Stop processes, then start them."""
        if not self.is_up():
            return
        if not names:
            self._usage("restart", "Error: restart requires a process name")
            return
        self.do_stop(names)
        self.do_start(names)

    def do_signal(self, words: list[str]) -> None:
        """Send a signal."""
        if not self.is_up():
            return
        if len(words) < 2:
            self._usage("signal", "Error: signal requires a signal name and a process name")
            return
        methods = ("signalAllProcesses", "signalProcessGroup", "signalProcess")
        self._each(words[1:], methods, (words[0],), _SIGNAL, "signalled", 80)

    def _each(
        self,
        names: list[str],
        methods: tuple[str, str, str],
        extra: tuple[str, ...],
        texts: dict[int, str],
        success: str,
        ignored: int,
        unknown_group: int = GENERIC,
    ) -> None:
        """Do the same to all processes, groups or processes named, and print what became of each."""
        if "all" in names:
            self._results(self.ask(methods[0], *extra), texts, success, ignored)
            return
        for name in names:
            group, process = _split(name)
            try:
                if process is None:
                    self._results(self.ask(methods[1], group, *extra), texts, success, ignored)
                    continue
                self.ask(methods[2], name, *extra)
                result = {"group": group, "name": process, "status": 80, "description": ""}
            except RemoteFault as fault:
                if process is None:
                    if fault.number != 10:
                        raise
                    self.fail(f"{group}: ERROR (no such group)", unknown_group)
                    continue
                result = {"group": group, "name": process, "status": fault.number, "description": fault.text}
            self._results([result], texts, success, ignored)

    def _results(self, results: list[dict[str, Any]], texts: dict[int, str], success: str, ignored: int) -> None:
        for result in results:
            name, code = namespec(result["group"], result["name"]), result["status"]
            if code == 80:
                self.output(f"{name}: {success}")
            elif code in texts:
                self.output(f"{name}: ERROR ({texts[code]})")
            else:
                self.output(f"{name}: ERROR ({result['description']})")
            self._note(code, ignored)

    def do_clear(self, names: list[str]) -> None:
        """Empty logs."""
        if not self.is_up():
            return
        if not names:
            self._usage("clear", "Error: clear requires a process name")
            return
        self._each(names, ("clearAllProcessLogs", "clearProcessLogs", "clearProcessLogs"), (), _CLEAR, "cleared", 80)

    def do_add(self, names: list[str]) -> None:
        """Add groups."""
        texts = {6: "ERROR: shutting down", 90: "ERROR: process group already active"}
        for name in names:
            try:
                self.ask("addProcessGroup", name)
                self.output(f"{name}: added process group")
            except RemoteFault as fault:
                text = {**texts, 10: f"ERROR: no such process/group: {name}"}.get(fault.number)
                if text is None:
                    raise
                self.output(text)
                if fault.number != 90:
                    self.status = GENERIC

    def do_remove(self, names: list[str]) -> None:
        """Remove groups."""
        for name in names:
            try:
                self.ask("removeProcessGroup", name)
                self.output(f"{name}: removed process group")
            except RemoteFault as fault:
                texts = {91: f"ERROR: process/group still running: {name}", 10: f"ERROR: no such process/group: {name}"}
                if fault.number not in texts:
                    raise
                self.fail(texts[fault.number])

    def do_reread(self, words: list[str]) -> None:
        """Print what changed in the configuration."""
        if self._too_many("reread", words):
            return
        changes = self._reload_config("ERROR: supervisor shutting down")
        if changes is None:
            return
        kinds = zip(changes, ("available", "changed", "disappeared"), strict=True)
        lines = sorted(f"{name}: {word}" for names, word in kinds for name in names)
        for line in lines or ["No config updates to processes"]:
            self.output(line)

    def _reload_config(self, ending: str) -> Any:
        try:
            found = self._unless_ending("reloadConfig", ending)
        except RemoteFault as fault:
            if fault.number != 92:
                raise
            self.fail(f"ERROR: {fault.text}")
            return None
        return found[0] if found is not None else None

    def do_update(self, names: list[str]) -> None:
        """Apply what changed in the configuration."""
        changes = self._reload_config("ERROR: already shutting down")
        if changes is None:
            return
        added, changed, removed = changes
        wanted = set() if "all" in names else set(names)
        if wanted:
            known = {info["group"] for info in self.ask("getAllProcessInfo")} | set(added)
            for name in sorted(wanted - known):
                self.fail(f"ERROR: no such group: {name}")

        def meant(groups: list[str]) -> list[str]:
            return [group for group in groups if not wanted or group in wanted]

        for name in meant(removed):
            self._remove_stopped(name)
        for name in meant(changed):
            self.ask("stopProcessGroup", name)
            self.output(f"{name}: stopped")
            self.ask("removeProcessGroup", name)
            self.ask("addProcessGroup", name)
            self.output(f"{name}: updated process group")
        for name in meant(added):
            self.ask("addProcessGroup", name)
            self.output(f"{name}: added process group")

    def _remove_stopped(self, name: str) -> None:
        results = self.ask("stopProcessGroup", name)
        self.output(f"{name}: stopped")
        if any(result["status"] == 30 for result in results):
            self.fail(f"{name}: has problems; not removing")
            return
        self.ask("removeProcessGroup", name)
        self.output(f"{name}: removed process group")

    def do_reload(self, words: list[str]) -> None:
        """Restart supervisord."""
        if self._too_many("reload", words) or not self._really("Really restart the remote supervisord process y/N? "):
            return
        if self._unless_ending("restart", "ERROR: already shutting down"):
            self.output("Restarted supervisord")

    def do_shutdown(self, words: list[str]) -> None:
        """End supervisord."""
        question = "Really shut the remote supervisord process down y/N? "
        if self._too_many("shutdown", words) or not self._really(question):
            return
        status = self.status
        try:
            if self._unless_ending("shutdown", "ERROR: already shutting down"):
                self.output("Shut down")
            self.status = status
        except ConnectionRefusedError:
            self.fail(f"ERROR: {self.url} refused connection (already shut down?)")
        except FileNotFoundError:
            self.fail(f"ERROR: {self.url} no such file (already shut down?)")

    def _really(self, question: str) -> bool:
        return not self.interactive or input(question).lower().startswith("y")

    # ------------------------------------------------------------------ logs

    def do_tail(self, words: list[str]) -> None:
        """Print the end of a log."""
        if not self.is_up():
            return
        if not words:
            self._usage("tail", "Error: too few arguments")
            return
        modifier = words.pop(0) if words[0].startswith("-") else f"-{_TAIL}"
        if not 1 <= len(words) <= 2:
            self._usage("tail", "Error: tail requires process name" if not words else "Error: too many arguments")
            return
        name, channel = words[0], words[1].lower() if len(words) == 2 else "stdout"
        if channel not in ("stdout", "stderr"):
            self.fail(f"Error: bad channel {channel!r}")
        elif modifier == "-f":
            self._follow(f"/logtail/{name}/{channel}")
        elif (count := self._bytes(modifier)) >= 0:
            self._print_log(name, f"readProcess{channel.title()}Log", name, -count, 0)

    def do_maintail(self, words: list[str]) -> None:
        """Print the end of supervisord's own log."""
        if not self.is_up():
            return
        if len(words) > 1:
            self._usage("maintail", "Error: too many arguments")
        elif words == ["-f"]:
            self._follow("/mainlogtail")
        elif (count := self._bytes(words[0] if words else f"-{_TAIL}")) >= 0:
            self._print_log("supervisord", "readLog", -count, 0)

    def _bytes(self, word: str) -> int:
        """Read ``-100``; -1: that is no number, which is told."""
        if word.startswith("-") and word[1:].isdecimal():
            return int(word[1:])
        self.fail(f"Error: bad argument {word}")
        return -1

    def _print_log(self, name: str, method: str, *params: Any) -> None:
        try:
            self.output(self.ask(method, *params))
        except RemoteFault as fault:
            texts = {20: "no log file", 30: "unknown error reading log", 10: "no such process name"}
            if fault.number not in texts:
                raise
            self.fail(f"{name}: ERROR ({texts[fault.number]})")

    def _follow(self, path: str) -> None:
        self.output("==> Press Ctrl-C to exit <==")
        client = Client(self.url, self.username, self.password)
        try:
            for piece in client.stream(path):
                sys.stdout.write(piece.decode("utf-8", "replace"))
                sys.stdout.flush()
        except KeyboardInterrupt:
            self.output("")
        finally:
            client.close()

    def do_fg(self, names: list[str]) -> None:
        """Connect the terminal with a process."""
        if not self.is_up():
            return
        if len(names) != 1:
            self.fail("ERROR: too many process names supplied" if names else "ERROR: no process name supplied")
            return
        try:
            info = self.ask("getProcessInfo", names[0])
        except RemoteFault as fault:
            if fault.number != 10:
                raise
            self.fail("ERROR: bad process name supplied")
            return
        if info["state"] != _RUNNING:
            self.fail("ERROR: process not running")
            return
        self.output("==> Press Ctrl-C to exit <==")
        from genii.supervisord.foreground import watch_logs

        with watch_logs(self, names[0]):
            self._write_lines(names[0])
        self.output("Exiting foreground")

    def _write_lines(self, name: str) -> None:
        """Send what is typed to a process, until it or the user ends."""
        while True:
            try:
                line = input()
            except (EOFError, KeyboardInterrupt):
                return
            try:
                self.ask("sendProcessStdin", name, line + "\n")
                running = self.ask("getProcessInfo", name)["state"] == _RUNNING
            except RemoteFault as fault:
                running = fault.number != 70
                if running:
                    self.output(f"ERROR: {fault.text}")
                    return
            if not running:
                self.output("Process got killed")
                return

    # ------------------------------------------------------------------ the session itself

    def do_open(self, words: list[str]) -> None:
        """Talk to another supervisord."""
        url = " ".join(words)
        if url.partition("://")[0] not in ("unix", "http"):
            self.fail("ERROR: url must be http:// or unix://")
            return
        self.client.close()
        self.url = url
        self.client = Client(url, self.username, self.password)
        status = self.status
        self.do_status([])
        self.status = status

    def do_help(self, words: list[str]) -> None:
        """Tell about commands."""
        if words:
            text = COMMANDS.get(words[0]) or (self._plugins.help(words[0]) if self._plugins else None)
            if text != "":
                self.output(text or f"*** No help on {words[0]}")
            return
        title = "default commands (type help <topic>):"
        self.output(f"\n{title}\n{'=' * len(title)}")
        names = self.commands
        for start in range(0, len(names), 8):
            self.output("  ".join(f"{name:<8}" for name in names[start : start + 8]).rstrip())
        self.output("")

    def do_quit(self, _words: list[str]) -> bool:
        """Leave the shell."""
        return True

    do_exit = do_quit


def _split(name: str) -> tuple[str, str | None]:
    """Return group and process of a name; no process: the whole group is meant."""
    group, colon, process = name.partition(":")
    if not colon:
        return group, group
    return group, None if process in ("", "*") else process
