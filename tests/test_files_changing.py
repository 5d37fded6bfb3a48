"""files_write, files_edit, files_move, files_remove, and taking them back."""

from __future__ import annotations

import os
import stat
import subprocess
import time
from pathlib import Path

import pytest

from byleave.capability import Refused
from byleave.effects import Effect, Undo, Verb
from byleave.hands.files import Limits
from file_bench import TOOLS, FileBench, Seeing, picture, run


@pytest.fixture
def bench(tmp_path: Path) -> FileBench:
    return FileBench(tmp_path)


def short(effects: tuple[Effect, ...], bench: FileBench) -> list[tuple[str, str, int | None, str]]:
    root = f"{bench.root}/"
    return [(e.verb.value, e.target.name.removeprefix(root), e.extent.amount, e.undo.value) for e in effects]


# --- write -----------------------------------------------------------------------------------------------------------


def test_a_new_file_is_made_with_its_folders_and_the_umask(bench: FileBench) -> None:
    old = os.umask(0o027)
    try:
        done = bench.call("files_write", path="a/b/c.txt", text="hé\n")
    finally:
        os.umask(old)
    assert done.planned == done.observed
    assert short(done.observed, bench) == [("create", "a/b/c.txt", 1, "trivial")]
    assert (bench.root / "a/b/c.txt").read_bytes() == "hé\n".encode()
    assert stat.S_IMODE((bench.root / "a/b/c.txt").stat().st_mode) == 0o640
    assert stat.S_IMODE((bench.root / "a/b").stat().st_mode) == 0o750


def test_a_replaced_file_keeps_mode_and_attributes_and_never_setuid(bench: FileBench) -> None:
    path = bench.root / "f"
    path.write_text("old\n")
    os.chmod(path, 0o4751)
    try:
        os.setxattr(path, "user.note", b"\0kept")
    except OSError:
        pytest.skip("this file system has no attributes")
    done = bench.call("files_write", path="f", text="new\n")
    assert done.planned == done.observed
    assert short(done.observed, bench) == [("update", "f", 1, "snapshot")]
    assert stat.S_IMODE(path.stat().st_mode) == 0o751
    assert os.getxattr(path, "user.note") == b"\0kept"


@pytest.mark.skipif(os.geteuid() != 0, reason="giving a file away needs root")
def test_a_replaced_file_keeps_its_owner(bench: FileBench) -> None:
    (bench.root / "f").write_text("old\n")
    os.chown(bench.root / "f", 1234, 2345)
    effects = bench.call("files_write", path="f", text="new\n").observed
    assert "other-user" in effects[0].traits
    assert ((bench.root / "f").stat().st_uid, (bench.root / "f").stat().st_gid) == (1234, 2345)


def test_an_access_list_is_kept_and_restored(bench: FileBench) -> None:
    path = bench.root / "f"
    path.write_text("old\n")
    try:
        nobody = 0xFFFFFFFF
        acl = b"\x02\0\0\0" + b"".join(
            tag.to_bytes(2, "little") + perm.to_bytes(2, "little") + who.to_bytes(4, "little")
            for tag, perm, who in ((1, 6, nobody), (2, 4, 4321), (4, 4, nobody), (16, 4, nobody), (32, 0, nobody))
        )  # fmt: skip
        os.setxattr(path, "system.posix_acl_access", acl)
    except OSError:
        pytest.skip("this file system has no access lists")
    done = bench.call("files_write", path="f", text="new\n")
    assert os.getxattr(path, "system.posix_acl_access") == acl
    bench.undo(done.manifest)
    assert os.getxattr(path, "system.posix_acl_access") == acl


@pytest.mark.parametrize(
    ("old", "text", "new", "said"),
    [
        pytest.param(b"a\r\nb\r\n", "x\ny\n", b"x\r\ny\r\n", "CRLF", id="crlf-kept"),
        pytest.param(b"a\r\nb\n", "x\ny\n", b"x\ny\n", "", id="mixed-is-not-uniform"),
        pytest.param(b"a\r\nb\r\n", "x\r\ny\n", b"x\r\ny\n", "", id="text-has-its-own"),
        pytest.param(b"\xef\xbb\xbfa\n", "x\n", b"\xef\xbb\xbfx\n", "byte order mark", id="mark-kept"),
        pytest.param(b"\xff\xfea\0\n\0", "é\n", b"\xff\xfe\xe9\0\n\0", "UTF-16-LE", id="utf-16-kept"),
        pytest.param(b"caf\xe9\n", "caf\xe9s\n", b"caf\xe9s\n", "LATIN-1", id="latin-1-kept"),
        pytest.param(b"caf\xe9\n", "€\n", "€\n".encode(), "now UTF-8", id="latin-1-lacks-it"),
        pytest.param(b"a\0b", "x\n", b"x\n", "", id="binary-replaced"),
    ],
)
def test_a_replaced_file_keeps_its_coding(bench: FileBench, old: bytes, text: str, new: bytes, said: str) -> None:
    (bench.root / "f").write_bytes(old)
    done = bench.call("files_write", path="f", text=text)
    assert (bench.root / "f").read_bytes() == new
    assert said in done.text


def test_the_same_content_changes_nothing(bench: FileBench) -> None:
    (bench.root / "f").write_text("same\n")
    before = picture(bench.root)
    done = bench.call("files_write", path="f", text="same\n")
    assert (done.observed, done.manifest) == ((), None)
    assert picture(bench.root) == before


def test_a_write_through_a_link_lands_at_its_end(bench: FileBench) -> None:
    (bench.root / "real").mkdir()
    (bench.root / "link").symlink_to("real/new")
    done = bench.call("files_write", path="link", text="x")
    assert short(done.observed, bench) == [("create", "real/new", 1, "trivial")]
    assert (bench.root / "link").is_symlink()
    assert (bench.root / "real" / "new").read_text() == "x"


def test_other_names_of_a_replaced_file_keep_the_old_content(bench: FileBench) -> None:
    (bench.root / "f").write_text("old\n")
    os.link(bench.root / "f", bench.root / "g")
    done = bench.call("files_write", path="f", text="new\n")
    assert "hard links" in done.text
    assert "hard-link" in done.observed[0].traits
    assert ((bench.root / "f").read_text(), (bench.root / "g").read_text()) == ("new\n", "old\n")


def test_a_folder_is_no_file(bench: FileBench) -> None:
    (bench.root / "d").mkdir()
    assert bench.refused("files_write", path="d", text="x").word == "invalid_arguments"
    assert bench.refused("files_write", path=".", text="x").word == "invalid_arguments"


def test_nothing_is_visible_before_the_commit(bench: FileBench) -> None:
    (bench.root / "f").write_text("old\n")
    before = picture(bench.root)
    for arguments in (
        {"name": "files_write", "path": "f", "text": "new\n"},
        {"name": "files_write", "path": "x/y/z", "text": "new\n"},
        {"name": "files_remove", "path": "f"},
        {"name": "files_move", "source": "f", "target": "x/g"},
    ):
        stage, _ = bench.staged(**arguments)
        stage.observe()
        stage.hold()
        assert stage.release()
        assert picture(bench.root) == before
        stage.discard()
        assert picture(bench.root) == before
    assert [path for path in (bench.state / "stage").rglob("*") if path.is_file() and path.suffix != ".lock"] == []


def test_a_parked_stage_commits_exactly_what_was_shown(bench: FileBench) -> None:
    (bench.root / "f").write_text("old\n")
    stage, done = bench.staged("files_write", path="f", text="new\n")
    assert stage.release()
    bench.call("files_write", path="other", text="x")
    assert stage.observe() == done.observed
    bench.count(stage)
    assert (bench.root / "f").read_text() == "new\n"


def test_hands_refuse_what_the_plan_did_not_declare(bench: FileBench) -> None:
    (bench.root / "f").write_text("old\n")
    (bench.root / "g").write_text("other\n")
    tool = TOOLS["files_write"]
    args = tool.arguments.model_validate({"path": "f", "text": "new\n"})
    view = bench.workspace.view(warm=False)
    plan = tool.plan(args, run(tool.survey(args, Seeing(view))))
    before = picture(bench.root)
    stage = bench.workspace.stage(plan)
    f, g = run(view.locate("f")), run(view.locate("g"))
    for act in (
        lambda: stage.write(g, b"new\n"),
        lambda: stage.write(f, b"not what was declared"),
        lambda: stage.remove(f, recursive=False),
        lambda: stage.move(f, g),
    ):
        with pytest.raises(Refused) as no:
            run(act())
        assert no.value.word == "denied"
    assert stage.observe() == ()
    stage.commit()
    assert picture(bench.root) == before


def test_one_path_is_changed_once_in_a_call(bench: FileBench) -> None:
    (bench.root / "f").write_text("old\n")
    tool = TOOLS["files_write"]
    args = tool.arguments.model_validate({"path": "f", "text": "new\n"})
    facts = run(tool.survey(args, Seeing(bench.workspace.view(warm=False))))
    stage = bench.workspace.stage(tool.plan(args, facts))
    run(tool.perform(args, facts, stage))
    with pytest.raises(Refused, match="twice"):
        run(tool.perform(args, facts, stage))


def test_a_change_between_survey_and_act_is_a_conflict(bench: FileBench) -> None:
    (bench.root / "f").write_text("old\n")
    tool = TOOLS["files_write"]
    args = tool.arguments.model_validate({"path": "f", "text": "new\n"})
    facts = run(tool.survey(args, Seeing(bench.workspace.view(warm=False))))
    stage = bench.workspace.stage(tool.plan(args, facts))
    (bench.root / "f").write_text("theirs\n")
    with pytest.raises(Refused) as no:
        run(tool.perform(args, facts, stage))
    assert no.value.word == "conflict"
    assert (bench.root / "f").read_text() == "theirs\n"


# --- edit ------------------------------------------------------------------------------------------------------------


def edit(bench: FileBench, *pairs: tuple[str, str], **more: object) -> str:
    return bench.call("files_edit", path="f", edits=[{"old": a, "new": b, **more} for a, b in pairs]).text


def test_edits_are_made_one_after_the_other(bench: FileBench) -> None:
    (bench.root / "f").write_text("one\ntwo\n")
    assert edit(bench, ("one", "1"), ("1\ntwo", "12")) == "edited `f`: 2 edits made"
    assert (bench.root / "f").read_text() == "12\n"


def test_when_one_edit_does_not_fit_none_is_made(bench: FileBench) -> None:
    (bench.root / "f").write_text("one\ntwo\n")
    no = bench.refused("files_edit", path="f", edits=[{"old": "one", "new": "1"}, {"old": "three", "new": "3"}])
    assert no.word == "not_found"
    assert no.reason == "edit 2 of 2: `old` is not in `f`"


def test_text_that_is_there_more_than_once_is_told_with_its_lines(bench: FileBench) -> None:
    (bench.root / "f").write_text("x = 1\ny = 2\nx = 1\n")
    no = bench.refused("files_edit", path="f", edits=[{"old": "x = 1", "new": "x = 3"}])
    assert (no.word, no.reason) == ("invalid_arguments", "edit 1 of 1: `old` is there 2 times, at lines 1, 3")
    edit(bench, ("x = 1", "x = 3"), all=True)
    assert (bench.root / "f").read_text() == "x = 3\ny = 2\nx = 3\n"


@pytest.mark.parametrize(
    ("content", "old", "told"),
    [
        pytest.param("def f():\n    return 1\n", "def f():\n\treturn 1", "line 1 differs only in white", id="tabs"),
        pytest.param("\n\ndef total(x):\n    return sum(x)", "def totals(y):\n    return sum(y)", "line 3", id="like"),
        pytest.param("alpha\nbeta\n", "zzzz qqqq", "nothing in it is like this", id="nothing-like-it"),
    ],
)  # fmt: skip
def test_text_that_is_not_there_is_told_with_the_nearest(bench: FileBench, content: str, old: str, told: str) -> None:
    (bench.root / "f").write_text(content)
    no = bench.refused("files_edit", path="f", edits=[{"old": old, "new": "x"}])
    assert told in no.hint


@pytest.mark.parametrize(
    ("content", "result"),
    [
        pytest.param(b"one\r\ntwo\r\nend\r\n", b"1\r\n2\r\nend\r\n", id="crlf"),
        pytest.param(b"\xef\xbb\xbfone\ntwo\nend\n", b"\xef\xbb\xbf1\n2\nend\n", id="mark"),
        pytest.param("one\ntwo\nend\n".encode("utf-16"), "1\n2\nend\n".encode("utf-16"), id="utf-16"),
        pytest.param(b"one\ntwo\n\xe9nd\n", b"1\n2\n\xe9nd\n", id="latin-1"),
    ],
)
def test_an_edit_keeps_line_ends_and_encoding(bench: FileBench, content: bytes, result: bytes) -> None:
    (bench.root / "f").write_bytes(content)
    edit(bench, ("one\ntwo", "1\n2"))
    assert (bench.root / "f").read_bytes() == result


def test_what_cannot_be_edited_is_told(bench: FileBench) -> None:
    (bench.root / "f").write_bytes(b"caf\xe9\n")
    assert "LATIN-1" in bench.refused("files_edit", path="f", edits=[{"old": "caf", "new": "€"}]).reason
    assert bench.refused("files_edit", path="f", edits=[{"old": "caf", "new": "caf"}]).word == "invalid_arguments"
    (bench.root / "f").write_bytes(b"a\0b")
    assert "not text" in bench.refused("files_edit", path="f", edits=[{"old": "a", "new": "b"}]).reason
    assert bench.refused("files_edit", path="none", edits=[{"old": "a", "new": "b"}]).word == "not_found"


def test_what_stands_in_a_file_is_not_told_before_it_is_judged(bench: FileBench) -> None:
    """A rule may deny this file by its path: the plan of an edit that does not fit is judged like any other."""
    (bench.root / "f").write_text("password = hunter2\n")
    tool = TOOLS["files_edit"]
    args = tool.arguments.model_validate({"path": "f", "edits": [{"old": "password = x", "new": "y"}]})
    plan = tool.plan(args, run(tool.survey(args, Seeing(bench.workspace.view(warm=False)))))
    assert [(e.verb, e.content) for e in plan.effects] == [(Verb.UPDATE, None)]


@pytest.mark.parametrize(
    ("content", "edits", "word"),
    [
        pytest.param("a" * 1_000_000, [("a" * 4_000 + "b", "c", False)], "not_found", id="one-long-line"),
        pytest.param("a\nb\n" * 100_000, [("a\n" * 2_000, "c", False)], "not_found", id="many-lines"),
        pytest.param("x", [("ab" * 100_000, "c", False)], "not_found", id="much-wanted"),
        pytest.param("a\n" * 500_000, [("a", "b", False)], "invalid_arguments", id="there-very-often"),
        pytest.param("a", [("a", "a" * 10, True)] * 12, "failed", id="growing-tenfold-each-time"),
    ],
)
def test_an_edit_that_does_not_fit_is_told_soon(
    bench: FileBench, content: str, edits: list[tuple[str, str, bool]], word: str
) -> None:
    (bench.root / "f").write_text(content)
    begun = time.monotonic()
    no = bench.refused("files_edit", path="f", edits=[{"old": o, "new": n, "all": every} for o, n, every in edits])
    assert no.word == word
    assert time.monotonic() - begun < 5


def test_a_preview_of_long_files_is_made_soon_and_begins_where_they_differ(bench: FileBench) -> None:
    (bench.root / "f").write_text("".join(f"{n % 997}\n" for n in range(100_000)))
    tool = TOOLS["files_write"]
    new = "".join(f"{'new' if n == 5_000 else n % 997}\n" for n in range(10_000)) + "other\n" * 100_000
    args = tool.arguments.model_validate({"path": "f", "text": new})
    facts = run(tool.survey(args, Seeing(bench.workspace.view(warm=False))))
    begun = time.monotonic()
    lines = tool.preview(args, facts).splitlines()
    assert time.monotonic() - begun < 2
    assert lines[2:] == ["@@ -4998,7 +4998,7 @@", " 12", " 13", " 14", "-15", "+new", " 16", " 17", " 18"]


def test_a_preview_is_a_diff(bench: FileBench) -> None:
    (bench.root / "f").write_text("one\ntwo\n")
    for name, arguments in (
        ("files_edit", {"path": "f", "edits": [{"old": "two", "new": "2\x1b[31m"}]}),
        ("files_write", {"path": "f", "text": "one\n2\x1b[31m\n"}),
    ):
        tool = TOOLS[name]
        args = tool.arguments.model_validate(arguments)
        shown = tool.preview(args, run(tool.survey(args, Seeing(bench.workspace.view(warm=False)))))
        assert shown.splitlines() == ["--- a/f", "+++ b/f", "@@ -1,2 +1,2 @@", " one", "-two", "+2\\x1b[31m"]


# --- move and remove -------------------------------------------------------------------------------------------------


def test_a_move_shows_both_ends(bench: FileBench) -> None:
    (bench.root / "d" / "sub").mkdir(parents=True)
    (bench.root / "d" / "sub" / "f").write_text("x")
    done = bench.call("files_move", source="d", target="n/e")
    assert done.planned == done.observed
    assert short(done.observed, bench) == [
        ("update", "d", 0, "snapshot"),
        ("update", "d/sub", 0, "snapshot"),
        ("update", "d/sub/f", 1, "snapshot"),
        ("create", "n/e", 0, "trivial"),
        ("create", "n/e/sub", 0, "trivial"),
        ("create", "n/e/sub/f", 1, "trivial"),
    ]
    assert (bench.root / "n" / "e" / "sub" / "f").read_text() == "x"
    assert not (bench.root / "d").exists()


def test_a_move_over_a_file_is_an_update_of_it_and_undoable(bench: FileBench) -> None:
    (bench.root / "f").write_text("mine")
    (bench.root / "g").write_text("theirs")
    before = picture(bench.root)
    done = bench.call("files_move", source="f", target="g")
    assert done.planned == done.observed
    assert short(done.observed, bench) == [("update", "f", 1, "snapshot"), ("update", "g", 1, "snapshot")]
    assert (bench.root / "g").read_text() == "mine"
    bench.undo(done.manifest)
    assert picture(bench.root) == before


@pytest.mark.parametrize(
    ("source", "target", "word"),
    [
        ("d", "d/inside", "invalid_arguments"),
        ("d", "d", "invalid_arguments"),
        ("f", "f", "invalid_arguments"),
        ("f", "d", "invalid_arguments"),
        ("d", "f", "failed"),
        ("nothing", "x", "not_found"),
        (".", "x", "denied"),
        ("f", ".", "invalid_arguments"),
        ("f", "f/x", "not_found"),
    ],
)
def test_a_move_that_makes_no_sense_is_refused(bench: FileBench, source: str, target: str, word: str) -> None:
    (bench.root / "d").mkdir()
    (bench.root / "f").write_text("x")
    assert bench.refused("files_move", source=source, target=target).word == word


def test_a_link_is_moved_and_removed_itself(bench: FileBench) -> None:
    (bench.root / "f").write_text("x")
    (bench.root / "link").symlink_to("f")
    (bench.root / "out").symlink_to("/etc/passwd")
    bench.call("files_move", source="link", target="moved")
    bench.call("files_remove", path="out")
    assert os.readlink(bench.root / "moved") == "f"
    assert sorted(os.listdir(bench.root)) == ["f", "moved"]


def test_a_removal_is_one_effect_for_each_path(bench: FileBench) -> None:
    (bench.root / "d" / "empty").mkdir(parents=True)
    (bench.root / "d" / "f").write_text("x")
    (bench.root / "d" / "l").symlink_to("f")
    assert "recursive" in bench.refused("files_remove", path="d").hint
    done = bench.call("files_remove", path="d", recursive=True)
    assert done.text == "removed the folder `d` and 2 files in it"
    assert short(done.observed, bench) == [
        ("delete", "d", 0, "snapshot"),
        ("delete", "d/empty", 0, "snapshot"),
        ("delete", "d/f", 1, "snapshot"),
        ("delete", "d/l", 1, "snapshot"),
    ]
    assert short(done.planned, bench) == short(done.observed, bench)
    assert list(bench.root.iterdir()) == []


def test_an_empty_folder_goes_without_saying_recursive(bench: FileBench) -> None:
    (bench.root / "d").mkdir()
    bench.call("files_remove", path="d")
    assert list(bench.root.iterdir()) == []
    assert bench.refused("files_remove", path=".", recursive=True).word == "denied"


@pytest.mark.parametrize("act", ["files_remove", "files_move"])
def test_a_folder_with_something_hidden_in_it_is_judged_by_it(bench: FileBench, act: str) -> None:
    (bench.root / "d" / "sub").mkdir(parents=True)
    (bench.root / "d" / "sub" / ".env").write_text("s")
    os.link(bench.root / "d" / "sub" / ".env", bench.root / "alias")
    for path in ("d", "alias"):
        bench.denied(
            act, **({"path": path, "recursive": True} if act == "files_remove" else {"source": path, "target": "n"})
        )


def test_a_look_that_was_cut_short_waits_and_the_stage_counts(
    bench: FileBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    (bench.root / "d").mkdir()
    (bench.root / ".env").write_text("s")
    for number in range(5):
        (bench.root / "d" / str(number)).touch()
    os.link(bench.root / ".env", bench.root / "d" / "alias")
    monkeypatch.setattr("byleave.hands.files.view.MAX_TREE_SECONDS", -1)
    for name, arguments in (
        ("files_remove", {"path": "d", "recursive": True}),
        ("files_move", {"source": "d", "target": "e"}),
    ):
        stage, done = bench.staged(name, **arguments)
        assert all(e.waits and e.extent.amount is None for e in done.planned)
        assert sum(e.extent.amount or 0 for e in done.observed if e.verb is not Verb.CREATE) == 6
        hidden = [e.target.name.rsplit("/", 1)[1] for e in done.observed if "hidden-alias" in e.traits]
        assert hidden == ["alias"]
        stage.discard()


def test_a_tree_2000_folders_deep_is_removed_and_comes_back(bench: FileBench) -> None:
    at = os.open(bench.root, os.O_RDONLY)
    for _ in range(2000):
        os.mkdir("d", dir_fd=at)
        below = os.open("d", os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = below
    os.close(os.open("leaf", os.O_CREAT, dir_fd=at))
    os.close(at)
    done = bench.call("files_remove", path="d", recursive=True)
    assert len(done.observed) == 2001
    assert list(bench.root.iterdir()) == []
    bench.undo(done.manifest)
    count = subprocess.run(["find", bench.root], capture_output=True, check=True).stdout.count(b"\n")
    assert count == 2002
    bench.call("files_remove", path="d", recursive=True)


@pytest.mark.parametrize("name", [b"bad\xff", b"line\nfeed", b"n" * 255, "é\u0301\u202e".encode()])
def test_names_of_every_kind_come_back(bench: FileBench, name: bytes) -> None:
    path = os.path.join(os.fsencode(bench.root), b"d")
    os.mkdir(path)
    with open(os.path.join(path, name), "wb") as file:
        file.write(b"x")
    before = picture(bench.root)
    done = bench.call("files_remove", path="d", recursive=True)
    assert picture(bench.root) == {}
    bench.undo(done.manifest)
    assert picture(bench.root) == before
    moved = bench.call("files_move", source="d", target="e")
    bench.undo(moved.manifest)
    assert picture(bench.root) == before


def test_what_is_no_file_cannot_be_removed_with_its_folder(bench: FileBench) -> None:
    (bench.root / "d").mkdir()
    os.mkfifo(bench.root / "d" / "pipe")
    assert "pipe" in bench.refused("files_remove", path="d", recursive=True).reason


@pytest.mark.skipif(os.geteuid() == 0, reason="root is stopped by no mode")
def test_what_the_system_forbids_is_told_and_changes_nothing(bench: FileBench) -> None:
    (bench.root / "d").mkdir()
    (bench.root / "d" / "f").write_text("x")
    os.chmod(bench.root / "d", 0o555)
    try:
        for act in (
            {"name": "files_write", "path": "d/f", "text": "y"},
            {"name": "files_write", "path": "d/new", "text": "y"},
            {"name": "files_remove", "path": "d/f"},
            {"name": "files_move", "source": "d/f", "target": "g"},
        ):
            assert bench.refused(**act).word == "failed"
    finally:
        os.chmod(bench.root / "d", 0o755)


def test_a_tree_that_forbids_writing_is_removed_and_comes_back(bench: FileBench) -> None:
    (bench.root / "d" / "sub").mkdir(parents=True)
    (bench.root / "d" / "sub" / "f").write_text("x")
    os.chmod(bench.root / "d" / "sub" / "f", 0o444)
    os.chmod(bench.root / "d" / "sub", 0o555)
    before = picture(bench.root)
    done = bench.call("files_remove", path="d", recursive=True)
    assert picture(bench.root) == {}
    bench.undo(done.manifest)
    assert picture(bench.root) == before
    os.chmod(bench.root / "d" / "sub", 0o755)


# --- undo ------------------------------------------------------------------------------------------------------------


def test_undo_never_overwrites_what_came_later(bench: FileBench) -> None:
    (bench.root / "f").write_text("old\n")
    done = bench.call("files_write", path="f", text="new\n")
    assert bench.workspace.moved_on(done.manifest or {}) == ()
    (bench.root / "f").write_text("later\n")
    assert bench.workspace.moved_on(done.manifest or {}) == ("f",)
    before = picture(bench.root)
    with pytest.raises(Refused) as no:
        bench.undo(done.manifest)
    assert no.value.word == "conflict"
    assert picture(bench.root) == before


def test_undo_of_a_move_carries_later_work_in_the_folder_along(bench: FileBench) -> None:
    (bench.root / "d").mkdir()
    done = bench.call("files_move", source="d", target="e")
    (bench.root / "e" / "later").write_text("x")
    bench.undo(done.manifest)
    assert (bench.root / "d" / "later").read_text() == "x"


def test_undo_leaves_a_folder_that_others_came_into(bench: FileBench) -> None:
    done = bench.call("files_write", path="a/b/f", text="x")
    (bench.root / "a" / "theirs").write_text("y")
    bench.undo(done.manifest)
    assert picture(bench.root).keys() == {"a", "a/theirs"}


def test_undo_effects_are_restores_with_digests(bench: FileBench) -> None:
    (bench.root / "f").write_text("old\n")
    done = bench.call("files_write", path="f", text="new\n")
    assert done.manifest is not None
    (effect,) = bench.workspace.reverse(done.manifest).observe()
    assert (effect.verb, effect.undo) == (Verb.RESTORE, Undo.SNAPSHOT)
    assert (effect.before, effect.content) == (done.observed[0].content, done.observed[0].before)


def test_a_file_too_large_to_keep_says_so_before_it_counts(tmp_path: Path) -> None:
    bench = FileBench(tmp_path, limits=Limits(each_file=10, each_call=15))
    (bench.root / "d").mkdir()
    for name, size in (("a", 8), ("b", 8), ("large", 11)):
        (bench.root / "d" / name).write_text("x" * size)
    done = bench.call("files_remove", path="d", recursive=True)
    assert [e.undo.value for e in done.observed] == ["snapshot", "snapshot", "none", "none"]
    with pytest.raises(Refused, match="too large"):
        bench.undo(done.manifest)


def test_another_workspaces_change_is_not_undone_here(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    one, two = FileBench(tmp_path / "one"), FileBench(tmp_path / "two")
    done = one.call("files_write", path="f", text="x")
    (two.root / "f").write_text("x")
    for looked_at in (two.workspace.moved_on, two.workspace.reverse):
        with pytest.raises(Refused, match="another workspace"):
            looked_at(done.manifest or {})
    assert (two.root / "f").exists()


def test_undo_through_a_folder_that_is_a_link_now_is_a_conflict(bench: FileBench, tmp_path: Path) -> None:
    (bench.root / "d").mkdir()
    (bench.root / "d" / "f").write_text("x")
    done = bench.call("files_remove", path="d/f")
    os.rmdir(bench.root / "d")
    (tmp_path / "elsewhere").mkdir()
    (bench.root / "d").symlink_to("../elsewhere")
    with pytest.raises(Refused) as no:
        bench.undo(done.manifest)
    assert no.value.word == "conflict"
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.parametrize("name", sorted(TOOLS))
def test_a_description_is_short_and_says_what_is_refused(name: str) -> None:
    text = " ".join((TOOLS[name].__doc__ or "").split())
    assert 80 < len(text) < 450
    assert "Refused:" in text


def test_a_large_file_that_changed_between_survey_and_act_is_a_conflict(
    bench: FileBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("byleave_capabilities.files.MAX_EDITED", 3)
    (bench.root / "f").write_text("large\n")
    tool = TOOLS["files_write"]
    args = tool.arguments.model_validate({"path": "f", "text": "new\n"})
    facts = run(tool.survey(args, Seeing(bench.workspace.view(warm=False))))
    assert facts.content is None
    (bench.root / "f").write_text("LARGE\n")
    with pytest.raises(Refused) as no:
        run(tool.perform(args, facts, bench.workspace.stage(tool.plan(args, facts))))
    assert no.value.word == "conflict"


@pytest.mark.skipif(os.geteuid() == 0, reason="root is stopped by no mode")
def test_when_the_state_directory_cannot_be_written_nothing_counts(bench: FileBench) -> None:
    (bench.root / "f").write_text("old\n")
    stage, _ = bench.staged("files_write", path="f", text="new\n")
    stage.hold()
    os.chmod(bench.state, 0o500)
    try:
        with pytest.raises(Refused) as no:
            stage.commit()
    finally:
        os.chmod(bench.state, 0o700)
    assert no.value.word == "failed"
    assert (bench.root / "f").read_text() == "old\n"
