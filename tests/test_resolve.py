"""Where paths land. Both ways of resolving, the kernel's and the walk, answer the same table."""

from __future__ import annotations

import ctypes
import os
import threading
from pathlib import Path

import pytest

from byleave.capability import Refused, WouldBlock
from byleave.hands.files import system
from byleave.hands.files.resolve import Landing, Resolver
from file_bench import hides


@pytest.fixture(params=[pytest.param(True, id="kernel"), pytest.param(False, id="walk")])
def resolver(request: pytest.FixtureRequest, tmp_path: Path) -> Resolver:
    root = tmp_path / "work"
    (root / "a" / "b").mkdir(parents=True)
    (root / "a" / "b" / "file").write_text("inside")
    (root / "top").write_text("inside")
    (tmp_path / "secret").write_text("outside")
    (tmp_path / "work-twin").mkdir()
    (tmp_path / "work-twin" / "file").write_text("outside")
    links = {
        "to-file": "a/b/file",
        "to-folder": "a/b",
        "a/up": "../top",
        "a/b/far-up": "../../../secret",
        "absolute-in": f"{root}/a/b",
        "absolute-out": f"{tmp_path}/secret",
        "absolute-sly": f"{root}/../secret",
        "twin": f"{tmp_path}/work-twin/file",
        "dangling": "a/nothing",
        "dangling-out": "../nothing",
        "circle": "circle",
        "ping": "pong",
        "pong": "ping",
        "self": ".",
        "root": "/",
        "chain": "to-folder/../up",
        "proc-root": f"/proc/self/root{tmp_path}/secret",
        "proc-cwd": "/proc/self/cwd",
    }
    for name, text in links.items():
        (root / name).symlink_to(text)
    return Resolver(os.fspath(root), kernel=request.param)


def lands(resolver: Resolver, path: str, *, follow: bool = True) -> Landing:
    return resolver.resolve(resolver.read(path), follow=follow, warm=False)


INSIDE = [
    pytest.param(".", ".", id="root"),
    pytest.param("top", "top", id="file"),
    pytest.param("./a//b/./file", "a/b/file", id="dots-and-slashes"),
    pytest.param("a/b/", "a/b", id="trailing-slash"),
    pytest.param("a/../top", "top", id="up-inside"),
    pytest.param("a/b/../../top", "top", id="up-twice"),
    pytest.param("a/..", ".", id="up-to-root"),
    pytest.param("to-file", "a/b/file", id="link"),
    pytest.param("to-folder/file", "a/b/file", id="link-in-the-middle"),
    pytest.param("a/up", "top", id="link-upwards"),
    pytest.param("to-folder/../up", "top", id="up-after-a-link-is-where-it-landed"),
    pytest.param("chain", "top", id="link-through-a-link"),
    pytest.param("absolute-in/file", "a/b/file", id="absolute-link-inside"),
    pytest.param("self/self/top", "top", id="link-to-itself"),
    pytest.param("to-folder", "a/b", id="link-to-folder"),
    pytest.param("to-folder/", "a/b", id="link-to-folder-with-slash"),
    pytest.param("dangling", "a/nothing", id="dangling-link-lands-where-it-would"),
    pytest.param("new/deep/file", "new/deep/file", id="absent-with-parents"),
    pytest.param("{root}/top", "top", id="absolute"),
    pytest.param("{root}", ".", id="absolute-root"),
    pytest.param("{root}//a/./b", "a/b", id="absolute-untidy"),
]

OUTSIDE = [
    "..",
    "../secret",
    "a/../../secret",
    "a/b/far-up",
    "absolute-out",
    "absolute-sly",
    "twin",
    "dangling-out",
    "root",
    "root/etc/passwd",
    "proc-root",
    "proc-cwd",
    "proc-cwd/top",
    "/",
    "/etc/passwd",
    "/proc/self/root",
    "{root}-twin/file",
    "{root}/../secret",
    "self/../../secret",
    "to-folder/../../../secret",
]


@pytest.mark.parametrize(("path", "landing"), INSIDE)
def test_a_path_lands_at_its_canonical_name(resolver: Resolver, path: str, landing: str) -> None:
    found = lands(resolver, path.format(root=resolver.real))
    assert (found.path, found.outside) == (landing, None)
    real = os.path.join(resolver.real, landing)
    assert (found.stat is not None) == os.path.lexists(real)
    if found.stat is not None:
        assert os.path.samestat(found.stat, os.lstat(real))


@pytest.mark.parametrize("path", OUTSIDE)
def test_what_lands_outside_is_told_and_not_opened(resolver: Resolver, path: str) -> None:
    found = lands(resolver, path.format(root=resolver.real))
    assert found.outside is not None
    assert (found.folder, found.node, found.stat) == (None, None, None)


def test_a_link_itself_is_found_where_it_is_not_followed(resolver: Resolver) -> None:
    for name in ("to-file", "absolute-out", "circle", "dangling-out"):
        found = lands(resolver, name, follow=False)
        assert (found.path, found.outside) == (name, None)
        assert found.stat is not None
        assert os.path.samestat(found.stat, os.lstat(os.path.join(resolver.real, name)))


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("circle", OSError),
        ("ping", OSError),
        ("top/below", NotADirectoryError),
        ("top/", NotADirectoryError),
        ("nothing/../top", FileNotFoundError),
        ("x" * 256, OSError),
    ],
)
def test_what_cannot_be_resolved_is_an_error(resolver: Resolver, path: str, error: type[OSError]) -> None:
    with pytest.raises(error):
        lands(resolver, path)


@pytest.mark.parametrize("path", ["", "a\0b", "\0", "x/" * 2049, "a/\udcff", "\ud800", "é" * 2049])
def test_what_is_no_path_is_refused(resolver: Resolver, path: str) -> None:
    with pytest.raises(Refused) as no:
        resolver.read(path)
    assert no.value.word == "invalid_arguments"
    assert "\0" not in str(no.value)


def test_a_path_of_4096_bytes_is_a_path(resolver: Resolver) -> None:
    assert lands(resolver, "./" * 2046 + "top.").path == "top."
    assert lands(resolver, "./" * 2045 + "/" * 3 + "top").path == "top"


@pytest.mark.parametrize(
    "name", ["line\nfeed", " ", "-rf", "~", "$HOME", "a\u202eb", "K" * 255, "*", "a\\b", "\u2024\u2024"]
)
def test_an_odd_name_is_a_name(resolver: Resolver, name: str) -> None:
    Path(resolver.real, name).write_text("odd")
    assert lands(resolver, name).path == name
    assert lands(resolver, f"a/../{name}").path == name


def test_a_tree_2000_folders_deep_is_reached(resolver: Resolver) -> None:
    at = os.open(resolver.real, os.O_RDONLY)
    for _ in range(2000):
        os.mkdir("d", dir_fd=at)
        below = os.open("d", os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = below
    os.close(os.open("leaf", os.O_CREAT, dir_fd=at))
    os.close(at)
    path = "d/" * 2000 + "leaf"
    found = lands(resolver, path)
    assert (found.path, found.stat is None) == (path, False)


def test_a_long_way_up_and_down_ends(resolver: Resolver) -> None:
    assert lands(resolver, "a/../" * 800 + "top").path == "top"


def test_the_walk_takes_over_where_the_kernel_has_no_openat2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("x")

    def absent(*_: object) -> int:
        raise OSError(38, "not implemented")

    monkeypatch.setattr(system, "openat2", absent)
    resolver = Resolver(os.fspath(tmp_path))
    assert lands(resolver, "file").stat is not None
    with pytest.raises(WouldBlock):
        resolver.resolve(resolver.read("file"), follow=True, warm=True)


def test_a_workspace_under_a_link_takes_both_of_its_names(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "name").symlink_to("real")
    (tmp_path / "real" / "file").write_text("x")
    resolver = Resolver(os.fspath(tmp_path / "name"))
    assert lands(resolver, f"{tmp_path}/name/file").path == "file"
    assert lands(resolver, f"{tmp_path}/real/file").path == "file"


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_a_mount_of_proc_inside_the_workspace_is_outside(resolver: Resolver) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    at = Path(resolver.real, "mounted")
    at.mkdir()
    if libc.mount(b"proc", os.fsencode(at), b"proc", 0, None) != 0:
        pytest.skip("this place does not allow mounting")
    try:
        for path in ("mounted", "mounted/self/environ", "mounted/1/root/etc/passwd", "mounted/self/nothing"):
            assert lands(resolver, path).outside is not None
    finally:
        libc.umount2(os.fsencode(at), 2)


def test_a_folder_swapped_for_a_link_meanwhile_never_leads_out(resolver: Resolver, tmp_path: Path) -> None:
    racy, aside = Path(resolver.real, "racy"), Path(resolver.real, "aside")
    racy.mkdir()
    (racy / "secret").write_text("inside")
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            os.rename(racy, aside)
            os.symlink("..", racy)
            os.unlink(racy)
            os.rename(aside, racy)

    outside = os.stat(tmp_path / "secret")
    racer = threading.Thread(target=swap)
    racer.start()
    try:
        seen = 0
        for _ in range(3000):
            try:
                found = lands(resolver, "racy/secret")
            except OSError:
                continue
            seen += found.stat is not None
            assert found.stat is None or not os.path.samestat(found.stat, outside)
    finally:
        stop.set()
        racer.join()
    assert seen > 0


def test_the_names_that_tests_hide_are_hidden() -> None:
    assert hides(".ENV")
    assert not hides("env")
