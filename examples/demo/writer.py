"""Give the workers something to do every few seconds, and print what they answer."""

from __future__ import annotations

import signal
import sys
import time

import genii

TEXT = "the guardian spirits that the Greeks called daimones watch over the programs of the house"


def main() -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    client = genii.Client(sys.argv[1])
    while True:
        counted = list(client.map("Words::count", [TEXT.encode()] * 4))
        loud = client.call("Words::shout", b"done")
        print(f"{len(counted)} texts counted, the most frequent: {counted[0].decode()}; {loud.decode()}")
        time.sleep(4)


if __name__ == "__main__":
    sys.exit(main())
