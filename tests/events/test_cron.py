from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genii.events.cron import Calendar, parse

NEW_YORK = ZoneInfo("America/New_York")
LONDON = ZoneInfo("Europe/London")
LORD_HOWE = ZoneInfo("Australia/Lord_Howe")
TOKYO = ZoneInfo("Asia/Tokyo")
MINUTE = timedelta(minutes=1)
WEDNESDAY = datetime(2025, 6, 11, 10, 7, 30, tzinfo=UTC).timestamp()


def stamps(text: str, zone: tzinfo, start: str, count: int) -> list[str]:
    begin = datetime.fromisoformat(start).replace(tzinfo=zone).timestamp()
    runs = parse(text, zone).upcoming(begin, count)
    return [datetime.fromtimestamp(run, zone).strftime("%m-%d %H:%M:%S %z") for run in runs]


def matches(text: str, wall: datetime) -> bool:
    """Say whether five fields of numbers, stars, lists, ranges and steps match: a simple reading of crontab(5)."""

    def values(field: str, low: int, high: int) -> set[int]:
        found: set[int] = set()
        for term in field.split(","):
            span, _, step = term.partition("/")
            first, _, last = span.partition("-")
            begin, end = (low, high) if span == "*" else (int(first), int(last or first))
            found |= set(range(begin, end + 1, int(step or 1)))
        return found

    minute, hour, day, month, weekday = text.split()
    on_day = wall.day in values(day, 1, 31)
    on_weekday = (wall.weekday() + 1) % 7 in {number % 7 for number in values(weekday, 0, 7)}
    both = day.startswith("*") or weekday.startswith("*")
    return (
        wall.minute in values(minute, 0, 59)
        and wall.hour in values(hour, 0, 23)
        and wall.month in values(month, 1, 12)
        and (on_day and on_weekday if both else on_day or on_weekday)
    )


def vixie(text: str, zone: tzinfo, start: datetime, end: datetime) -> list[float]:
    """Run the clock minute by minute as cron(8) tells it: the oracle for the changes of the clocks."""
    minute, hour, *_ = text.split()
    wildcard = minute.startswith("*") or hour.startswith("*")
    runs = []
    virtual = start.astimezone(zone).replace(tzinfo=None) - MINUTE
    now = start
    while now < end:
        wall = now.astimezone(zone).replace(tzinfo=None)
        if wildcard:
            hit = matches(text, wall)
        else:
            hit = False
            while virtual < wall:
                virtual += MINUTE
                hit |= matches(text, virtual)
        if hit:
            runs.append(now.timestamp())
        now += MINUTE
    return runs


def between(text: str, zone: tzinfo, start: datetime, end: datetime) -> list[float]:
    expression = parse(text, zone)
    runs = []
    run = expression.next_after(start.timestamp() - 1)
    while run < end.timestamp():
        runs.append(run)
        run = expression.next_after(run)
    return runs


CHANGES = [
    (NEW_YORK, "2025-03-09"),
    (NEW_YORK, "2025-11-02"),
    (LONDON, "2025-03-30"),
    (LONDON, "2025-10-26"),
    (LORD_HOWE, "2025-10-05"),
    (LORD_HOWE, "2025-04-06"),
    (TOKYO, "2025-03-30"),
    (ZoneInfo("America/Sao_Paulo"), "2018-11-04"),  # midnight is skipped
    (ZoneInfo("Antarctica/Troll"), "2025-03-30"),  # two hours
    (ZoneInfo("Antarctica/Troll"), "2025-10-26"),
    (ZoneInfo("Asia/Kathmandu"), "2025-01-01"),  # 5:45 ahead of UTC
]
EXPRESSIONS = [
    "30 2 * * *", "0 2 * * *", "30 1 * * *", "0 1 * * *", "59 1 * * *", "15 2 * * *", "*/30 * * * *", "*/15 1 * * *",
    "*/15 2 * * *", "0 * * * *", "30 * * * *", "0 */2 * * *", "0 1-3 * * *", "10,40 1,2 * * *", "0 0 * * *",
    "0 3 * * *", "30 1 * * 0", "45 1,2 * * 7", "0 2 1-31 * *", "*/20 0-4 * * *", "45 1 * * *", "15 0 * * *",
]  # fmt: skip


@pytest.mark.parametrize(("zone", "day"), CHANGES, ids=str)
def test_follows_vixie_cron_through_every_change_of_the_clocks(zone: tzinfo, day: str) -> None:
    start = datetime.fromisoformat(day).replace(tzinfo=zone).astimezone(UTC) - timedelta(hours=6)
    end = start + timedelta(hours=20)
    for text in EXPRESSIONS:
        assert between(text, zone, start, end) == vixie(text, zone, start, end), text


@pytest.mark.parametrize(
    ("text", "zone", "start", "expected"),
    [
        ("30 2 * * *", NEW_YORK, "2025-03-08T12:00", ["03-09 03:00:00 -0400", "03-10 02:30:00 -0400"]),
        ("30 1 * * *", NEW_YORK, "2025-11-01T12:00", ["11-02 01:30:00 -0400", "11-03 01:30:00 -0500"]),
        ("*/30 1 * * *", NEW_YORK, "2025-11-02T00:59", ["11-02 01:00:00 -0400", "11-02 01:30:00 -0400",
                                                       "11-02 01:00:00 -0500", "11-02 01:30:00 -0500"]),
        ("30 1 * * *", LONDON, "2025-03-29T12:00", ["03-30 02:00:00 +0100", "03-31 01:30:00 +0100"]),
        ("30 1 * * *", LONDON, "2025-10-25T12:00", ["10-26 01:30:00 +0100", "10-27 01:30:00 +0000"]),
        ("15 2 * * *", LORD_HOWE, "2025-10-04T12:00", ["10-05 02:30:00 +1100", "10-06 02:15:00 +1100"]),
        ("45 1 * * *", LORD_HOWE, "2025-04-05T12:00", ["04-06 01:45:00 +1100", "04-07 01:45:00 +1030"]),
        ("0 2 * * *", LORD_HOWE, "2025-04-05T12:00", ["04-06 02:00:00 +1030", "04-07 02:00:00 +1030"]),
        ("*/15 1 * * *", LORD_HOWE, "2025-04-06T01:29", ["04-06 01:30:00 +1100", "04-06 01:45:00 +1100",
                                                        "04-06 01:30:00 +1030", "04-06 01:45:00 +1030"]),
        ("30 2 * * *", TOKYO, "2025-03-29T12:00", ["03-30 02:30:00 +0900", "03-31 02:30:00 +0900"]),
        ("0 12 * * *", ZoneInfo("Pacific/Apia"), "2011-12-29T00:00", ["12-29 12:00:00 -1000", "12-31 00:00:00 +1400",
                                                                    "12-31 12:00:00 +1400"]),
    ],
)  # fmt: skip
def test_known_days_of_change(text: str, zone: tzinfo, start: str, expected: list[str]) -> None:
    assert stamps(text, zone, start, len(expected)) == expected


def test_a_seconds_field_does_not_change_how_a_fixed_time_is_treated() -> None:
    assert stamps("0 30 2 * * *", NEW_YORK, "2025-03-08T12:00", 2) == stamps(
        "30 2 * * *", NEW_YORK, "2025-03-08T12:00", 2
    )


@st.composite
def field(draw: st.DrawFn, low: int, high: int) -> str:
    def term() -> str:
        first = draw(st.integers(low, high))
        last = draw(st.integers(first, high))
        return draw(
            st.sampled_from(["*", f"{first}", f"{first}-{last}", f"*/{first + 1}", f"{first}-{last}/{last + 1}"])
        )

    return ",".join(term() for _ in range(draw(st.integers(1, 2))))


@settings(max_examples=60, deadline=None)
@given(data=st.data(), change=st.sampled_from(CHANGES), hours=st.integers(-30, 6))
def test_agrees_with_the_oracle_for_any_expression(data: st.DataObject, change: tuple[tzinfo, str], hours: int) -> None:
    text = " ".join(
        [data.draw(field(0, 59)), data.draw(field(0, 23)), data.draw(field(1, 28)), "*", data.draw(field(0, 6))]
    )
    zone, day = change
    start = datetime.fromisoformat(day).replace(tzinfo=zone).astimezone(UTC) + timedelta(hours=hours)
    end = start + timedelta(hours=12)
    found = between(text, zone, start, end)
    # The oracle forgets what it saw before its start, so it is wound up two hours early.
    wanted = [run for run in vixie(text, zone, start - timedelta(hours=3), end) if run >= start.timestamp()]
    assert found == wanted


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1 seconds", ["10:07:31", "10:07:32"]),
        ("5 seconds", ["10:07:35", "10:07:40"]),
        ("5 minutes", ["10:10:00", "10:15:00"]),
        ("1h30m", ["10:30:00", "12:00:00"]),
        ("@every 20s", ["10:07:40", "10:08:00"]),
        ("* * * * *", ["10:08:00", "10:09:00"]),
        ("*/5 * * * *", ["10:10:00", "10:15:00"]),
        ("*/20 * * * * *", ["10:07:40", "10:08:00"]),
        ("50,10 8 * * * *", ["10:08:10", "10:08:50"]),
        ("5/20 * * * *", ["10:25:00", "10:45:00"]),
        ("@hourly", ["11:00:00", "12:00:00"]),
    ],
)
def test_next_runs_within_the_day(text: str, expected: list[str]) -> None:
    runs = parse(text).upcoming(WEDNESDAY, 2)
    assert [datetime.fromtimestamp(run, UTC).strftime("%H:%M:%S") for run in runs] == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("@daily", "2025-06-12 00:00"),
        ("@weekly", "2025-06-15 00:00"),
        ("@monthly", "2025-07-01 00:00"),
        ("@yearly", "2026-01-01 00:00"),
        ("06:30", "2025-06-12 06:30"),
        ("23:59:30", "2025-06-11 23:59"),
        ("0 0 * JAN,DEC *", "2025-12-01 00:00"),
        ("0 0 * * mon-fri", "2025-06-12 00:00"),
        ("0 0 * * 7", "2025-06-15 00:00"),
        ("0 0 13 * FRI", "2025-06-13 00:00"),
        ("0 0 L * *", "2025-06-30 00:00"),
        ("0 0 LW * *", "2025-06-30 00:00"),
        ("0 0 * * 5L", "2025-06-27 00:00"),
        ("0 0 * * FRI#2", "2025-06-13 00:00"),
        ("0 0 29 2 *", "2028-02-29 00:00"),
        ("* * 29 2 *", "2028-02-29 00:00"),
    ],
)
def test_next_run_on_another_day(text: str, expected: str) -> None:
    assert datetime.fromtimestamp(parse(text).next_after(WEDNESDAY), UTC).strftime("%Y-%m-%d %H:%M") == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("61 * * * *", "minute '61' is wrong: expected 0-59"),
        ("* 24 * * *", "hour '24' is wrong: expected 0-23"),
        ("25:00", "hour '25' is wrong"),
        ("* * 0 * *", "day-of-month '0' is wrong: expected 1-31"),
        ("0 0 30 2 *", "day-of-month '30' is wrong: expected 1-31 (a day that the months given have)"),
        ("* * * FOO *", "month 'FOO' is wrong: expected 1-12 or JAN-DEC"),
        ("* * * * FRI-MON", "day-of-week 'FRI-MON' is wrong"),
        ("60 * * * * *", "second '60' is wrong: expected 0-59"),
        ("1,2,70 * * * *", "minute '70' is wrong"),
        ("*/0 * * * *", "minute '*/0' is wrong"),
        ("5-1 * * * *", "rising ranges"),
        ("* * * *", "has 4 fields: expected five"),
        ("30", "has 1 field: expected five"),
        ("", "is not a schedule"),
        ("  ", "is not a schedule"),
        ("9" * 5000 + " * * * *", "is not a schedule"),
        ("@reboot", "what runs once at the start is no schedule"),
        ("@fortnightly", "expected one of @yearly"),
        ("0.2 seconds", "one second or more"),
        ("5 lightyears", "not a duration"),
    ],
)
def test_an_error_names_the_field_and_what_was_expected(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        parse(text)


@given(st.text(alphabet="*/,-0123456789 LW#@:MONFRJAhsm.", max_size=40))
def test_any_text_is_read_or_refused_by_value_error(text: str) -> None:
    try:
        expression = parse(text, LORD_HOWE)
    except ValueError:
        return
    assert expression.next_after(WEDNESDAY) > WEDNESDAY


@given(st.sampled_from([*EXPRESSIONS, "7 seconds", "1.1 seconds", "@monthly"]), st.floats(0, 4e9))
def test_the_next_run_is_later_and_nothing_lies_between(text: str, wall_time: float) -> None:
    expression = parse(text, LONDON)
    run = expression.next_after(wall_time)
    assert run > wall_time
    assert expression.next_after((wall_time + run) / 2 if (wall_time + run) / 2 < run else wall_time) == run


def test_upcoming_rises() -> None:
    runs = parse("*/7 1,2 * * *", NEW_YORK).upcoming(datetime(2025, 11, 2, tzinfo=NEW_YORK).timestamp(), 40)
    assert len(runs) == 40
    assert all(earlier < later for earlier, later in pairwise(runs))


def test_explains_itself_in_english() -> None:
    assert parse("30 2 * * MON").explain() == "At 02:30 on Monday"
    assert parse("5 minutes").explain() == "Every 5m, counted from 1970-01-01 00:00 UTC"


def test_the_end_of_the_calendar_is_no_run() -> None:
    calendar = parse("@yearly")
    assert isinstance(calendar, Calendar)
    assert calendar.next_after(datetime(9999, 6, 1, tzinfo=UTC).timestamp()) == math.inf
