"""Other people's programs, from Debian."""

from __future__ import annotations

import os
import shutil
import subprocess

__all__ = ["install_packages"]


def install_packages(*packages: str) -> None:
    """Install packages if we may; the caller looks whether what it needs is there."""
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        return
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    words = ["apt-get", "-o", "DPkg::Lock::Timeout=300", "install", "-y", "-q", "--no-install-recommends", *packages]
    if subprocess.run(words, env=environment, capture_output=True, timeout=600).returncode:
        subprocess.run(["apt-get", "update", "-q"], env=environment, capture_output=True, timeout=600)
        subprocess.run(words, env=environment, capture_output=True, timeout=600)
