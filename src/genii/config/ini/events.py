"""The names of the events that listeners may subscribe to. No I/O.

See http://supervisord.org/events.html#event-types. A name stands for all that begin with it and an underscore.
"""

from __future__ import annotations

__all__ = ["LISTENED", "matches"]

_FINAL = (
    "PROCESS_STATE_STOPPED", "PROCESS_STATE_EXITED", "PROCESS_STATE_STARTING", "PROCESS_STATE_STOPPING",
    "PROCESS_STATE_BACKOFF", "PROCESS_STATE_FATAL", "PROCESS_STATE_RUNNING", "PROCESS_STATE_UNKNOWN",
    "PROCESS_LOG_STDOUT", "PROCESS_LOG_STDERR", "PROCESS_COMMUNICATION_STDOUT", "PROCESS_COMMUNICATION_STDERR",
    "REMOTE_COMMUNICATION", "SUPERVISOR_STATE_CHANGE_RUNNING", "SUPERVISOR_STATE_CHANGE_STOPPING",
    "TICK_5", "TICK_60", "TICK_3600", "PROCESS_GROUP_ADDED", "PROCESS_GROUP_REMOVED",
)  # fmt: skip
_ABSTRACT = (
    "EVENT", "PROCESS_STATE", "PROCESS_LOG", "PROCESS_COMMUNICATION", "SUPERVISOR_STATE_CHANGE", "TICK",
    "PROCESS_GROUP",
)  # fmt: skip

LISTENED = frozenset((*_FINAL, *_ABSTRACT))
"""All names that ``events=`` may list."""


def matches(subscription: str, event: str) -> bool:
    """Say whether a subscription to one name brings an event of another."""
    return subscription in ("EVENT", event) or (subscription in _ABSTRACT and event.startswith(f"{subscription}_"))
