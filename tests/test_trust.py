"""Trust: a policy in the workspace is in force only as the text that a person has read."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from byleave.effects import Effect, Target, Undo, Verb, files
from byleave.policy.judge import judge
from byleave.policy.load import Loaded, PolicyError, load
from byleave.policy.trust import POLICY_NAME, Trusted, TrustError, forget, recall, trust

STRICT = 'extends = "read-only"\n'
LOOSE = 'extends = "develop"\n'


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    (tmp_path / "shop").mkdir()
    return tmp_path / "shop"


@pytest.fixture
def state(tmp_path: Path) -> Path:
    (tmp_path / "state").mkdir(mode=0o700)
    return tmp_path / "state"


def may_write(loaded: Loaded) -> bool:
    """What counts in the end: whether a file of the workspace may be written."""
    target = Target.file(f"{loaded.book.ground.workspace}/a.txt")
    effect = Effect(Verb.UPDATE, target, files(1), Undo.SNAPSHOT)
    return judge(loaded.book, [effect], tool="files_write").verdict.word == "allow"


def test_an_untrusted_policy_is_not_followed_and_the_command_is_told(shop: Path, state: Path) -> None:
    (shop / POLICY_NAME).write_text(STRICT)
    loaded = load(None, workspace=shop, state_dir=state)
    assert loaded.origin == "preset develop"
    assert may_write(loaded)
    assert len(loaded.notices) == 1
    assert f"byleave trust {shop / POLICY_NAME}" in loaded.notices[0]


def test_a_trusted_policy_is_followed_without_a_notice(shop: Path, state: Path) -> None:
    (shop / POLICY_NAME).write_text(STRICT)
    trust(state, shop / POLICY_NAME, STRICT)
    loaded = load(None, workspace=shop, state_dir=state)
    assert (loaded.text, loaded.notices) == (STRICT, ())
    assert not may_write(loaded)


@pytest.mark.parametrize("changed", [LOOSE, STRICT + " ", STRICT + "x = [", ""])
def test_after_any_change_the_text_that_was_trusted_stays_in_force(changed: str, shop: Path, state: Path) -> None:
    path = shop / POLICY_NAME
    trust(state, path, STRICT)
    path.write_text(changed)
    loaded = load(None, workspace=shop, state_dir=state)
    assert loaded.text == STRICT
    assert not may_write(loaded)
    assert "has changed since it was trusted" in loaded.notices[0]
    assert f"byleave trust {path}" in loaded.notices[0]


@pytest.mark.parametrize("what", ["folder", "pipe", "latin"])
def test_a_policy_made_unreadable_leaves_the_trusted_one_in_force(what: str, shop: Path, state: Path) -> None:
    path = shop / POLICY_NAME
    trust(state, path, STRICT)
    match what:
        case "folder":
            path.mkdir()
        case "pipe":
            os.mkfifo(path)
        case _:
            path.write_bytes(b"\xff")
    loaded = load(None, workspace=shop, state_dir=state)
    assert loaded.text == STRICT
    assert loaded.notices


def test_a_policy_taken_away_leaves_the_trusted_one_in_force(shop: Path, state: Path) -> None:
    """Else whoever works in the workspace would loosen a strict policy by deleting it."""
    path = shop / POLICY_NAME
    path.write_text(STRICT)
    trust(state, path, STRICT)
    path.unlink()
    loaded = load(None, workspace=shop, state_dir=state)
    assert loaded.text == STRICT
    assert not may_write(loaded)
    assert "is gone" in loaded.notices[0]


def test_a_link_put_in_the_place_of_a_policy_changes_nothing(shop: Path, state: Path) -> None:
    path = shop / POLICY_NAME
    trust(state, path, STRICT)
    (shop / "other.toml").write_text(LOOSE)
    path.symlink_to("other.toml")
    loaded = load(None, workspace=shop, state_dir=state)
    assert loaded.text == STRICT
    assert not may_write(loaded)
    assert {str(path), str(shop / "other.toml")} <= set(loaded.book.ground.policy_files)


def test_forgotten_trust_is_none(shop: Path, state: Path) -> None:
    path = shop / POLICY_NAME
    path.write_text(STRICT)
    trust(state, path, STRICT)
    assert forget(state, path)
    assert recall(state, path) is None
    assert not forget(state, path)
    assert load(None, workspace=shop, state_dir=state).origin == "preset develop"


def test_trusting_again_follows_the_new_text(shop: Path, state: Path) -> None:
    path = shop / POLICY_NAME
    trust(state, path, STRICT)
    path.write_text(LOOSE)
    trust(state, path, LOOSE)
    loaded = load(None, workspace=shop, state_dir=state)
    assert (loaded.text, loaded.notices) == (LOOSE, ())


def test_a_named_policy_in_the_workspace_needs_trust_as_well(shop: Path, state: Path) -> None:
    path = shop / "conf" / "strict.toml"
    path.parent.mkdir()
    path.write_text(LOOSE)
    with pytest.raises(PolicyError, match="nobody has trusted this policy") as caught:
        load(str(path), workspace=shop, state_dir=state)
    assert f"byleave trust {path}" in caught.value.hint
    trust(state, path, LOOSE)
    assert load(str(path), workspace=shop, state_dir=state).text == LOOSE


def test_a_named_policy_outside_is_trusted_by_being_named(shop: Path, state: Path, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(STRICT)
    loaded = load(str(path), workspace=shop, state_dir=state)
    assert (loaded.text, loaded.notices) == (STRICT, ())
    assert str(path) in loaded.book.ground.policy_files


@pytest.mark.parametrize("direction", ["in", "out"])
def test_a_link_into_or_out_of_the_workspace_needs_trust(
    direction: str, shop: Path, state: Path, tmp_path: Path
) -> None:
    inside, outside = shop / "p.toml", tmp_path / "p.toml"
    file, link = (inside, outside) if direction == "in" else (outside, inside)
    file.write_text(LOOSE)
    link.symlink_to(file)
    with pytest.raises(PolicyError, match="nobody has trusted"):
        load(str(link), workspace=shop, state_dir=state)


def test_trust_holds_for_one_path_only(shop: Path, state: Path, tmp_path: Path) -> None:
    trust(state, shop / POLICY_NAME, STRICT)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / POLICY_NAME).write_text(STRICT)
    assert load(None, workspace=tmp_path / "other", state_dir=state).origin == "preset develop"


def test_without_a_state_directory_nothing_is_trusted(shop: Path) -> None:
    (shop / POLICY_NAME).write_text(STRICT)
    assert load(None, workspace=shop, state_dir=None).notices


def test_a_broken_trusted_policy_is_an_error_not_develop(shop: Path, state: Path) -> None:
    (shop / POLICY_NAME).write_text("extends = 'nothing'")
    trust(state, shop / POLICY_NAME, "extends = 'nothing'")
    with pytest.raises(PolicyError, match="extends"):
        load(None, workspace=shop, state_dir=state)


# --- the record ---


def record_of(state: Path) -> Path:
    (record,) = (state / "trust").iterdir()
    return record


def test_the_record_is_the_owners_alone_and_leaves_nothing_beside_it(shop: Path, state: Path) -> None:
    trusted = trust(state, shop / POLICY_NAME, STRICT)
    assert recall(state, shop / POLICY_NAME) == trusted
    assert stat.S_IMODE(record_of(state).stat().st_mode) == 0o600
    assert stat.S_IMODE((state / "trust").stat().st_mode) == 0o700


def test_a_path_in_bytes_that_are_no_text_is_recorded(shop: Path, state: Path) -> None:
    path = shop / os.fsdecode(b"caf\xe9.toml")
    trust(state, path, STRICT)
    assert recall(state, path) == Trusted(os.path.realpath(path), STRICT, trust(state, path, STRICT).digest)


def rewritten(**fields: object) -> Callable[[Path], None]:
    def change(record: Path) -> None:
        record.write_text(json.dumps({**json.loads(record.read_text()), **fields}))

    return change


def linked(record: Path) -> None:
    moved = record.with_suffix(".moved")
    record.rename(moved)
    record.symlink_to(moved)


def piped(record: Path) -> None:
    record.unlink()
    os.mkfifo(record)


def a_folder(record: Path) -> None:
    record.unlink()
    record.mkdir()


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(rewritten(text=LOOSE), id="another text"),
        pytest.param(rewritten(digest="0" * 64), id="another digest"),
        pytest.param(rewritten(path=b"/elsewhere".hex()), id="another path"),
        pytest.param(rewritten(path="no hex"), id="no path"),
        pytest.param(rewritten(text=1), id="no text"),
        pytest.param(lambda record: record.write_text("{"), id="no JSON"),
        pytest.param(lambda record: record.write_text("[]"), id="another shape"),
        pytest.param(lambda record: record.chmod(0o620), id="the group may write"),
        pytest.param(lambda record: record.chmod(0o602), id="others may write"),
        pytest.param(linked, id="a link"),
        pytest.param(piped, id="a pipe"),
        pytest.param(a_folder, id="a folder"),
    ],
)
def test_a_record_that_cannot_be_believed_is_no_trust(spoil: Callable[[Path], None], shop: Path, state: Path) -> None:
    path = shop / POLICY_NAME
    path.write_text(STRICT)
    trust(state, path, STRICT)
    spoil(record_of(state))
    assert recall(state, path) is None


@pytest.mark.skipif(os.geteuid() != 0, reason="needs to make a file of another user")
def test_a_record_of_another_user_is_no_trust(shop: Path, state: Path) -> None:
    trust(state, shop / POLICY_NAME, STRICT)
    os.chown(record_of(state), 65534, 65534)
    assert recall(state, shop / POLICY_NAME) is None


def test_where_trust_cannot_be_kept_the_old_one_stays(shop: Path, state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = shop / POLICY_NAME
    trust(state, path, STRICT)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(TrustError, match="no space left"):
        trust(state, path, LOOSE)
    monkeypatch.undo()
    kept = recall(state, path)
    assert kept is not None
    assert kept.text == STRICT
    assert [found.name for found in (state / "trust").iterdir()] == [record_of(state).name]
