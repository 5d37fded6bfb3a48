"""Running things as a user without rights, when the tests themselves run as root."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import byleave

#: Before a command: become nobody, for good.
DROP = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]


def python_for_anybody(folder: Path) -> Path | None:
    """A Python that nobody may run and that imports what this one imports; None where there is none.

    Root's own Python often lies in root's home. Then the system's, if it is of the same version, serves as well.
    """
    paths = [path for path in sys.path if path.endswith("-packages")]
    paths += [str(Path(byleave.__file__).parents[1]), str(Path(byleave.__file__).parents[2] / "capabilities")]
    if not all(may("-r", path) for path in paths):
        return None
    if may("-x", os.path.realpath(sys.executable)):
        return Path(sys.executable)
    system = shutil.which("python3", path="/usr/bin")
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    if system is None or not os.path.realpath(system).endswith(version):
        return None
    place = folder / "python"
    subprocess.run([system, "-m", "venv", "--without-pip", place], check=True)
    (place / "lib" / f"python{version}" / "site-packages" / "ours.pth").write_text("\n".join(paths))
    return place / "bin" / "python"


def may(what: str, path: str) -> bool:
    return subprocess.run([*DROP, "test", what, path], check=False).returncode == 0
