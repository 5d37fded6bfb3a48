"""What is built is what stands in the tree: both packages, their data, and nothing that another wheel overwrites."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-t", "sdist", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return folder


def sources() -> set[str]:
    return {
        path.relative_to(root).as_posix()
        for root in (ROOT / "server", ROOT / "capabilities")
        for path in root.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_the_wheel_holds_both_packages_and_their_data_and_no_other(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert names == sources()
    assert {name.split("/")[0] for name in names} == {"byleave", "byleave_capabilities"}


def test_the_wheel_works_where_it_is_unpacked(built: Path, tmp_path: Path) -> None:
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    ask = "import byleave.cli, byleave_capabilities as c; print(byleave.__file__, len(c.TOOLS))"
    command = [sys.executable, "-P", "-c", f"import sys; sys.path.insert(0, {str(tmp_path)!r}); {ask}"]
    said = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    file, tools = said.stdout.split()
    assert Path(file).is_relative_to(tmp_path)
    assert int(tools) > 0


def test_the_source_archive_can_run_the_two_commands(built: Path) -> None:
    (archive,) = built.glob("*.tar.gz")
    with tarfile.open(archive) as tar:
        names = {name.split("/", 1)[1] for name in tar.getnames()}
    needed = {"pyproject.toml", "uv.lock", "LICENSE", "README.md", "SECURITY.md", "CHANGELOG.md", "mcp.json"}
    assert needed | {"examples/run", "tests/conftest.py", "docs/architecture.md", ".ci/run"} <= names


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def names_of(lines: list[str]) -> set[str]:
    return {Requirement(line).name for line in lines}


def test_every_dependency_says_what_it_is_for() -> None:
    extras = [line for extra in project()["optional-dependencies"].values() for line in extra]
    text = (ROOT / "docs" / "dependencies.md").read_text()
    assert not {name for name in names_of([*project()["dependencies"], *extras]) if f"| `{name}` |" not in text}


def test_the_lock_knows_every_dependency() -> None:
    locked = tomllib.loads((ROOT / "uv.lock").read_text())["package"]
    (own,) = [package for package in locked if package["name"] == "byleave"]
    assert {entry["name"] for entry in own["dependencies"]} == names_of(project()["dependencies"])
    for extra, lines in project()["optional-dependencies"].items():
        assert {entry["name"] for entry in own["optional-dependencies"][extra]} == names_of(lines)
