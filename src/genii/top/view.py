"""What is shown and what a key does about it: keys and a model in, wishes out. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from genii.top import palette
from genii.top.model import alarming, together
from genii.top.palette import PAGES
from genii.top.tables import TABLES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from genii.control.rows import StatusRow
    from genii.top.model import Model
    from genii.top.tables import Entry

__all__ = ["COLUMNS", "SIGNALS", "Place", "View", "Wish"]

COLUMNS = ("as declared", "name", "state", "up", "restarts", "cpu", "memory")
SIGNALS = ("HUP", "USR1", "USR2", "INT", "TERM", "QUIT", "CONT", "STOP", "KILL")
_ORDER = {"FATAL": 0, "UNKNOWN": 0, "BACKOFF": 1, "EXITED": 2, "STARTING": 3, "STOPPING": 3, "RUNNING": 4, "STOPPED": 5}
_STEPS = {"up": -1, "k": -1, "down": 1, "j": 1}


class Wish(NamedTuple):
    """What the view asks for.

    ``quit``; ``log`` (follow the log of a process); ``act`` (one of the API's actions); ``input`` (a line for a
    process); ``ask`` (the figures of a page, again and again); ``cancel`` (a job), ``drain-server``.
    """

    kind: str
    action: str = ""
    names: tuple[str, ...] = ()
    numbers: tuple[int, int] = (0, 0)
    signal: str = ""
    text: str = ""
    server: str = ""


class Place:
    """Where one is in a table: the bar, what is above the screen, order and filter."""

    def __init__(self) -> None:
        self.cursor = ""
        """Which row the bar is on."""
        self.at = 0
        """Its number, for when it is gone."""
        self.top = 0
        self.sort = 0
        self.down = False
        self.filter = ""

    def keep_in_view(self, keys: list[str], height: int) -> None:
        """Have the bar on a row that there is, and that row on the screen."""
        if self.cursor not in keys:
            self.cursor = keys[min(self.at, len(keys) - 1)] if keys else ""
        if not keys:
            self.top = 0
            return
        self.at = keys.index(self.cursor)
        self.top = max(0, min(self.top, self.at, max(0, len(keys) - height)))
        if self.at >= self.top + height:
            self.top = self.at - height + 1

    def move(self, key: str, keys: list[str], height: int) -> None:
        """Take the bar elsewhere."""
        steps = {**_STEPS, "page-up": -height, "page-down": height, "home": -len(keys), "end": len(keys)}
        if key in steps and keys:
            self.cursor = keys[max(0, min(len(keys) - 1, self.at + steps[key]))]
            self.keep_in_view(keys, height)


class View:
    """The state of the screen."""

    def __init__(self) -> None:
        self.page = "processes"
        """One of ``PAGES``, or ``log``, ``queue`` (the jobs of a function), ``help``."""
        self.before = "processes"
        """The page that one came from."""
        self.places = {page: Place() for page in ("processes", *TABLES)}
        self.attention = False
        self.selected: set[str] = set()
        self.folded: set[str] = set()
        """Programs whose processes are one row."""
        self.message = ""
        self.failed = False
        self.prompt = ""
        """What is asked for in the last line; empty: nothing."""
        self.answer = ""
        self._done: Callable[[str], Wish | None] = lambda _: None
        self._choices: Sequence[str] = ()
        self.log_name = ""
        self.attached = False
        """Whether what is typed goes to the process whose log is shown."""
        self.search = ""
        self.wrap = False
        self.paused: list[str] | None = None
        """The lines that are shown although more have come; None: it goes on."""
        self.back = 0
        """How many lines above the end of the log, or of the events, one looks."""
        self.function = ("", "")
        """The job server and the function whose jobs are shown."""

    # ------------------------------------------------------------------ what is shown

    @property
    def place(self) -> Place:
        """Where one is in the table that is shown, or was shown last."""
        page = self.page if self.page in self.places else self.before
        return self.places.get(page, self.places["processes"])

    def shown(self, model: Model) -> list[StatusRow]:
        """Return the processes of the table, in order; those of a folded program are one row under its name."""
        place = self.places["processes"]
        words = place.filter.lower().split()
        rows = [
            row
            for row in self._folded(model)
            if (not self.attention or alarming(row))
            and all(word in f"{row['name']} {row['state']} {row['reason']}".lower() for word in words)
        ]
        if place.sort:
            rows.sort(key=lambda row: self._key(row, model), reverse=place.down)
        return rows

    def _folded(self, model: Model) -> list[StatusRow]:
        if not self.folded:
            return list(model.rows.values())
        groups: dict[str, list[StatusRow]] = {}
        for row in model.rows.values():
            groups.setdefault(row["program"], []).append(row)
        found: list[StatusRow] = []
        for program, rows in groups.items():
            found += [together(rows)] if program in self.folded and len(rows) > 1 else rows
        return found

    def _key(self, row: StatusRow, model: Model) -> tuple[float, str]:
        cpu, memory = model.used(row) or (-1.0, -1)
        value = {
            "name": 0.0,
            "state": float(_ORDER.get(row["state"], 2)),
            "up": row["started"] if row["pid"] else float("inf"),
            "restarts": -float(row["restarts"]),
            "cpu": -cpu,
            "memory": -float(memory),
        }[COLUMNS[self.places["processes"].sort]]
        return value, row["name"]

    def entries(self, model: Model, now: float = 0.0, offset: int = 0) -> list[Entry]:
        """Return the rows of a table of pools, jobs or schedules, in order."""
        place = self.place
        words = place.filter.lower().split()
        rows = TABLES[self.page].rows(model, now, offset)
        rows = [row for row in rows if all(word in " ".join(row.cells).lower() for word in words)]
        if place.sort:
            column = place.sort - 1
            rows.sort(key=lambda row: row.order[column], reverse=place.down)
        return rows

    def lines(self, model: Model) -> list[str]:
        """Return the lines of the log that match the search."""
        lines = list(model.lines) if self.paused is None else self.paused
        return [line for line in lines if self.search.lower() in line.lower()] if self.search else lines

    # ------------------------------------------------------------------ what keys do

    def press(self, key: str, model: Model, height: int) -> Wish | None:
        """Take one key; ``height`` is the number of rows on the screen."""
        if self.prompt:
            return self._type(key)
        self.message = ""
        common = self._common(key, model)
        if common is not None:
            return common if common.kind else None
        if self.page == "log":
            return self._press_in_log(key, model, height)
        if self.page == "events":
            self._scroll(key, len(model.events), height)
        elif self.page == "processes":
            return self._press_in_processes(key, model, height)
        elif self.page in TABLES:
            return self._press_in_table(key, model, height)
        return None

    def _common(self, key: str, model: Model) -> Wish | None:
        """Take a key that means the same on all pages; a wish without a kind says that it was one."""
        if key == "q" and self.page in PAGES:
            return Wish("quit")
        if key == "?":
            self._show("help" if self.page != "help" else self.before)
        elif key in ("escape", "q", "left") and self.page not in PAGES:
            return self.leave()
        elif key == "escape":
            self._reset()
        elif key == "tab" or (key.isdigit() and "1" <= key <= str(len(PAGES))):
            number = (PAGES.index(self.page) + 1) % len(PAGES) if key == "tab" and self.page in PAGES else 0
            return self.go(PAGES[number if key == "tab" else int(key) - 1])
        elif key == "e":
            return self.go("events")
        elif key == ":":
            self._choices = (*model.rows, *dict.fromkeys(row["program"] for row in model.rows.values()))
            self._ask(": ", lambda text: self._obey(text, model))
        else:
            return None
        return Wish("")

    def _show(self, page: str) -> None:
        if self.page not in ("help", "log"):
            self.before = self.page
        self.page = page
        self.attached = False

    def _reset(self) -> None:
        """Take filter, selection and the restriction away; on another page than the first, go there."""
        place = self.place
        if self.page != "processes" and not place.filter:
            self.go("processes")
        place.filter = ""
        if self.page == "processes":
            self.attention = False
            self.selected.clear()

    def go(self, page: str) -> Wish:
        """Show another page; what it shows has to be asked for."""
        self._show(page)
        self.back = 0
        return Wish("ask", page)

    def leave(self) -> Wish:
        """Go back to where one came from."""
        if self.page == "queue":
            return self.go("jobs")
        self._show(self.before)
        return Wish("ask", self.page, names=self.function)

    def _press_in_log(self, key: str, model: Model, height: int) -> Wish | None:
        if key == "/":
            self._ask("search: ", self._search)
        elif key in ("p", "space"):
            self.paused = list(model.lines) if self.paused is None else None
            self.back = 0
        elif key == "f":
            self.paused, self.back = None, 0
        elif key == "w":
            self.wrap = not self.wrap
        elif key == "a":
            self._attach(self.log_name)
        else:
            if key in ("up", "k", "page-up", "home") and self.paused is None:
                self.paused = list(model.lines)
            self._scroll(key, len(self.lines(model)), height)
        return None

    def _scroll(self, key: str, lines: int, height: int) -> None:
        most = max(0, lines - height)
        steps = {
            "up": 1,
            "k": 1,
            "down": -1,
            "j": -1,
            "page-up": height,
            "page-down": -height,
            "home": most,
            "end": -most,
        }
        self.back = max(0, min(most, self.back + steps.get(key, 0)))

    def _press_in_list(self, key: str, keys: list[str], height: int, columns: int) -> bool:
        """Take a key that means the same in all tables; say whether it was one."""
        place = self.place
        place.keep_in_view(keys, height)
        if key in ("<", ">"):
            place.sort = (place.sort + (1 if key == ">" else -1)) % columns
        elif key == "o":
            place.down = not place.down
        elif key == "/":
            self._ask("filter: ", self._set_filter, place.filter)
        else:
            before = place.cursor
            place.move(key, keys, height)
            return place.cursor != before
        return True

    def _press_in_processes(self, key: str, model: Model, height: int) -> Wish | None:
        names = [row["name"] for row in self.shown(model)]
        if self._press_in_list(key, names, height, len(COLUMNS)):
            return None
        if key == "!":
            self.attention = not self.attention
        elif key == "G":
            self.folded = set() if self.folded else {row["program"] for row in model.rows.values()}
        elif names:
            return self._press_on_process(key, model)
        return None

    def _press_on_process(self, key: str, model: Model) -> Wish | None:
        cursor = self.place.cursor
        row = model.rows.get(cursor)
        program = row["program"] if row else cursor
        names = tuple(sorted(self.selected & (model.rows.keys() | self.folded))) or (cursor,)
        if key == "g":
            self.folded ^= {program}
            members = [each["name"] for each in model.members(program)]
            self.place.cursor = program if program in self.folded and len(members) > 1 else members[0]
        elif key == "space":
            self.selected ^= {cursor}
        elif key in ("enter", "l", "a"):
            name = cursor if row else model.members(program)[0]["name"]
            return self.open_log(name, attach=key == "a")
        elif key in ("+", "-"):
            self._ask_number(program, model)
        else:
            return self._steer(key, names, model)
        return None

    def _steer(self, key: str, names: tuple[str, ...], model: Model) -> Wish | None:
        """Take a key that starts, stops, restarts, reloads or sends a signal."""
        rows = [row for row in model.rows.values() if row["name"] in names or row["program"] in names]
        if key == "s":
            if not any(row["pid"] or row["state"] == "BACKOFF" for row in rows):
                return Wish("act", "start", names)
            self._confirm("stop", names)
        elif key == "r":
            if len(rows) == 1:
                return Wish("act", "restart", names)
            self._confirm("restart", names)
        elif key == "R":
            return Wish("act", "reload", names)
        elif key == "x":
            self._ask(
                f"signal for {_few(names)} ({' '.join(SIGNALS)}): ", lambda text: self._signal(text, names), "HUP"
            )
        return None

    def _press_in_table(self, key: str, model: Model, height: int) -> Wish | None:
        rows = self.entries(model)
        keys = [row.key for row in rows]
        if self._press_in_list(key, keys, height, len(TABLES[self.page].columns) + 1):
            return None
        cursor = self.place.cursor
        if not rows:
            return None
        if self.page == "pools":
            return self._press_on_pool(key, cursor, model)
        if self.page == "schedules":
            return self._press_on_schedule(key, cursor, model)
        if self.page == "queue":
            if key == "c":
                self._confirm("cancel", (cursor,), Wish("cancel", names=(cursor,), server=self.function[0]))
            return None
        return self._press_on_function(key, cursor)

    def _press_on_pool(self, key: str, program: str, model: Model) -> Wish | None:
        if key == "enter":
            self.places["processes"].filter = f"{program}"
            return self.go("processes")
        if key == "p":
            told = model.pools.get(program)
            return Wish("act", "resume" if told and told["paused"] else "pause", (program,))
        if key == "d":
            self._confirm("drain", (program,))
        elif key == "r":
            self._confirm("restart one by one", (program,), Wish("act", "restart", (program,), text="rolling"))
        elif key in ("+", "-"):
            self._ask_number(program, model)
        else:
            return self._steer(key, (program,), model)
        return None

    def _press_on_schedule(self, key: str, program: str, model: Model) -> Wish | None:
        members = model.members(program)
        if key in ("enter", "l") and members:
            return self.open_log(members[0]["name"])
        return self._steer(key, (program,), model) if members else None

    def _press_on_function(self, key: str, cursor: str) -> Wish | None:
        server, _, function = cursor.partition(" ")
        if key in ("enter", "l"):
            self.function = (server, function)
            self._show("queue")
            return Wish("ask", "queue", (server, function))
        if key == "d":
            self._confirm("drain the job server", (server,), Wish("drain-server", server=server))
        return None

    def open_log(self, name: str, *, attach: bool = False) -> Wish:
        """Show the log of a process; with ``attach`` what is typed goes to the process."""
        self._show("log")
        self.log_name, self.paused, self.back, self.search = name, None, 0, ""
        if attach:
            self._attach(name)
        return Wish("log", names=(name,))

    # ------------------------------------------------------------------ the last line

    def _ask(self, prompt: str, done: Callable[[str], Wish | None], answer: str = "") -> None:
        self.prompt, self.answer, self._done = prompt, answer, done

    def _type(self, key: str) -> Wish | None:
        if key == "enter":
            self.prompt, answer = "", self.answer
            return self._done(answer)
        if key == "escape":
            self.prompt, self.attached = "", False
        elif key == "backspace":
            self.answer = self.answer[:-1]
        elif key == "tab" and self.prompt == ": ":
            self.answer = palette.complete(self.answer, self._choices)
        elif key == "space" or len(key) == 1:
            self.message = ""
            self.answer += " " if key == "space" else key
        return None

    def _attach(self, name: str) -> None:
        """Have lines typed for a process until somebody has enough of it."""

        def done(text: str) -> Wish:
            self._attach(name)
            return Wish("input", names=(name,), text=text)

        self.attached = True
        self.paused, self.back = None, 0
        self._ask(f"to {name} (esc to end): ", done)

    def _confirm(self, action: str, names: tuple[str, ...], wish: Wish | None = None) -> None:
        def done(answer: str) -> Wish | None:
            if answer.strip().lower() in ("y", "yes"):
                return wish or Wish("act", action, names)
            self.message = "left as it is"
            return None

        self._ask(f"{action} {_few(names)}? [y/N] ", done)

    def _set_filter(self, text: str) -> None:
        self.place.filter, self.place.top = text, 0

    def _search(self, text: str) -> None:
        self.search, self.back = text, 0

    def _signal(self, text: str, names: tuple[str, ...]) -> Wish | None:
        return Wish("act", "signal", names, signal=text.strip().upper()) if text.strip() else None

    def _ask_number(self, program: str, model: Model) -> None:
        told = model.pools.get(program)
        have = f"{told['minimum']}..{told['maximum']}" if told else str(len(model.members(program)))
        self._ask(f"how many of {program}: ", lambda text: self._scale(program, text), have)

    def _scale(self, program: str, text: str) -> Wish | None:
        numbers = palette.bounds(text)
        if numbers is None:
            self._complain(f"{text!r} is not a number; write 4 or 2..8")
            return None
        return Wish("act", "scale", (program,), numbers=numbers)

    def _complain(self, message: str) -> None:
        self.message, self.failed = message, True

    def _obey(self, text: str, model: Model) -> Wish | None:
        """Do what was said in words."""
        if not text.strip():
            return None
        order = palette.read(text, self._choices)
        if order.problem:
            self._complain(order.problem)
        elif order.verb in PAGES:
            return self.go(order.verb)
        elif order.verb == "quit":
            return Wish("quit")
        elif order.verb == "help":
            self._show("help")
        elif order.verb == "filter":
            self.place.filter = order.value
        elif order.verb == "signal":
            return self._signal(order.value, order.names)
        elif order.verb == "scale":
            return self._scale(order.names[0], order.value)
        elif order.verb in ("log", "attach"):
            name = order.names[0]
            members = model.members(name)
            return self.open_log(members[0]["name"] if members else name, attach=order.verb == "attach")
        elif order.verb in ("stop", "restart", "drain"):
            self._confirm(order.verb, order.names)
        else:
            return Wish("act", order.verb, order.names)
        return None


def _few(names: tuple[str, ...]) -> str:
    return names[0] if len(names) == 1 else f"{len(names)} processes"
