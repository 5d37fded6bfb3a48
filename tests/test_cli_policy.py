"""`byleave init`, `trust` and `policy`, as a person types them."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from unittest import mock

import pytest
from click.testing import CliRunner, Result

from byleave.cli.policy import init, policy, trust
from byleave.policy.load import load
from byleave.policy.schema import schema_text
from byleave.store.entry import StoreDown
from byleave.store.reading import Reader


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "shop"
    (folder / "data" / "backups").mkdir(parents=True)
    sqlite3.connect(folder / "data" / "shop.db").execute("CREATE TABLE t (a)").connection.close()
    (folder / "data" / "empty.db").write_text("")
    (folder / "old.sql.gz").write_bytes(b"")
    (folder / ".env").write_text("A=1")
    (folder / ".env.example").write_text("A=")
    (folder / "node_modules").mkdir()
    (folder / "node_modules" / ".env").write_text("")
    monkeypatch.setenv("BYLEAVE_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.chdir(folder)
    return folder


def run(command, *arguments: str, code: int = 0) -> Result:
    done = CliRunner().invoke(command, arguments)
    assert done.exit_code == code, done.output
    return done


def test_init_writes_suggestions_that_grant_nothing(shop: Path) -> None:
    said = run(init)
    text = (shop / "byleave.toml").read_text()
    assert "byleave trust" in said.stdout
    assert '# url = "sqlite:///data/shop.db"' in text
    assert f'# protect = ["{shop}/data/backups"' in text
    assert "hidden already by the preset: .env\n" in text
    assert "empty.db" not in text
    assert "node_modules" not in text
    run(trust)
    loaded = load(None, workspace=shop, state_dir=shop.parent / "state")
    assert loaded.text == text
    assert loaded.policy == load("develop", workspace=shop, state_dir=None).policy.model_copy(
        update={"extends": "develop"}
    )


def test_every_suggestion_is_a_policy_once_it_is_uncommented(shop: Path) -> None:
    text = run(init, "--stdout").stdout
    lines = []
    for line in text.splitlines():
        bare = line.removeprefix("# ")
        lines.append(bare if line.startswith("# ") and ("=" in bare or bare.startswith("[")) else line)
    path = shop.parent / "whole.toml"
    path.write_text("\n".join(lines))
    loaded = load(str(path), workspace=shop, state_dir=None)
    assert loaded.book.ground.databases == (f"{shop}/data/shop.db",)
    assert loaded.policy.backups.protect == (f"{shop}/data/backups", f"{shop}/old.sql.gz")
    assert loaded.policy.rule[-1].id == "project.migrations"


def test_init_leaves_a_policy_that_is_there(shop: Path) -> None:
    (shop / "byleave.toml").write_text("# mine")
    assert "is there already" in run(init, code=1).output
    assert (shop / "byleave.toml").read_text() == "# mine"


def test_init_does_not_follow_a_link_out(shop: Path) -> None:
    (shop / "byleave.toml").symlink_to(shop.parent / "elsewhere.toml")
    run(init, code=1)
    assert not (shop.parent / "elsewhere.toml").exists()


def test_init_of_no_folder(shop: Path) -> None:
    assert "is no folder" in run(init, "--workspace", "nowhere", code=3).output


@pytest.mark.parametrize("preset", ["read-only", "develop", "operate", "ci"])
def test_init_extends_the_preset_that_is_asked_for(shop: Path, preset: str) -> None:
    assert f'extends = "{preset}"' in run(init, "--extends", preset, "--stdout").stdout
    assert not (shop / "byleave.toml").exists()


def test_trust_shows_what_has_changed_and_names_the_digest(shop: Path) -> None:
    path = shop / "byleave.toml"
    path.write_text('extends = "develop"\n')
    assert "digest" in run(trust).stdout
    path.write_text('extends = "ci"\n')
    said = run(trust).stdout
    assert '-extends = "develop"' in said
    assert '+extends = "ci"' in said


def test_trust_of_a_folder_is_of_the_policy_in_it(shop: Path) -> None:
    (shop / "byleave.toml").write_text('extends = "ci"\n')
    assert json.loads(run(trust, ".", "--json").stdout)["path"] == str(shop / "byleave.toml")


def test_a_policy_with_a_mistake_is_not_trusted(shop: Path) -> None:
    (shop / "byleave.toml").write_text('extends = "develop"\n[workspace]\nhiden = []\n')
    assert ":3: workspace.hiden: unknown key: did you mean `hidden`?" in run(trust, code=4).output
    assert not list((shop.parent / "state").glob("trust/*"))


@pytest.mark.parametrize(("digest", "code"), [("{digest}", 0), ("{digest:.12}", 0), ("{digest:.11}", 1), ("0" * 64, 1)])
def test_trust_of_a_digest_is_of_that_text_only(shop: Path, digest: str, code: int) -> None:
    (shop / "byleave.toml").write_text('extends = "ci"\n')
    whole = json.loads(run(trust, "--json").stdout)["digest"]
    run(trust, "--forget")
    run(trust, "--digest", digest.format(digest=whole), code=code)
    assert len(list((shop.parent / "state").glob("trust/*"))) == (1 if code == 0 else 0)


def test_forgetting_takes_trust_back_also_where_the_file_is_gone(shop: Path) -> None:
    path = shop / "byleave.toml"
    path.write_text('extends = "ci"\n')
    run(trust)
    path.unlink()
    assert json.loads(run(trust, "--forget", "--json").stdout) == {"path": str(path), "forgotten": True}
    assert "nothing to forget" in run(trust, "--forget").stdout
    assert load(None, workspace=shop, state_dir=shop.parent / "state").notices == ()


def test_trust_of_what_is_not_there(shop: Path) -> None:
    assert "cannot be read" in run(trust, "nowhere.toml", code=1).output


def test_trust_needs_a_state_directory_that_nobody_else_writes(shop: Path) -> None:
    (shop / "byleave.toml").write_text('extends = "ci"\n')
    (shop.parent / "state").mkdir()
    (shop.parent / "state").chmod(0o777)
    run(trust, code=5)


def test_explain_reads_the_policy_in_force_aloud(shop: Path) -> None:
    (shop / "byleave.toml").write_text('extends = "read-only"\n')
    said = run(policy, "explain").stdout
    assert "notice: " in said
    assert "policy: preset develop" in said
    run(trust)
    said = run(policy, "explain").stdout
    assert "notice: " not in said
    assert "delete files, undoable, up to 200" in said
    assert "backups.protected: backups are out of reach of every tool" in said
    assert "rate: 120/minute" in said


def test_explain_as_json_is_complete(shop: Path) -> None:
    path = shop.parent / "p.toml"
    path.write_text(
        'extends = "develop"\n[databases.app]\nurl = "env:A"\nenvironment = "development"\nwrite = ["t"]\n'
        f'[backups]\nprotect = ["{shop.parent}/kept"]\n'
    )
    said = json.loads(run(policy, "explain", "--policy", str(path), "--json").stdout)
    assert said["workspace"] == str(shop)
    assert said["backups"] == [f"{shop.parent}/kept"]
    assert said["databases"] == {
        "app": {"environment": "development", "write": ["t"], "max_rows": 500, "schema": "migrations"}
    }
    verdicts = {line["effect"]: line["verdict"] for line in said["effects"]}
    assert verdicts["`app` (development): change rows, undoable, up to 500"] == "allow"
    assert verdicts["`app` (development): change rows of another table"] == "deny"
    assert {rule["id"] for rule in said["rules"]} >= {"files.change", "workspace.max-files", "databases.app.max-rows"}


def test_explain_of_a_policy_with_a_mistake_says_where(shop: Path) -> None:
    (shop.parent / "p.toml").write_text("x = 1")
    assert f"{shop.parent}/p.toml:1: x: unknown key" in run(policy, "explain", "--policy", "../p.toml", code=4).output


def test_show_prints_the_text_in_force(shop: Path) -> None:
    path = shop / "byleave.toml"
    path.write_text('extends = "ci"\n')
    run(trust)
    path.write_text('extends = "develop"\n')
    said = run(policy, "show")
    assert said.stdout == 'extends = "ci"\n'
    assert "last trusted" in said.stderr
    merged = json.loads(run(policy, "show", "--json").stdout)["merged"]
    assert merged["approvals"]["headless"] is True
    assert merged["limits"]["rate"] == "120/minute"
    assert {rule["id"] for rule in merged["rule"]} >= {"files.change"}


def test_the_schema_is_printed_as_it_is_published(shop: Path) -> None:
    assert run(policy, "schema").stdout == schema_text()


def test_trust_given_and_taken_back_is_in_the_log_before_it_takes_effect(shop: Path) -> None:
    run(init)
    run(trust)
    run(trust, "--forget")
    with Reader(shop.parent / "state") as log:
        notes = [json.loads(body)["body"]["text"] for _, body, _, _ in log.rows()]
    assert [note.split(" trusts ")[1].startswith(str(shop / "byleave.toml")) for note in notes] == [True, True]
    assert notes[1].endswith(" no longer")


def test_trust_that_cannot_be_recorded_is_not_given(shop: Path) -> None:
    run(init)
    with mock.patch("byleave.cli.policy.open_store", side_effect=StoreDown("the disk is gone")):
        run(trust, code=5)
    assert not list((shop.parent / "state").glob("trust/*"))


CALLED = """
extends = "develop"
[[rule]]
id = "notes.ask"
when = {{ verb = "update", target = "file:notes.txt" }}
verdict = "ask"
because = "the notes are a person's"
matches = [{{ tool = "files_write", arguments = {{ path = "{path}", text = "x" }} }}]
"""


@pytest.mark.parametrize(("path", "code", "trusted"), [("notes.txt", 0, 1), ("other.txt", 4, 0)])
def test_a_policy_that_no_gate_could_open_is_not_trusted(shop: Path, path: str, code: int, trusted: int) -> None:
    (shop / "notes.txt").write_text("one\n")
    (shop / "byleave.toml").write_text(CALLED.format(path=path))
    said = run(trust, code=code)
    assert ("notes.ask" in said.output) is (code == 4)
    assert len(list((shop.parent / "state").glob("trust/*"))) == trusted
