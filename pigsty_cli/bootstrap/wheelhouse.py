"""Salt and all that it needs, as wheels on the admin node: other nodes install it from there."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from pigsty_cli.bootstrap import layout
from pigsty_cli.bootstrap.errors import BootstrapError
from pigsty_cli.sandbox.errors import CommandError
from pigsty_cli.sandbox.process import run


@dataclass(frozen=True, slots=True)
class Wheelhouse:
    """The wheels.

    Attributes:
        folder: where they are.
        salt: version of Salt.
        python: ``3.13``, which they are for.
        machine: the architecture that they are for.
    """

    folder: Path
    salt: str
    python: str
    machine: str

    @property
    def pip(self) -> Path:
        """The package `pip` of this command's own Python: nodes lack it.

        Raises:
            BootstrapError: there is none.
        """
        found = importlib.util.find_spec("pip")
        if found is None or found.origin is None:
            raise BootstrapError(f"{sys.executable} has no pip, which nodes install Salt with")
        return Path(found.origin).parent


def find(folder: Path = Path(layout.WHEELS)) -> Wheelhouse | None:
    """Return the wheels of this machine; None when there are none."""
    found = sorted(folder.glob("salt-*.whl"))
    if not found:
        return None
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    return Wheelhouse(folder, found[-1].name.split("-")[1], version, os.uname().machine)


def build(folder: Path = Path(layout.WHEELS)) -> Wheelhouse:
    """Make the wheels, from the package index that this machine's pip is set to.

    Raises:
        BootstrapError: pip failed; some of them need a compiler.
    """
    new = folder.with_name(f"{folder.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    words = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check"]
    try:
        run([*words, "--wheel-dir", str(new), "--requirement", str(layout.REQUIREMENTS)])
    except CommandError as error:
        raise BootstrapError(
            f"Salt's wheels can't be made: {error}. They need a C compiler and Python's headers "
            f"(gcc, libc6-dev, python3-dev) and pip's package index, or come from elsewhere into "
            f"{folder}"
        ) from error
    shutil.rmtree(folder, ignore_errors=True)
    new.rename(folder)
    made = find(folder)
    if made is None:
        raise BootstrapError(f"pip made no wheel of Salt in {folder}")
    return made
