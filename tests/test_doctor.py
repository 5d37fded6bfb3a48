"""Each finding of the doctor, made and found; and that a sound installation has none that weakens it."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import sys
import time
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest
from click.testing import CliRunner

from byleave.cli import main
from byleave.doctor import Finding, Gravity, Kind, clients, examine, machine, places
from byleave.hands.files.ability import Abilities, abilities
from byleave.store.engine import can_lose_a_wal
from byleave.store.place import owner_of
from shop import Shop, build, call, gate_over

ROOT = Path(__file__).parents[1]
NOW = time.time()


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    shop = build(tmp_path)
    (shop.project / ".env").chmod(0o600)
    (shop.project / "secrets" / "key.pem").chmod(0o600)
    return shop


def found(shop: Shop, *, policy: str | None = None, uid: int = 1000, now: float = NOW) -> list[Finding]:
    return list(
        examine(
            workspace=shop.project,
            policy=policy or str(shop.policy),
            state_dir=shop.state,
            home=shop.root / "home",
            environ={"PATH": os.environ["PATH"]},
            now=now,
            uid=uid,
        )
    )


def kinds(findings: list[Finding]) -> set[Kind]:
    return {finding.kind for finding in findings}


def test_a_sound_installation_has_nothing_serious(shop: Shop) -> None:
    looked = found(shop)
    assert [finding for finding in looked if finding.gravity is Gravity.SERIOUS] == []
    # Scratch folders: the state lies in /tmp, the backups beside the project.
    assert {f.kind for f in looked if f.gravity is Gravity.WARNING} <= {Kind.STATE_VOLATILE, Kind.BACKUP_SAME_DISK}


def test_looking_changes_nothing(shop: Shop) -> None:
    before = shop.picture()
    found(shop)
    assert shop.picture() == before
    assert list(shop.state.iterdir()) == []


def open_state(shop: Shop) -> None:
    shop.state.chmod(0o777)


def state_in_workspace(shop: Shop) -> None:
    shop.state.rmdir()
    shop.state.symlink_to(shop.project)


def readable_state(shop: Shop) -> None:
    shop.state.chmod(0o755)


def broken_policy(shop: Shop) -> None:
    shop.policy.write_text("extends = 'nothing'\n")


def example_that_does_not_hold(shop: Shop) -> None:
    call = '{ tool = "files_read", arguments = { path = "." } }'
    rule = f'[[rule]]\nid = "x.y"\nwhen = {{ verb = "delete" }}\nverdict = "allow"\nbecause = "z"\nmatches = [{call}]\n'
    shop.policy.write_text(shop.policy.read_text() + rule)


def open_secret(shop: Shop) -> None:
    (shop.project / ".env").chmod(0o644)


def missing_backups(shop: Shop) -> None:
    (shop.backups / "shop-monday.db").unlink()
    shop.backups.rmdir()


def unset_database(shop: Shop) -> None:
    shop.policy.write_text(
        'extends = "develop"\n[databases.shop]\nurl = "env:NOT_SET_ANYWHERE"\nenvironment = "test"\n'
    )


def damaged_log(shop: Shop) -> None:
    (shop.state / "log.db").write_bytes(b"SQLite format 3\0" + b"\xff" * 4096)


def no_workspace(shop: Shop) -> None:
    shop.project.rename(shop.root / "elsewhere")


@pytest.mark.parametrize(
    ("make", "kind", "gravity"),
    [
        pytest.param(open_state, Kind.STATE_UNSAFE, Gravity.SERIOUS, id="others write to the state directory"),
        pytest.param(state_in_workspace, Kind.STATE_UNSAFE, Gravity.SERIOUS, id="the state directory is a link"),
        pytest.param(readable_state, Kind.STATE_UNSAFE, Gravity.WARNING, id="others read the state directory"),
        pytest.param(broken_policy, Kind.POLICY_BROKEN, Gravity.SERIOUS, id="a broken policy"),
        pytest.param(
            example_that_does_not_hold,
            Kind.POLICY_BROKEN,
            Gravity.SERIOUS,
            id="a policy with an example that does not hold",
        ),
        pytest.param(open_secret, Kind.SECRET_OPEN, Gravity.WARNING, id="a secret that everyone reads"),
        pytest.param(missing_backups, Kind.BACKUP_MISSING, Gravity.WARNING, id="backups that are not there"),
        pytest.param(unset_database, Kind.DATABASE, Gravity.WARNING, id="a database without its secret"),
        pytest.param(damaged_log, Kind.LOG_UNREADABLE, Gravity.SERIOUS, id="a damaged log"),
        pytest.param(no_workspace, Kind.WORKSPACE, Gravity.SERIOUS, id="no workspace"),
    ],
)
def test_what_is_wrong_is_found(shop: Shop, make: Callable[[Shop], None], kind: Kind, gravity: Gravity) -> None:
    assert kind not in kinds(found(shop))
    make(shop)
    assert [finding.gravity for finding in found(shop) if finding.kind is kind] == [gravity]


def test_a_secret_is_named_and_never_shown(shop: Shop) -> None:
    open_secret(shop)
    (finding,) = places.secrets(shop.project, (".env",))
    assert "`.env`" in finding.what
    assert "sk_live" not in finding.what + finding.remedy


def test_a_policy_in_the_workspace_that_nobody_trusted(shop: Shop) -> None:
    (shop.project / "byleave.toml").write_text('extends = "read-only"\n')
    _, findings = places.policy(None, shop.project, shop.state)
    assert [finding.kind for finding in findings] == [Kind.POLICY_NOT_TRUSTED]


def test_the_gate_s_own_code_in_the_workspace_is_serious() -> None:
    findings = list(machine.runner(Path(sys.prefix).resolve(), 1000))
    assert [(finding.kind, finding.gravity) for finding in findings] == [(Kind.GATE_IN_WORKSPACE, Gravity.SERIOUS)]


def test_root_is_told(shop: Shop) -> None:
    assert [finding.kind for finding in machine.runner(shop.project, 0)] == [Kind.ROOT]


@pytest.mark.parametrize(
    ("now", "last", "told"),
    [
        pytest.param(NOW, NOW - 5, [], id="right"),
        pytest.param(0.0, None, [Kind.CLOCK], id="1970"),
        pytest.param(NOW, NOW + 3600, [Kind.CLOCK], id="set back since the last record"),
    ],
)
def test_the_clock(now: float, last: float | None, told: list[Kind]) -> None:
    assert [finding.kind for finding in machine.clock(now, last)] == told


def test_the_owner_of_the_log_is_named_while_it_lives(shop: Shop) -> None:
    async def look() -> tuple[int | None, set[Kind]]:
        async with gate_over(shop) as gate:
            await call(gate, "gate_status")
            return owner_of(shop.state), kinds(found(shop))

    owner, during = anyio.run(look)
    assert owner == os.getpid()
    assert Kind.OWNER in during
    assert owner_of(shop.state) is None
    assert Kind.OWNER not in kinds(found(shop))


@pytest.mark.parametrize(
    ("version", "affected"),
    [("3.40.1", True), ("3.44.5", True), ("3.44.6", False), ("3.50.6", True), ("3.50.7", False), ("3.51.2", True),
     ("3.51.3", False), ("3.54.1.0", False), ("4.0.0", False)],
)  # fmt: skip
def test_which_engines_have_the_wal_bug(version: str, affected: bool) -> None:
    assert can_lose_a_wal(version) is affected


def test_what_the_kernel_can_is_found_by_asking_it(tmp_path: Path) -> None:
    able = abilities(str(tmp_path))
    assert isinstance(able, Abilities)
    assert list(tmp_path.iterdir()) == []
    release = tuple(int(part) for part in re.findall(r"\d+", os.uname().release)[:2])
    if release >= (5, 6):
        assert able.exchange


def test_what_is_missing_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(machine, "abilities", lambda _folder: Abilities(openat2=False, nameless=False, exchange=False))
    monkeypatch.setattr(machine, "ripgrep", lambda _root, _environ: None)
    told = [finding.kind for finding in [*machine.kernel(tmp_path), *machine.search(tmp_path, {})]]
    assert told == [Kind.NO_OPENAT2, Kind.NO_NAMELESS, Kind.NO_EXCHANGE, Kind.NO_RIPGREP]


# --- clients ---------------------------------------------------------------------------------------------------------

GATE = {"byleave": {"command": "byleave", "args": ["serve"]}}


def client(tmp_path: Path, name: str, content: object) -> None:
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))


def test_no_client_is_told(tmp_path: Path) -> None:
    assert [finding.kind for finding in clients.clients(tmp_path, tmp_path)] == [Kind.NO_CLIENT]


def test_other_servers_beside_the_gate_are_named(tmp_path: Path) -> None:
    servers = {**GATE, "shell\x1b": {"command": "sh"}}
    client(tmp_path, ".config/Claude/claude_desktop_config.json", {"mcpServers": servers})
    (finding,) = clients.clients(tmp_path, tmp_path)
    assert finding.kind is Kind.OTHER_SERVERS
    assert "`shell\\x1b`" in finding.what


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        pytest.param(".mcp.json", {"mcpServers": GATE}, "Claude Code keeps Bash, Edit", id="Claude Code"),
        pytest.param(".cursor/mcp.json", {"mcpServers": GATE}, "Cursor's own Shell, Read", id="Cursor"),
        pytest.param(".codex/config.toml", "[mcp_servers.byleave]\n", "Codex keeps shell_tool", id="Codex"),
        pytest.param("opencode.json", {"mcp": GATE}, "opencode keeps its own tools", id="opencode"),
        pytest.param(".vscode/mcp.json", {"servers": GATE}, "cannot be told from here", id="one that we do not know"),
        pytest.param(".mcp.json", "{ byleave // not JSON", "Claude Code keeps Bash", id="not readable"),
    ],
)
def test_a_client_with_raw_tools_is_told(tmp_path: Path, name: str, content: object, says: str) -> None:
    client(tmp_path, name, content)
    (finding,) = clients.clients(tmp_path, tmp_path)
    assert finding.kind is Kind.RAW_TOOLS
    assert says in finding.what


def test_a_hook_that_fails_open_stops_nothing(tmp_path: Path) -> None:
    client(tmp_path, ".cursor/mcp.json", {"mcpServers": GATE})
    hook = {"command": "no.py", "matcher": "Shell|Read|Write|Grep|Delete|Task"}
    client(tmp_path, ".cursor/hooks.json", {"hooks": {"preToolUse": [hook]}})
    assert [finding.kind for finding in clients.clients(tmp_path, tmp_path)] == [Kind.RAW_TOOLS]
    client(tmp_path, ".cursor/hooks.json", {"hooks": {"preToolUse": [{**hook, "failClosed": True}]}})
    assert list(clients.clients(tmp_path, tmp_path)) == []


# --- the command and its page ----------------------------------------------------------------------------------------


def test_the_command_ends_by_the_gravest(shop: Shop) -> None:
    words = ["doctor", "--workspace", str(shop.project), "--policy", str(shop.policy), "--state-dir", str(shop.state)]
    fine = CliRunner().invoke(main, [*words, "--json"])
    assert fine.exit_code == 0, fine.output
    assert {"id", "gravity", "what", "remedy"} == set(json.loads(fine.output)[0])
    shop.policy.write_text("nonsense")
    wrong = CliRunner().invoke(main, words)
    assert wrong.exit_code == 1
    assert wrong.output.startswith("doctor.W010 serious: ")


def test_every_id_has_a_row_in_the_page() -> None:
    rows = re.findall(r"^\| `(doctor\.W\d{3})` \|", (ROOT / "docs/doctor.md").read_text(), re.MULTILINE)
    assert rows == [kind.value for kind in Kind]


def test_the_engine_of_the_log_is_the_one_that_is_told() -> None:
    told = [finding.what for finding in machine.engines() if "for the log" in finding.what]
    assert bool(told) == can_lose_a_wal(sqlite3.sqlite_version)
