"""Visit a page again and again."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from urllib.request import urlopen


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--every", type=float, default=2.0, help="seconds between two visits")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    while True:
        with urlopen(options.url, timeout=5) as answer:
            print(answer.read().decode().strip())
        time.sleep(options.every)


if __name__ == "__main__":
    sys.exit(main())
