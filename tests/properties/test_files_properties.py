"""Whatever is written, moved and removed: undo, newest first, brings back the exact tree, and a stage commits what it
observed."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from hypothesis import example, given, settings
from hypothesis import strategies as st

from byleave.capability import Refused
from byleave.effects import Effect, Verb
from file_bench import FileBench, picture

NAMES = st.sampled_from(["a", "b", "c", "é", "line\nfeed", "A"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
TEXTS = st.sampled_from(["", "one\n", "two\r\nlines\r\n", "ünïcode\n", "x" * 3000])
ACTS = st.one_of(
    st.fixed_dictionaries({"name": st.just("files_write"), "path": PATHS, "text": TEXTS}),
    st.fixed_dictionaries({"name": st.just("files_move"), "source": PATHS, "target": PATHS}),
    st.fixed_dictionaries({"name": st.just("files_remove"), "path": PATHS, "recursive": st.booleans()}),
)


def plant(root: Path) -> None:
    """A small world with a mode, a link, an old time and an empty folder in it."""
    (root / "a" / "b").mkdir(parents=True)
    (root / "b" / "a").mkdir(parents=True)
    (root / "a" / "a").write_bytes(b"\x00\xffbinary")
    (root / "a" / "b" / "c").write_text("script\n")
    os.chmod(root / "a" / "b" / "c", 0o750)
    os.utime(root / "a" / "a", ns=(1_600_000_000_123_456_789,) * 2)
    (root / "c").symlink_to("a/b/c")
    (root / "b" / "c").symlink_to("../nothing")
    os.chmod(root / "b" / "a", 0o700)


def changes(before: dict[str, tuple[object, ...]], after: dict[str, tuple[object, ...]]) -> set[str]:
    """The files and links that differ in more than their time, which is kept for undo but is no effect; folders follow
    from them."""
    before, after = _untimed(before), _untimed(after)
    names = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    return {n for n in names if "folder" not in {before.get(n, [""])[0], after.get(n, [""])[0]}}


def told(effects: tuple[Effect, ...], root: Path) -> set[str]:
    return {e.target.name.removeprefix(f"{root}/") for e in effects if e.extent.amount}


SAME = {"text": "one\n", "name": "files_write"}


@settings(max_examples=60, deadline=None)
@given(st.lists(ACTS, min_size=1, max_size=8), st.booleans())
@example([SAME | {"path": "x"}, SAME | {"path": "y"}, {"name": "files_move", "source": "x", "target": "y"}], True)
def test_undo_newest_first_restores_the_exact_tree(acts: list[dict[str, object]], kernel: bool) -> None:
    with tempfile.TemporaryDirectory() as place:
        bench = FileBench(Path(place), kernel=kernel)
        plant(bench.root)
        done = []
        for act in acts:
            before = picture(bench.root)
            try:
                call = bench.call(**act)  # type: ignore[arg-type]
            except Refused:
                assert picture(bench.root) == before
                continue
            assert changes(before, picture(bench.root)) == told(call.observed, bench.root)
            if call.manifest is not None:
                done.append((before, call.manifest))
        for before, manifest in reversed(done):
            after = picture(bench.root)
            redo = bench.undo(manifest)
            assert picture(bench.root) == before
            again = bench.undo(redo)  # an undo is undone like any other call
            assert picture(bench.root, times=False) == _untimed(after)
            bench.undo(again)
            assert picture(bench.root) == before


def _untimed(world: dict[str, tuple[object, ...]]) -> dict[str, tuple[object, ...]]:
    return {k: (*v[:-1], 0) if v[0] in ("file", "link") else v for k, v in world.items()}


@settings(max_examples=60, deadline=None)
@given(ACTS)
def test_what_was_planned_without_waiting_is_what_is_observed(act: dict[str, object]) -> None:
    with tempfile.TemporaryDirectory() as place:
        bench = FileBench(Path(place))
        plant(bench.root)
        try:
            stage, done = bench.staged(**act)  # type: ignore[arg-type]
        except Refused:
            return
        planned = {(e.verb, e.target, e.extent, e.undo, e.traits) for e in done.planned}
        observed = {(e.verb, e.target, e.extent, e.undo, e.traits) for e in done.observed}
        assert observed == planned or (not observed and {e.verb for e in done.planned} == {Verb.UPDATE})
        before = picture(bench.root)
        stage.discard()
        assert picture(bench.root) == before
