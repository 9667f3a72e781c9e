"""Tell the load of this machine, as a nightly report would."""

from __future__ import annotations

import os

print(f"load of the last minute: {os.getloadavg()[0]:.2f}")
