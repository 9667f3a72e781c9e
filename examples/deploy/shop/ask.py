"""Ask a shop for its version: python3 ask.py PORT."""

from __future__ import annotations

import sys
from urllib.error import URLError
from urllib.request import urlopen

try:
    with urlopen(f"http://127.0.0.1:{sys.argv[1]}/", timeout=5) as answer:
        print(answer.read().decode().strip())
except URLError as error:
    sys.exit(f"the shop on port {sys.argv[1]}: {error}")
