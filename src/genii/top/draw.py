"""The lines of the screen, from what is known and what is shown. No I/O."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from genii.top.model import alarming, word_of
from genii.top.palette import PAGES
from genii.top.tables import TABLES, size
from genii.top.view import COLUMNS
from genii.units import format_duration

if TYPE_CHECKING:
    from genii.control.rows import StatusRow
    from genii.top.model import Model
    from genii.top.tables import Column, Entry
    from genii.top.view import Place, View

__all__ = ["Style", "draw", "fit", "table_height"]

_CODES = {"red": "31", "green": "32", "yellow": "33", "blue": "34", "cyan": "36", "dim": "2", "bold": "1", "bar": "7"}
_GLYPHS = {"running": "●", "starting": "◐", "stopping": "◑", "backoff": "↻", "fatal": "✖", "failed": "✖", "exited": "◌",
           "stopped": "○", "unhealthy": "▲", "unknown": "?"}  # fmt: skip
_PLAIN = {"running": "*", "fatal": "!", "failed": "!", "unhealthy": "!", "backoff": "!", "unknown": "?"}
_COLOURS = {"running": "green", "starting": "yellow", "stopping": "yellow", "backoff": "yellow", "fatal": "red",
            "failed": "red", "unhealthy": "red", "unknown": "red"}  # fmt: skip
_BLOCKS = " ▁▂▃▄▅▆▇█"
_ESCAPES = re.compile(r"\x1b(?:\[([0-9;:]*)([@-~])|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\^_]?)")
_FIXED = 62
"""Columns that all but the name and the reason take."""
_ASCII = str.maketrans({"█": "#", "░": ".", "▮": "#", "▯": "-", "◐": "+", "◑": "-", "✖": "!", "·": ".", "…": "~"})
_KEYS = {
    "processes": "? help  enter log  / filter  < > sort  space select  s start/stop  r restart  + scale  : say  q quit",
    "pools": "? help  enter processes  p pause  d drain  + scale  r restart in turn  s start/stop  / filter  q quit",
    "jobs": "? help  enter look into the queue  d drain the server  / filter  < > sort  q quit",
    "queue": "esc back  c cancel  / filter  < > sort",
    "schedules": "? help  enter log  s run now, or stop  / filter  < > sort  q quit",
    "events": "? help  up down scroll  1 processes  q quit",
    "log": "esc back  / search  p pause  f to the end  w wrap  a attach  up down scroll",
    "help": "esc back",
}
_HELP = """\
  1 2 3 4 5  tab         processes, pools, jobs, schedules, events (e)
  j k  up down  page-up page-down  home end     move
  enter  l               open: a log; of a pool its processes; of a function its jobs
  a                      attach: follow the log, and send lines to a program with stdin = "pipe"
  /                      filter; in a log: search            !    only what needs attention
  <  >                   sort by another column              o    the other way round
  space                  select; actions then are for all that are selected
  g  G                   fold the processes of a program, of all programs
  s                      start, or stop after a question
  r  R  x                restart, reload, send a signal
  +  -                   change how many processes the program has
  p  d                   of a pool: pause, drain; of a job server: drain
  c                      of a job: cancel
  p  f  w                in a log: pause, to the end, wrap
  :                      say it: restart web, scale web=4, signal HUP web:0, log web:1 (tab completes)
  esc                    back; in a table: filter and selection away
  q                      leave; nothing is stopped by that"""


class Style:
    """What the terminal can show, and where it stands."""

    def __init__(self, *, colour: bool = True, unicode: bool = True, offset: int = 0) -> None:
        self.offset = offset
        """Seconds that the time here is ahead of UTC."""
        self.colour = colour
        self.unicode = unicode

    def paint(self, text: str, name: str) -> str:
        """Return a text in a colour; the bar is shown also without colours."""
        if not name or not (self.colour or name in ("bar", "bold")):
            return text
        return f"\x1b[{_CODES[name]}m{text}\x1b[0m"

    def glyph(self, word: str) -> str:
        """Return the sign of a state."""
        return _GLYPHS.get(word, "?") if self.unicode else _PLAIN.get(word, "-")


def clean(text: str) -> str:
    """Return a text without anything that a terminal would obey."""
    text = _ESCAPES.sub("", text) if "\x1b" in text else text
    return text if text.isprintable() else "".join(one if one.isprintable() else "·" for one in text.expandtabs())


def fit(text: str, width: int) -> str:
    """Cut or fill a clean text to some columns; wide characters take two."""
    if width <= 0:
        return ""
    if text.isascii():
        return text[: width - 1] + "~" if len(text) > width else text.ljust(width)
    from unicodedata import combining, east_asian_width

    used = 0
    kept: list[str] = []
    for one in text:
        size = 0 if combining(one) else 2 if east_asian_width(one) in "WF" else 1
        if used + size > width:
            return "".join(kept) + " " * (width - used)
        kept.append(one)
        used += size
    return "".join(kept) + " " * (width - used)


def table_height(height: int) -> int:
    """Return how many rows fit on the screen."""
    return max(1, height - 4)


def draw(view: View, model: Model, style: Style, width: int, height: int, now: float) -> list[str]:
    """Return ``height`` lines of ``width`` columns; ``now`` is the wall time."""
    body = table_height(height)
    if view.page == "processes":
        lines = _processes(view, model, style, width, body, now)
    elif view.page in TABLES:
        lines = _table(view, model, style, width, body, now)
    elif view.page == "log":
        lines = _log(view, model, style, width, body)
    elif view.page == "events":
        lines = [style.paint(fit("What happened", width), "bold"), *_events(view, model, width, body, style.offset)]
    else:
        lines = [style.paint(fit("Keys", width), "bold"), *(fit(line, width) for line in _HELP.split("\n"))]
    lines = lines[: body + 1]
    lines += [" " * width] * (body + 1 - len(lines))
    return [
        _head(view, model, style, width, now),
        *lines,
        _message(view, model, style, width),
        _foot(view, style, width),
    ]


def _head(view: View, model: Model, style: Style, width: int, now: float) -> str:
    rows = model.rows.values()
    running = sum(row["state"] == "RUNNING" for row in rows)
    alarms = sum(alarming(row) for row in rows)
    about = model.supervisor
    up = format_duration(float(int(max(0.0, now - about["started"])))) if about else ""
    pages = " ".join(
        f"[{number} {page}]" if page == view.page else f" {number} {page} " for number, page in enumerate(PAGES, 1)
    )
    left = f" {clean(str(about.get('config', '')))}  up {up}" if about else " genii"
    if width >= 100:
        left = f" genii {pages} {left}"
    counts = f"{len(rows)} processes, {running} running" + (f", {alarms} need attention" if alarms else "")
    live = "live " if model.connected else "NOT CONNECTED "
    right = f"{counts}  {live}"
    text = fit(left, max(0, width - len(right) - 1)) + " " + right
    return style.paint(fit(text, width), "bar")


def _processes(view: View, model: Model, style: Style, width: int, body: int, now: float) -> list[str]:
    rows, place = view.shown(model), view.place
    place.keep_in_view([row["name"] for row in rows], body)
    widest = max((len(row["name"]) for row in rows), default=4)
    name = max(8, min(widest + 1, (width - _FIXED) // 2 if width > _FIXED + 20 else width - _FIXED + 10))
    lines = [style.paint(fit(_heading(view, name), width), "bold")]
    lines += [_row(row, view, model, style, width, name, now) for row in rows[place.top : place.top + body]]
    if not rows:
        lines.append(fit("  nothing matches the filter" if model.rows else "", width))
    return lines


def _heading(view: View, name: int) -> str:
    sort = COLUMNS[view.place.sort]
    sign = "^" if view.place.down else "v"

    def title(text: str, key: str) -> str:
        return f"{text}{sign if sort == key else ''}"

    return (
        f"  {title('NAME', 'name'):<{name}} {title('STATE', 'state'):<12}{'PID':>8} {title('UP', 'up'):>9}"
        f" {title('RE', 'restarts'):>4} {title('CPU', 'cpu'):>17} {title('MEM', 'memory'):>9}  WHY"
    )


def _table(view: View, model: Model, style: Style, width: int, body: int, now: float) -> list[str]:
    table, place = TABLES[view.page], view.place
    rows = view.entries(model, now, style.offset)
    place.keep_in_view([row.key for row in rows], body)
    widths = _widths(table.columns, width - 2)
    lines = [style.paint(fit("  " + _titles(table.columns, widths, place), width), "bold")]
    lines += [_entry(row, table.columns, widths, place, style, width) for row in rows[place.top : place.top + body]]
    if not rows and view.page in model.asked:
        lines.append(fit(f"  {'nothing matches the filter' if place.filter else table.nothing}", width))
    elif not rows:
        lines.append(fit("  asking...", width))
    return lines


def _widths(columns: tuple[Column, ...], width: int) -> list[int]:
    """Return how wide columns are drawn: those without a width share what is left."""
    rest = width - sum(column.width + 1 for column in columns if column.width)
    return [column.width or max(12, rest) for column in columns]


def _titles(columns: tuple[Column, ...], widths: list[int], place: Place) -> str:
    found = []
    for index, (column, width) in enumerate(zip(columns, widths, strict=True)):
        mark = ("^" if place.down else "v") if place.sort == index + 1 else ""
        title = (column.title + mark)[:width]
        found.append(title.rjust(width) if column.figures else title.ljust(width))
    return " ".join(found)


def _entry(row: Entry, columns: tuple[Column, ...], widths: list[int], place: Place, style: Style, width: int) -> str:
    cells = []
    for cell, column, size_ in zip(row.cells, columns, widths, strict=True):
        text = clean(cell if style.unicode else cell.translate(_ASCII))
        cells.append(text.rjust(size_)[:size_] if column.figures else fit(text, size_))
    line = fit("  " + " ".join(cells), width)
    return style.paint(line, "bar" if row.key == place.cursor else row.colour)


def _row(row: StatusRow, view: View, model: Model, style: Style, width: int, name: int, now: float) -> str:
    word = word_of(row)
    used = model.used(row)
    up = format_duration(float(int(max(0.0, now - row["started"])))) if row["pid"] and row["started"] else "-"
    graph = _graph(model, row, style)
    mark = "+" if row["name"] in view.selected else " "
    before = f"{mark} {fit(clean(row['name']), name)} "
    state = fit(f"{style.glyph(word)} {word}", 12)
    after = (
        f"{row['pid'] or '-':>8} {up:>9} {row['restarts'] or '-':>4} {graph} {f'{used[0]:.1f}%' if used else '-':>6}"
        f" {size(used[1]) if used else '-':>9}  "
    )
    why = fit(clean(_why(row, now)), width - len(before) - 12 - len(after))
    if row["name"] == view.place.cursor:
        return style.paint(fit(before + state + after + why, width), "bar")
    room = max(0, width - len(before) - 12)
    return before + style.paint(state, _COLOURS.get(word, "dim")) + fit(after + why, room)


def _graph(model: Model, row: StatusRow, style: Style) -> str:
    curve = model.curves.get(row["name"]) if row["pid"] and style.unicode else None
    if not curve:
        return " " * 10
    most = max(5.0, *curve)
    return "".join(_BLOCKS[min(8, int(value / most * 8 + 0.5))] for value in curve).rjust(10)


def _why(row: StatusRow, now: float) -> str:
    parts = [row["reason"]]
    if row["next_attempt"] > now:
        parts.append(f"next attempt in {format_duration(float(int(row['next_attempt'] - now) + 1))}")
    if row["next_run"] > now:
        parts.append(f"next run in {format_duration(float(int(row['next_run'] - now) + 1))}")
    parts += ["busy" if row["busy"] else "", "adopted" if row["adopted"] else "", row["note"]]
    return ", ".join(part for part in parts if part)


def _log(view: View, model: Model, style: Style, width: int, body: int) -> list[str]:
    lines = view.lines(model)
    state = "attached" if view.attached else "paused" if view.paused is not None else "live"
    found = f", {len(lines)} lines with {view.search!r}" if view.search else f", {len(lines)} lines"
    title = style.paint(fit(f"Log of {clean(view.log_name)}: {state}{clean(found)}", width), "bold")
    if not lines:
        return [title, fit("(nothing was written yet)", width)]
    last = len(lines) - view.back
    if not view.wrap:
        first = max(0, last - body)
        return [title, *(_coloured(line, style, width, 1)[0] for line in lines[first : first + body])]
    shown: list[str] = []
    for line in reversed(lines[max(0, last - body) : last]):
        shown[:0] = _coloured(line, style, width, body)
        if len(shown) >= body:
            break
    return [title, *shown[-body:]]


def _coloured(line: str, style: Style, width: int, most: int) -> list[str]:
    """Return a line with its own colours as lines of the screen, ``most`` at the most; nothing else is obeyed."""
    if not style.colour or "\x1b" not in line:
        text = clean(line)
        return [fit(part, width) for part in _cut(text, width, most)]
    found: list[str] = []
    kept, left, at, colour = [""], width, 0, ""
    for match in [*_ESCAPES.finditer(line), None]:
        text = clean(line[at : match.start() if match else len(line)])
        while text and len(found) < most:
            part = _cut(text, left, 1)[0] if left else ""
            kept.append(part)
            left -= columns_of(part)
            text = text[len(part) :]
            if text:
                found.append("".join(kept) + "\x1b[0m" + " " * left)
                kept, left = [colour], width
        if match is None or len(found) >= most:
            break
        at = match.end()
        if match[2] == "m":
            colour = f"\x1b[{match[1]}m"
            kept.append(colour)
    if len(found) < most:
        found.append("".join(kept) + "\x1b[0m" + " " * left)
    return found


def columns_of(text: str) -> int:
    """Return how many columns a clean text takes; wide characters take two."""
    if text.isascii():
        return len(text)
    from unicodedata import combining, east_asian_width

    return sum(0 if combining(one) else 2 if east_asian_width(one) in "WF" else 1 for one in text)


def _cut(text: str, width: int, most: int) -> list[str]:
    """Cut a clean text into pieces of at most so many columns, so many pieces at the most; at least one."""
    if text.isascii():
        return [text[at : at + width] for at in range(0, min(len(text), width * most), width)] or [""]
    found: list[str] = []
    at = 0
    while at < len(text) and len(found) < most:
        end = min(len(text), at + width)
        while end > at and columns_of(text[at:end]) > width:
            end -= 1
        if end == at:  # not even one character fits
            break
        found.append(text[at:end])
        at = end
    return found or [""]


def _events(view: View, model: Model, width: int, body: int, offset: int) -> list[str]:
    lines = []
    events = list(model.events)
    last = max(0, len(events) - view.back)
    for event in events[max(0, last - body) : last]:
        told = [f"{key}={value}" for key, value in event["data"].items() if value not in ("", None)]
        seconds = int(event["time"] + offset)
        when = f"{seconds // 3600 % 24:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
        lines.append(fit(clean(f"{when}  {event['name'] or 'genii'}  {event['kind']}  {' '.join(told)}"), width))
    return lines or [fit("  nothing happened since this view was opened", width)]


def _message(view: View, model: Model, style: Style, width: int) -> str:
    if view.prompt:
        said = f"   {view.message}" if view.attached and view.failed else ""
        return style.paint(fit(clean(f"{view.prompt}{view.answer}_{said}"), width), "bold")
    if not model.connected:
        return style.paint(fit(f"what you see is old: {clean(model.problem)}; trying again", width), "red")
    if view.message:
        return style.paint(fit(clean(view.message), width), "red" if view.failed else "green")
    place = view.place
    parts = [
        f"jobs of {clean(view.function[1])} at {clean(view.function[0])}" if view.page == "queue" else "",
        f"filter: {clean(place.filter)}" if place.filter else "",
        "only what needs attention" if view.attention and view.page == "processes" else "",
        f"{len(view.selected)} selected" if view.selected and view.page == "processes" else "",
    ]
    return style.paint(fit("  ".join(part for part in parts if part), width), "yellow")


def _foot(view: View, style: Style, width: int) -> str:
    return style.paint(fit(_KEYS[view.page], width), "dim")
