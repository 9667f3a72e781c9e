"""Crash after a few seconds, in one way or another."""

from __future__ import annotations

import os
import random
import signal
import time

print(f"process {os.getpid()}: so far, so good")
time.sleep(random.uniform(4, 8))
print("oh no")
os.kill(os.getpid(), random.choice([signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT]))
