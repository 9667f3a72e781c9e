"""Compile the core of the job server when the wheel is built with GENII_COMPILE=1; without it the wheel is pure Python.

The same typed source is compiled by mypyc, so there is no second implementation; it stays in the wheel beside the
compiled modules, which Python prefers. Needs a C compiler and Python's headers.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

MODULES = ("broker", "jobs", "ledger", "link", "queues", "reactor", "server", "settings", "tls")


class CompiledCore(BuildHookInterface):
    """Add compiled modules to a wheel."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._folder = ""

    def _wanted(self) -> bool:
        return os.environ.get("GENII_COMPILE") == "1" and self.target_name == "wheel"

    def dependencies(self) -> list[str]:
        """Return what the build needs; the package's own dependencies too, because mypyc reads their types."""
        return ["mypy[mypyc]>=2.4,<3", *self.metadata.core.dependencies] if self._wanted() else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, unless the installation is editable: there the source must stay in force."""
        if not self._wanted() or version == "editable":
            return
        from mypyc.build import mypycify
        from setuptools import Distribution
        from setuptools.command.build_ext import build_ext

        self._folder = folder = tempfile.mkdtemp(prefix="genii-build-")
        paths = [f"src/genii/gearman/{name}.py" for name in MODULES]
        extensions = mypycify(paths, group_name="genii", target_dir=f"{folder}/c", opt_level="3", debug_level="0")
        command = build_ext(Distribution({"name": "genii", "ext_modules": extensions}))
        command.build_lib = f"{folder}/lib"
        command.build_temp = f"{folder}/objects"
        command.ensure_finalized()
        command.run()
        for output in command.get_outputs():
            build_data["force_include"][output] = str(Path(output).relative_to(command.build_lib))
        build_data["pure_python"] = False
        build_data["infer_tag"] = True

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002
        """Remove what is in the wheel now."""
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)
