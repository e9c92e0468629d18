"""Builds the package with `configs/` inside, so that a wheel finds its YAML files; all else: pyproject.toml."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class WithConfigs(build_py):
    """Copies `configs/`, but for an editable install, which reads the one at the top."""

    def run(self) -> None:
        """Build, then copy."""
        super().run()
        if not self.editable_mode:
            target = Path(self.build_lib, "missrec_pl", "configs")
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree("configs", target, ignore=shutil.ignore_patterns("local"))


setup(cmdclass={"build_py": WithConfigs})
