"""The lines of the screen, from what is known and what is shown. No I/O."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from genii.top.model import alarming, word_of
from genii.top.view import COLUMNS
from genii.units import format_duration

if TYPE_CHECKING:
    from genii.control.rows import StatusRow
    from genii.top.model import Model
    from genii.top.view import View

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
_KEYS = {
    "table": "? help  enter log  / filter  < > sort  space select  s start/stop  r restart  x signal  + scale  q quit",
    "log": "esc back  / search  p pause  f to the end  up down scroll",
    "events": "esc back",
    "help": "esc back",
}
_HELP = """\
  j k  up down  page-up page-down     move
  enter  l                            the log of the process under the bar
  /                                   filter by name, state and reason (in a log: search)
  !                                   only those that need attention
  <  >                                sort by another column        o   the other way round
  space                               select; actions then are for all that are selected
  s                                   start, or stop after a question
  r  R                                restart, reload
  x                                   send a signal
  +  -                                change how many processes the program has
  e                                   what happened
  esc                                 back; in the table: filter and selection away
  q                                   leave; nothing is stopped by that"""


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
    if view.page == "table":
        lines = _table(view, model, style, width, body, now)
    elif view.page == "log":
        lines = _log(view, model, style, width, body)
    elif view.page == "events":
        lines = [style.paint(fit("What happened", width), "bold"), *_events(model, width, body, style.offset)]
    else:
        lines = [style.paint(fit("Keys", width), "bold"), *(fit(line, width) for line in _HELP.split("\n"))]
    lines = lines[: body + 1]
    lines += [" " * width] * (body + 1 - len(lines))
    return [_head(model, style, width, now), *lines, _message(view, model, style, width), _foot(view, style, width)]


def _head(model: Model, style: Style, width: int, now: float) -> str:
    rows = model.rows.values()
    running = sum(row["state"] == "RUNNING" for row in rows)
    alarms = sum(alarming(row) for row in rows)
    about = model.supervisor
    up = format_duration(float(int(max(0.0, now - about["started"])))) if about else ""
    left = f" genii {about.get('version', '')}  {clean(str(about.get('config', '')))}  up {up}" if about else " genii"
    counts = f"{len(rows)} processes, {running} running" + (f", {alarms} need attention" if alarms else "")
    live = "live " if model.connected else "NOT CONNECTED "
    right = f"{counts}  {live}"
    text = fit(left, max(0, width - len(right) - 1)) + " " + right
    return style.paint(fit(text, width), "bar")


def _table(view: View, model: Model, style: Style, width: int, body: int, now: float) -> list[str]:
    rows = view.shown(model)
    view.keep_in_view([row["name"] for row in rows], body)
    widest = max((len(row["name"]) for row in rows), default=4)
    name = max(8, min(widest + 1, (width - _FIXED) // 2 if width > _FIXED + 20 else width - _FIXED + 10))
    lines = [style.paint(fit(_heading(view, name), width), "bold")]
    lines += [_row(row, view, model, style, width, name, now) for row in rows[view.top : view.top + body]]
    if not rows:
        lines.append(fit("  nothing matches the filter" if model.rows else "", width))
    return lines


def _heading(view: View, name: int) -> str:
    sort = COLUMNS[view.sort]
    sign = "^" if view.down else "v"

    def title(text: str, key: str) -> str:
        return f"{text}{sign if sort == key else ''}"

    return (
        f"  {title('NAME', 'name'):<{name}} {title('STATE', 'state'):<12}{'PID':>8} {title('UP', 'up'):>9}"
        f" {title('RE', 'restarts'):>4} {title('CPU', 'cpu'):>17} {title('MEM', 'memory'):>9}  WHY"
    )


def _row(row: StatusRow, view: View, model: Model, style: Style, width: int, name: int, now: float) -> str:
    word = word_of(row)
    used = model.usage.get(row["name"]) if row["pid"] else None
    up = format_duration(float(int(max(0.0, now - row["started"])))) if row["pid"] and row["started"] else "-"
    graph = _graph(model, row, style)
    mark = "+" if row["name"] in view.selected else " "
    before = f"{mark} {fit(clean(row['name']), name)} "
    state = fit(f"{style.glyph(word)} {word}", 12)
    after = (
        f"{row['pid'] or '-':>8} {up:>9} {row['restarts'] or '-':>4} {graph} {f'{used[0]:.1f}%' if used else '-':>6}"
        f" {_size(used[1]) if used else '-':>9}  "
    )
    why = fit(clean(_why(row, now)), width - len(before) - 12 - len(after))
    if row["name"] == view.cursor:
        return style.paint(fit(before + state + after + why, width), "bar")
    room = max(0, width - len(before) - 12)
    return before + style.paint(state, _COLOURS.get(word, "dim")) + fit(after + why, room)


def _graph(model: Model, row: StatusRow, style: Style) -> str:
    curve = model.curves.get(row["name"]) if row["pid"] and style.unicode else None
    if not curve:
        return " " * 10
    most = max(5.0, *curve)
    return "".join(_BLOCKS[min(8, int(value / most * 8 + 0.5))] for value in curve).rjust(10)


def _size(size: int) -> str:
    return f"{size / (1 << 30):.1f} GiB" if size >= 1000 << 20 else f"{size / (1 << 20):.1f} MiB"


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
    state = "paused" if view.paused is not None else "live"
    found = f", {len(lines)} lines with {view.search!r}" if view.search else f", {len(lines)} lines"
    first = max(0, len(lines) - body - view.back)
    shown = lines[first : first + body] if lines else ["(nothing was written yet)"]
    title = style.paint(fit(f"Log of {clean(view.log_name)}: {state}{clean(found)}", width), "bold")
    return [title, *(_coloured(line, style, width) for line in shown)]


def _coloured(line: str, style: Style, width: int) -> str:
    """Return a line with its own colours, cut to the screen; all other control sequences are left out."""
    if "\x1b" not in line or not style.colour:
        return fit(clean(line), width)
    left, kept, at = width, [], 0
    for match in [*_ESCAPES.finditer(line), None]:
        text = clean(line[at : match.start() if match else len(line)])[:left]
        kept.append(fit(text, min(left, len(text))) if text else "")
        left -= len(text)
        if match is None:
            break
        at = match.end()
        if match[2] == "m":
            kept.append(f"\x1b[{match[1]}m")
    return "".join(kept) + "\x1b[0m" + " " * left


def _events(model: Model, width: int, body: int, offset: int) -> list[str]:
    lines = []
    for event in list(model.events)[-body:]:
        told = [f"{key}={value}" for key, value in event["data"].items() if value not in ("", None)]
        seconds = int(event["time"] + offset)
        when = f"{seconds // 3600 % 24:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
        lines.append(fit(clean(f"{when}  {event['name'] or 'genii'}  {event['kind']}  {' '.join(told)}"), width))
    return lines or [fit("  nothing happened since this view was opened", width)]


def _message(view: View, model: Model, style: Style, width: int) -> str:
    if view.prompt:
        return style.paint(fit(clean(view.prompt + view.answer) + "_", width), "bold")
    if not model.connected:
        return style.paint(fit(f"what you see is old: {clean(model.problem)}; trying again", width), "red")
    if view.message:
        return style.paint(fit(clean(view.message), width), "red" if view.failed else "green")
    parts = [
        f"filter: {clean(view.filter)}" if view.filter else "",
        "only what needs attention" if view.attention else "",
    ]
    parts.append(f"{len(view.selected)} selected" if view.selected else "")
    return style.paint(fit("  ".join(part for part in parts if part), width), "yellow")


def _foot(view: View, style: Style, width: int) -> str:
    return style.paint(fit(_KEYS[view.page], width), "dim")
