"""Where secrets come from, and that they go nowhere else."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from byleave.hands import secret
from byleave.hands.secret import SecretUnavailable, is_source, resolve, resolve_url

VALUE = "postgres://app:hunter2@db/app"


def program(folder: Path, text: str) -> str:
    """A program that does what `text` says."""
    path = folder / "prog"
    path.write_text(f"#!{sys.executable}\n{text}\n")
    path.chmod(0o755)
    return str(path)


def test_each_source_gives_its_value(tmp_path: Path) -> None:
    (tmp_path / "url").write_text(VALUE + "\nsecond line\n")
    prints = program(tmp_path, f"import sys; print({VALUE!r} + ''.join(sys.argv[1:]))")
    for source, value in {
        "env:URL": VALUE,
        "file:url": VALUE,
        f"file:{tmp_path}/url": VALUE,
        f"command:{prints}": VALUE,
        f"command:{prints} 'a b' c": VALUE + "a bc",
        f'command:["{prints}", "a b", "$(id)"]': VALUE + "a b$(id)",
        "command:./prog": VALUE,
    }.items():
        assert resolve(source, environ={"URL": VALUE, "PATH": os.environ["PATH"]}, folder=tmp_path) == value
        assert is_source(source)


def test_no_shell_runs_the_command(tmp_path: Path) -> None:
    prints = program(tmp_path, "print('x')")
    resolve(f"command:{prints} ; touch pwned && touch $(echo pwned)", environ={}, folder=tmp_path)
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize(
    ("source", "said"),
    [
        pytest.param("env:NOT_SET", "`env:NOT_SET` is empty or not set", id="not-set"),
        pytest.param("env:EMPTY", "`env:EMPTY` is empty or not set", id="empty"),
        pytest.param("file:missing", "`file:missing`: no such file or directory", id="missing"),
        pytest.param("file:.", "`file:.`: is a directory", id="folder"),
        pytest.param("command:/not/there", "`command:/not/there` cannot be started", id="no-program"),
        pytest.param("command:", "`command:` is followed by a program", id="nothing"),
        pytest.param("command:[1]", "`command:` is followed by a program", id="no-words"),
        pytest.param("command:'open", "`command:` is followed by a program", id="open-quotation"),
        pytest.param("vault:x", "a secret is named by", id="unknown-kind"),
    ],
)
def test_what_cannot_be_had_is_told_by_its_source(tmp_path: Path, source: str, said: str) -> None:
    with pytest.raises(SecretUnavailable) as caught:
        resolve(source, environ={"EMPTY": ""}, folder=tmp_path)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        f"import sys; print({VALUE!r}); print({VALUE!r}, file=sys.stderr); sys.exit(3)",
        "import sys; sys.stdout.buffer.write(b'hunter2\\xff')",
        "print('hunter2' * 20000)",
    ],
)
def test_what_a_program_printed_is_in_no_message(tmp_path: Path, text: str, capfd: pytest.CaptureFixture[str]) -> None:
    source = f"command:{program(tmp_path, text)}"
    with pytest.raises(SecretUnavailable) as caught:
        resolve(source, environ={}, folder=tmp_path)
    assert "hunter2" not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    assert capfd.readouterr() == ("", "")


def test_a_program_that_does_not_answer_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secret, "COMMAND_SECONDS", 0.5)
    waits = program(tmp_path, "import time; time.sleep(60)")
    with pytest.raises(SecretUnavailable, match="did not answer"):
        resolve(f"command:{waits}", environ={}, folder=tmp_path)


def test_a_password_in_the_policy_itself_is_refused_and_not_repeated(tmp_path: Path) -> None:
    with pytest.raises(SecretUnavailable) as caught:
        resolve_url(VALUE, environ={}, folder=tmp_path)
    assert "hunter2" not in str(caught.value)
    assert resolve_url("sqlite:///app.db", environ={}, folder=tmp_path) == "sqlite:///app.db"
    assert resolve_url("postgres://app@db/app", environ={}, folder=tmp_path) == "postgres://app@db/app"
    assert resolve_url("env:URL", environ={"URL": VALUE}, folder=tmp_path) == VALUE
