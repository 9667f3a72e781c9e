"""Settings of the documentation build (make docs)."""

from __future__ import annotations

project = "genii"
extensions = ["myst_parser"]
html_theme = "furo"
exclude_patterns = ["_build"]
myst_heading_anchors = 3
