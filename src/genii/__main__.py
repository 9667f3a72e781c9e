"""``python -m genii``: the command line."""

from __future__ import annotations

import sys

from genii.cli.main import main

sys.exit(main())
