"""The same workers without a configuration file: a slot manager in a program of one's own.

``manager.py SERVER`` runs until Ctrl-C; see http://127.0.0.1:55522/ meanwhile. The server may be genii's or gearmand.
"""

from __future__ import annotations

import sys
from pathlib import Path

import genii

if __name__ == "__main__":
    genii.SlotManager(
        slots={
            "global": {"job_servers": sys.argv[1:] or ["127.0.0.1:4732"], "libs": [str(Path(__file__).parent)]},
            "testworker:TestWorker": {"min": 2, "max": 5, "workleft": 10},
            "wordcount:WordCount": {"min": 1, "max": 4, "warm": True},
        },
        port=55522,
    ).run()
