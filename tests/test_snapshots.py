"""Before-images on disk: durable when sealed, believed only when whole, out of others' reach."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

import pytest

from byleave.capability import Refused
from byleave.hands.stage import Settled
from byleave.snapshots import keep
from byleave.snapshots.keep import Snapshots
from byleave.snapshots.undo import Reversers


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


def files_of(state: Path) -> list[Path]:
    return sorted(path for path in state.rglob("*") if path.is_file())


def test_a_small_call_is_one_file(state: Path) -> None:
    snapshots = Snapshots(state)
    address = snapshots.keep(b"before")
    snapshots.seal("abc", {"kind": "files", "digest": address})
    assert files_of(state) == [state / "snapshots" / "calls" / "abc.json"]
    again = Snapshots(state)
    assert again.manifest("abc") == {"kind": "files", "digest": address}
    assert again.image(address) == b"before"


@pytest.mark.parametrize("size", [0, 1, 1 << 18, (1 << 18) + 1, 3 << 20])
def test_an_image_comes_back_whatever_its_size(state: Path, size: int) -> None:
    snapshots = Snapshots(state)
    content = os.urandom(size)
    address = snapshots.keep(content)
    assert address == hashlib.sha256(content).hexdigest()
    snapshots.seal("abc", {"nested": [{"digest": address}]})
    assert Snapshots(state).image(address) == content


def test_more_than_memory_holds_goes_to_disk_and_comes_back(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keep, "_MAX_WAITING", 1000)
    snapshots = Snapshots(state)
    contents = [os.urandom(400) for _ in range(9)]
    addresses = [snapshots.keep(content) for content in contents]
    snapshots.seal("abc", {"digests": addresses})
    assert [Snapshots(state).image(address) for address in addresses] == contents


def test_nobody_else_may_read_them(state: Path) -> None:
    old = os.umask(0)
    try:
        snapshots = Snapshots(state)
        snapshots.seal("abc", {"a": snapshots.keep(b"x" * 300_000), "b": snapshots.keep(b"small")})
    finally:
        os.umask(old)
    for path in state.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


def test_a_damaged_manifest_or_image_is_refused(state: Path) -> None:
    snapshots = Snapshots(state)
    address = snapshots.keep(b"x" * 300_000)
    snapshots.seal("abc", {"a": address})
    manifest, image = files_of(state)
    image.write_bytes(b"y" * 300_000)
    manifest.write_bytes(manifest.read_bytes().replace(b"abc", b"abd"))
    again = Snapshots(state)
    with pytest.raises(Refused, match="damaged"):
        again.manifest("abc")
    with pytest.raises(Refused, match="damaged"):
        again.image(address)


@pytest.mark.parametrize("address", ["", "../../etc/passwd", "a" * 63, "A" * 64, "a" * 64])
def test_what_is_no_image_is_refused(state: Path, address: str) -> None:
    with pytest.raises(Refused):
        Snapshots(state).image(address)


@pytest.mark.parametrize("call", ["", "../x", "a/b", "A", ".", "a" * 65])
def test_what_is_no_call_is_no_file(state: Path, call: str) -> None:
    with pytest.raises(ValueError, match="not the id"):
        Snapshots(state).seal(call, {})
    assert files_of(state) == []


def test_calls_are_listed_oldest_first_and_dropped(state: Path) -> None:
    snapshots = Snapshots(state)
    for number, call in enumerate(["b", "a", "c"]):
        snapshots.seal(call, {})
        os.utime(state / "snapshots" / "calls" / f"{call}.json", ns=(number, number))
    assert snapshots.calls() == ["b", "a", "c"]
    snapshots.drop("a")
    snapshots.drop("a")
    assert snapshots.calls() == ["b", "c"]
    assert snapshots.manifest("a") is None


def test_sweeping_takes_only_what_nobody_names(state: Path) -> None:
    snapshots = Snapshots(state)
    kept, lost = snapshots.keep(b"k" * 300_000), snapshots.keep(b"l" * 300_000)
    snapshots.seal("one", {"a": kept})
    snapshots.seal("two", {"a": lost})
    (state / "snapshots" / "calls" / "three.json.1234.new").write_text("half")
    snapshots.drop("two")
    assert snapshots.sweep() == 2
    assert [path.name for path in files_of(state)] == ["one.json", kept]
    assert Snapshots(state).image(kept) == b"k" * 300_000


def test_when_the_disk_refuses_nothing_is_left(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    snapshots = Snapshots(state)

    def refuse(_: int) -> None:
        raise OSError(28, "no space")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(Refused, match="no space"):
        snapshots.seal("abc", {"a": 1})
    assert files_of(state) == []


def test_a_manifest_goes_to_the_hands_of_its_kind() -> None:
    class Hands:
        def reverse(self, manifest: object) -> object:
            return ("reversed", manifest)

        def moved_on(self, manifest: object) -> tuple[str, ...]:
            return ("moved",)

        def settle(self, manifest: object) -> Settled:
            return Settled.REPAIRED

    reversers = Reversers({"files": Hands()})  # type: ignore[dict-item]
    manifest = {"kind": "files"}
    assert reversers.reverse(manifest) == ("reversed", manifest)
    assert reversers.moved_on(manifest) == ("moved",)
    assert reversers.settle(manifest) is Settled.REPAIRED
    assert reversers.settle({"kind": "gone"}) is Settled.UNKNOWN
    with pytest.raises(Refused):
        reversers.reverse({"kind": "gone"})


@pytest.mark.parametrize("name", ["", "../log", "a/b", "A", ".", "a" * 65, "a\0"])
def test_what_is_no_call_has_no_manifest(state: Path, name: str) -> None:
    (state / "log.json").parent.mkdir()
    (state / "log.json").write_text("{}")
    assert Snapshots(state).manifest(name) is None
