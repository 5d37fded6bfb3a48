"""files_read and files_search: what is there is shown well, and nothing that must not be."""

from __future__ import annotations

import os
import shutil
import socket
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from byleave.capability import Refused, WouldBlock
from file_bench import TOOLS, DeniedForTest, FileBench, Seeing, run

RG = shutil.which("rg", path=os.pathsep.join(["/usr/bin", os.path.dirname(os.sys.executable), os.environ["PATH"]]))


@pytest.fixture
def bench(tmp_path: Path) -> FileBench:
    return FileBench(tmp_path)


def read(bench: FileBench, path: str, **more: object) -> str:
    return bench.call("files_read", path=path, **more).text


# --- reading a file --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "shown"),
    [
        pytest.param(b"one\ntwo\n", "     1\tone\n     2\ttwo", id="text"),
        pytest.param(b"one\ntwo", "     1\tone\n     2\ttwo", id="no-last-line-feed"),
        pytest.param(b"", "[the file is empty]", id="empty"),
        pytest.param(b"\n", "     1\t", id="one-empty-line"),
        pytest.param(b"a\r\nb\r\n", "     1\ta\n     2\tb\n[CRLF line ends]", id="crlf"),
        pytest.param("é\n".encode(), "     1\té", id="utf-8"),
        pytest.param(b"\xef\xbb\xbfa\n", "     1\ta\n[UTF-8, with byte order mark]", id="utf-8-mark"),
        pytest.param(b"\xff\xfeh\0i\0\n\0", "     1\thi\n[UTF-16-LE]", id="utf-16-le"),
        pytest.param(b"\xfe\xff\0h\0i\0\n", "     1\thi\n[UTF-16-BE]", id="utf-16-be"),
        pytest.param(b"caf\xe9\n", "     1\tcafé\n[LATIN-1]", id="latin-1"),
        pytest.param(b"\x89PNG\r\n\x1a\n\0\0", "`f`: PNG image, 10 bytes; not text, so not shown", id="png"),
        pytest.param(b"a\0b", "`f`: binary file, 3 bytes; not text, so not shown", id="binary"),
    ],
)
def test_a_file_is_shown_as_its_text(bench: FileBench, content: bytes, shown: str) -> None:
    (bench.root / "f").write_bytes(content)
    assert read(bench, "f") == shown


def test_reading_on_names_the_exact_call(bench: FileBench) -> None:
    (bench.root / "f").write_text("".join(f"line {n}\n" for n in range(1, 31)))
    first = read(bench, "f", limit=10)
    assert first.startswith("     1\tline 1\n")
    assert first.endswith('[lines 1 to 10 of 30; read on: files_read {"path": "f", "offset": 11}]')
    last = read(bench, "f", offset=21)
    assert last == "\n".join(f"{n:>6}\tline {n}" for n in range(21, 31))


def test_an_answer_is_capped_and_every_line_is_reached(bench: FileBench) -> None:
    lines = [f"{n} {'x' * (n % 90)}" for n in range(1, 3001)]
    (bench.root / "f").write_text("\n".join(lines) + "\n")
    seen: list[str] = []
    while len(seen) < len(lines):
        page = read(bench, "f", offset=len(seen) + 1)
        assert len(page) < 20_200
        seen += [line.split("\t", 1)[1] for line in page.splitlines() if "\t" in line]
    assert seen == lines


def test_a_long_line_is_cut(bench: FileBench) -> None:
    (bench.root / "f").write_text("y" * 5_000 + "\nend\n")
    assert read(bench, "f") == f"     1\t{'y' * 2_000}… (+3,000 characters)\n     2\tend"


def test_a_huge_file_is_paged_without_being_held(bench: FileBench) -> None:
    with (bench.root / "f").open("wb") as file:
        for number in range(1, 400_001):
            file.write(b"%d %s\n" % (number, b"z" * 40))
    assert read(bench, "f", offset=399_999).startswith(f"399999\t399999 {'z' * 40}\n400000\t")
    assert read(bench, "f", offset=200_000, limit=1).startswith("200000\t200000 z")
    no = bench.refused("files_read", path="f", offset=400_001)
    assert (no.word, no.reason) == ("not_found", "`f` has no line 400,001")


def test_a_sparse_file_of_a_terabyte_is_only_described(bench: FileBench) -> None:
    with (bench.root / "f").open("wb") as file:
        file.truncate(1 << 40)
    assert read(bench, "f") == "`f`: binary file, 1,099,511,627,776 bytes; not text, so not shown"


# --- folders ---------------------------------------------------------------------------------------------------------


def test_a_folder_is_listed_without_what_is_hidden(bench: FileBench) -> None:
    (bench.root / "sub").mkdir()
    (bench.root / "secrets").mkdir()
    (bench.root / ".env").write_text("s")
    os.link(bench.root / ".env", bench.root / "alias")
    (bench.root / "b").write_text("12")
    (bench.root / "a").symlink_to("b")
    (bench.root / "new\nline").write_text("")
    assert read(bench, ".") == "a (link)\nb  2 bytes\nnew\\nline  0 bytes\nsub/"


def test_a_long_listing_is_paged(bench: FileBench) -> None:
    for number in range(30):
        (bench.root / f"f{number:02}").touch()
    first = read(bench, ".", limit=10)
    assert first.endswith('\n[there are more: files_read {"path": ".", "offset": 11}]')
    assert read(bench, ".", offset=29) == "f28  0 bytes\nf29  0 bytes"


# --- what is not shown -----------------------------------------------------------------------------------------------


HIDDEN_ROUTES: dict[str, Callable[[Path], object]] = {
    ".env": lambda root: None,
    "./x/../.env": lambda root: (root / "x").mkdir(),
    ".ENV": lambda root: (root / ".ENV").write_text("SECRET"),
    "link": lambda root: (root / "link").symlink_to(".env"),
    "chain": lambda root: ((root / "chain").symlink_to("chain2"), (root / "chain2").symlink_to("./.env")),
    "folder/key": lambda root: (root / "folder").symlink_to("secrets"),
    "absolute": lambda root: (root / "absolute").symlink_to(root / ".env"),
    "hard": lambda root: os.link(root / ".env", root / "hard"),
    "hardkey": lambda root: os.link(root / "secrets" / "key", root / "hardkey"),
    "through": lambda root: ((root / "through").symlink_to("plain.pem"), (root / "plain.pem").symlink_to("plain")),
    "secrets/nothing": lambda root: None,
    "secrets": lambda root: None,
}


@pytest.mark.parametrize("path", HIDDEN_ROUTES)
def test_no_route_leads_to_what_is_hidden(bench: FileBench, path: str) -> None:
    (bench.root / ".env").write_text("SECRET")
    (bench.root / "plain").write_text("plain")
    (bench.root / "secrets").mkdir()
    (bench.root / "secrets" / "key").write_text("SECRET")
    HIDDEN_ROUTES[path](bench.root)
    for act in (
        {"name": "files_read", "path": path},
        {"name": "files_write", "path": path, "text": "x"},
        {"name": "files_edit", "path": path, "edits": [{"old": "SECRET", "new": "x"}]},
        {"name": "files_search", "path": path, "pattern": "SECRET"},
    ):
        bench.denied(**act)


def test_a_hard_link_made_after_the_list_was_read_is_found(bench: FileBench) -> None:
    (bench.root / ".env").write_text("SECRET")
    (bench.root / "one").write_text("x")
    os.link(bench.root / "one", bench.root / "two")
    assert "x" in read(bench, "two")
    os.link(bench.root / ".env", bench.root / "late")
    bench.denied("files_read", path="late")


def test_another_name_of_a_protected_file_elsewhere_is_hidden(tmp_path: Path) -> None:
    outside = tmp_path / "shop.db"
    outside.write_text("rows")
    bench = FileBench(tmp_path, protected=lambda: [os.fspath(outside), "/nothing"])
    os.link(outside, bench.root / "innocent")
    bench.denied("files_read", path="innocent")
    bench.denied("files_remove", path="innocent")


@pytest.mark.parametrize("warm", [True, False])
@pytest.mark.parametrize("kind", ["pipe", "socket", "device", "folder-of-proc"])
def test_what_is_no_file_is_never_opened(bench: FileBench, kind: str, warm: bool) -> None:
    path = bench.root / "it"
    match kind:
        case "pipe":
            os.mkfifo(path)
        case "socket":
            sock = socket.socket(socket.AF_UNIX)
            sock.bind(os.fspath(path))
            sock.close()
        case "device":
            if os.geteuid() != 0:
                pytest.skip("making a device needs root")
            os.mknod(path, 0o020666, os.makedev(1, 5))  # /dev/zero, which never ends
        case _:
            path.symlink_to("/proc/self")
    begun = time.monotonic()
    with pytest.raises((Refused, DeniedForTest, WouldBlock)):
        bench.staged("files_read", path="it", warm=warm)
    with pytest.raises((Refused, DeniedForTest)):
        bench.call("files_write", path="it", text="x")
    assert time.monotonic() - begun < 2


def test_a_file_that_is_not_there_is_told(bench: FileBench) -> None:
    assert bench.refused("files_read", path="no\x1bthing").reason == "`no\\x1bthing` is not there"
    assert bench.refused("files_read", path="a\0").word == "invalid_arguments"


def test_what_is_read_is_what_was_surveyed(bench: FileBench) -> None:
    (bench.root / "f").write_text("first\n")
    (bench.root / "g").write_text("second\n")
    tool = TOOLS["files_read"]
    args = tool.arguments.model_validate({"path": "f"})
    facts = run(tool.survey(args, Seeing(bench.workspace.view(warm=False))))
    os.rename(bench.root / "g", bench.root / "f")
    stage = bench.workspace.reading()
    assert run(tool.perform(args, facts, stage.hands)).text == "     1\tfirst"


# --- warm ------------------------------------------------------------------------------------------------------------


def test_a_cached_file_is_read_without_waiting_for_a_disk(bench: FileBench) -> None:
    (bench.root / "sub").mkdir()
    (bench.root / "sub" / "f").write_text("warm\n")
    bench.call("files_read", path="sub/f")
    try:
        assert bench.staged("files_read", path="sub/f", warm=True)[1].text == "     1\twarm"
    except WouldBlock:
        pytest.skip("this file system cannot say whether a read would wait")


@pytest.mark.parametrize("path", [".", "link", "nothing/at/all", "big"])
def test_a_warm_look_says_that_it_would_wait(bench: FileBench, path: str) -> None:
    (bench.root / "f").write_text("x")
    (bench.root / "link").symlink_to("f")
    (bench.root / "big").write_text("x\n" * (1 << 20))
    with pytest.raises(WouldBlock):
        bench.staged("files_read", path=path, warm=True, offset=900_000)


# --- searching -------------------------------------------------------------------------------------------------------


@pytest.fixture(params=[pytest.param(RG, id="ripgrep"), pytest.param(None, id="python")])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> FileBench:
    if request.param is None and "ripgrep" in request.node.name:
        pytest.skip("there is no ripgrep here")
    bench = FileBench(tmp_path, ripgrep=request.param)
    files = {
        "app/main.py": "import os\n\ndef main():\n    return os.getcwd()\n",
        "app/deep/other.py": "# main thing\n",
        "app/crlf.txt": "one\r\nmain two\r\n",
        "docs/read me.md": "The MAIN point\n",
        ".github/flow.yml": "run: main\n",
        "build/out.py": "main\n",
        "app/skip.log": "main\n",
        "app/keep.log": "main\n",
        ".gitignore": "build/\n*.log\n!keep.log\n",
        "app/.gitignore": "local.py\n",
        "app/local.py": "main\n",
        ".env": "main SECRET\n",
        "secrets/a.py": "main SECRET\n",
        "line\nfeed.py": "main\n",
        ".git/config": "main\n",
    }
    for name, text in files.items():
        path = bench.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
    (bench.root / "app" / "binary").write_bytes(b"main\0main")
    (bench.root / "app" / "wide").write_bytes("main wide\n".encode("utf-16"))
    (bench.root / "app" / "link.py").symlink_to("main.py")
    os.link(bench.root / ".env", bench.root / "app" / "alias")
    return bench


def search(bench: FileBench, **arguments: object) -> list[str]:
    return bench.call("files_search", **arguments).text.splitlines()


def test_a_search_finds_lines_and_passes_over_what_is_hidden_or_ignored(engine: FileBench) -> None:
    assert sorted(search(engine, pattern="main")) == [
        ".github/flow.yml:1: run: main",
        "app/crlf.txt:2: main two",
        "app/deep/other.py:1: # main thing",
        "app/keep.log:1: main",
        "app/main.py:3: def main():",
        "app/wide:1: main wide",
        "line\\nfeed.py:1: main",
    ]


def test_a_search_is_the_same_below_a_folder_or_in_a_file(engine: FileBench) -> None:
    assert sorted(search(engine, pattern="main", path="app")) == [
        "app/crlf.txt:2: main two",
        "app/deep/other.py:1: # main thing",
        "app/keep.log:1: main",
        "app/main.py:3: def main():",
        "app/wide:1: main wide",
    ]
    assert search(engine, pattern="return .*cwd", path="app/main.py") == ["app/main.py:4:     return os.getcwd()"]


def test_a_glob_narrows_names(engine: FileBench) -> None:
    assert sorted(search(engine, pattern="main", glob="*.py")) == [
        "app/deep/other.py:1: # main thing",
        "app/main.py:3: def main():",
        "line\\nfeed.py:1: main",
    ]
    assert sorted(search(engine, glob="*.py")) == ["app/deep/other.py", "app/main.py", "line\\nfeed.py"]
    assert search(engine, glob="/deep/*", path="app") == ["app/deep/other.py"]
    assert search(engine, glob=".env*") == ["[nothing found]"]


def test_a_limit_cuts_and_says_so(engine: FileBench) -> None:
    lines = search(engine, pattern="main", limit=2)
    assert len(lines) == 3
    assert lines[2] == "[there are more; narrow it by path or glob]"


@pytest.mark.parametrize(
    ("pattern", "told"),
    [("a(b", "character"), ("[z", "character"), ("*a", "character"), ("(?P<n>a)(?P<n>b)", "regular expression")],
)
def test_a_bad_pattern_is_told_with_its_place(engine: FileBench, pattern: str, told: str) -> None:
    no = engine.refused("files_search", pattern=pattern)
    assert no.word == "invalid_arguments"
    assert told in no.reason


@pytest.mark.parametrize("pattern", ["-rf", "--files", "$(id)", "'; id", "\u202e", "é+"])
def test_an_odd_pattern_is_only_a_pattern(engine: FileBench, pattern: str) -> None:
    (engine.root / "odd.txt").write_text("-rf --files é\u202e\n")
    expected = [] if pattern in ("$(id)", "'; id") else ["odd.txt"]
    found = [line.split(":")[0] for line in search(engine, pattern=pattern)]
    assert found == (expected or ["[nothing found]"])


def test_a_pattern_that_never_ends_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("byleave.hands.files.searching.MAX_SECONDS", 0.5)
    bench = FileBench(tmp_path)
    (bench.root / "f").write_text("a" * 60 + "!\n")
    begun = time.monotonic()
    assert "stopped" in bench.call("files_search", pattern="(a+)+$").text
    assert time.monotonic() - begun < 5


def test_ripgrep_is_believed_only_where_we_read_the_same(tmp_path: Path) -> None:
    """A ripgrep that saw a secret through a swapped link: what it says is not in the file that we open."""
    liar = tmp_path / "rg"
    events = (
        '{"type":"match","data":{"path":{"text":"./f"},"lines":{"text":"SECRET\\\\n"},"line_number":1}}',
        '{"type":"match","data":{"path":{"text":"./.env"},"lines":{"text":"SECRET\\\\n"},"line_number":1}}',
        '{"type":"match","data":{"path":{"text":"./link"},"lines":{"text":"SECRET\\\\n"},"line_number":1}}',
        '{"type":"match","data":{"path":{"text":"../out"},"lines":{"text":"SECRET\\\\n"},"line_number":1}}',
        '{"type":"match","data":{"path":{"text":"./f"},"lines":{"text":"plain\\\\n"},"line_number":1}}',
        '{"type":"match","data":{"path":{"text":"./f"},"lines":{"text":"plain\\\\n"},"line_number":99}}',
    )
    liar.write_text("#!/bin/sh\n" + "".join(f"printf '{event}\\n'\n" for event in events))
    liar.chmod(0o755)
    bench = FileBench(tmp_path, ripgrep=os.fspath(liar))
    (bench.root / "f").write_text("plain\n")
    (bench.root / ".env").write_text("SECRET\n")
    (tmp_path / "out").write_text("SECRET\n")
    (bench.root / "link").symlink_to(".env")
    assert search(bench, pattern="x") == ["f:1: plain"]


def test_nothing_to_look_for_is_refused(bench: FileBench) -> None:
    assert bench.refused("files_search").word == "invalid_arguments"


# --- what would hold everybody up ------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["glob", ".gitignore", ".ignore"])
def test_a_pattern_of_many_stars_ends_at_once(bench: FileBench, where: str) -> None:
    (bench.root / ("a" * 60)).write_text("x")
    (bench.root / "b.py").write_text("x")
    pattern = "*a" * 20 + "*b"
    if where != "glob":
        (bench.root / where).write_text(pattern + "\n")
    begun = time.monotonic()
    found = search(bench, glob=pattern if where == "glob" else "*.py")
    assert time.monotonic() - begun < 2
    assert found == (["[nothing found]"] if where == "glob" else ["b.py"])


def test_many_names_that_are_all_ignored_do_not_outlast_the_time(
    bench: FileBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("byleave.hands.files.searching.MAX_SECONDS", 0.0)
    (bench.root / ".gitignore").write_text("*\n")
    for number in range(10):
        (bench.root / f"{number}.py").write_text("x")
    assert "stopped" in bench.call("files_search", glob="*.py").text


def test_a_line_that_matches_in_very_many_places_fills_no_memory(engine: FileBench) -> None:
    (engine.root / "long.txt").write_text("one\n" + "q" * 3_000_000 + "\n")
    tracemalloc.start()
    try:
        found = search(engine, pattern="q", glob="long.txt")
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(found) == 1
    assert found[0].startswith("long.txt")
    assert most < 60_000_000


def test_a_pattern_with_a_nul_is_no_pattern(tmp_path: Path) -> None:
    bench = FileBench(tmp_path, ripgrep=RG)
    assert bench.refused("files_search", pattern="a\0b").word == "invalid_arguments"
