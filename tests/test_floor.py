"""The floor: what nothing lifts, by whole components, however it is spelled."""

from __future__ import annotations

import dataclasses

import pytest

from byleave.effects import LOOKING, Effect, Extent, Scheme, Target, Undo, Unit, Verb
from byleave.policy.decision import Verdict
from byleave.policy.floor import MACHINE, REFUSALS, Floor, Ground, floor
from judging import GROUND, ROOT, file

STATE = GROUND.state_dir
CHANGING = sorted(set(Verb) - LOOKING)


def refused(verb: Verb | str, path: str, *traits: str, ground: Ground = GROUND) -> str | None:
    reason = floor(ground, file(verb, path, traits=traits))
    return None if reason is None else reason.rule


# (path, what reading it meets, what changing it meets)
PLACES = [
    pytest.param("src/app.py", None, None, id="an ordinary file"),
    pytest.param("", None, "backups.protected", id="the workspace, which holds backups"),
    pytest.param("/mnt/backups", "backups.protected", "backups.protected", id="the backups"),
    pytest.param("/mnt/backups/a/b", "backups.protected", "backups.protected", id="in the backups"),
    pytest.param("/MNT/Backups/a", "backups.protected", "backups.protected", id="the backups without case"),
    pytest.param("/mnt/backups./a", "backups.protected", "backups.protected", id="the backups with a dot"),
    pytest.param("/mnt/\u200bbackups/a", "backups.protected", "backups.protected", id="with an invisible character"),
    pytest.param("/mnt/\uff42ackups/a", "backups.protected", "backups.protected", id="with a full-width letter"),
    pytest.param("/mnt/backups2/a", "workspace.outside", "workspace.outside", id="no prefix of a name"),
    pytest.param("/mnt/backup", "workspace.outside", "workspace.outside", id="no shorter name"),
    pytest.param("/mnt", "workspace.outside", "backups.protected", id="the folder above the backups"),
    pytest.param("/", "workspace.outside", "backups.protected", id="the root"),
    pytest.param("data/backups/monday", "backups.protected", "backups.protected", id="backups in the workspace"),
    pytest.param("data", None, "backups.protected", id="the folder that holds them"),
    pytest.param("dat", None, None, id="no component of a path to them"),
    pytest.param(STATE, "floor.state-directory", "floor.state-directory", id="the state directory"),
    pytest.param(f"{STATE}/log.db", "floor.state-directory", "floor.state-directory", id="the log"),
    pytest.param(f"{STATE}2", "workspace.outside", "workspace.outside", id="beside the state directory"),
    pytest.param("/home/ann/.local", "workspace.outside", "floor.state-directory", id="above the state directory"),
    pytest.param("data/shop.db", "floor.database-file", "floor.database-file", id="a database"),
    pytest.param("data/shop.db-wal", "floor.database-file", "floor.database-file", id="its log"),
    pytest.param("data/shop.db-shm", "floor.database-file", "floor.database-file", id="its index"),
    pytest.param("data/shop.db-journal", "floor.database-file", "floor.database-file", id="its journal"),
    pytest.param("data/SHOP.DB-WAL", "floor.database-file", "floor.database-file", id="its log without case"),
    pytest.param("data/shop.db2", None, None, id="another database"),
    pytest.param("data/shop.db-walk", None, None, id="not its log"),
    pytest.param("byleave.toml", None, "floor.policy", id="the policy"),
    pytest.param("Byleave.TOML", None, "floor.policy", id="the policy without case"),
    pytest.param("sub/byleave.toml", None, None, id="the policy of another folder"),
    pytest.param(".mcp.json", None, "floor.client-configuration", id="what starts the gate"),
    pytest.param("sub/.mcp.json", None, None, id="another client configuration"),
    pytest.param("/etc/passwd", "floor.machine", "floor.machine", id="the machine's configuration"),
    pytest.param("/proc/self/root/x", "floor.machine", "floor.machine", id="a process"),
    pytest.param("/etcetera", "workspace.outside", "workspace.outside", id="no prefix of a machine's name"),
    pytest.param("/dev/shm/x", "workspace.outside", "workspace.outside", id="shared memory is no device"),
    pytest.param("/dev/shm2", "floor.machine", "floor.machine", id="what only begins so"),
    pytest.param("/dev", "floor.machine", "floor.machine", id="the devices"),
    pytest.param("/usr", "workspace.outside", "floor.machine", id="above the machine's programs"),
    pytest.param("/home/ann/other/x", "workspace.outside", "workspace.outside", id="outside"),
    pytest.param("/home/ann/shop2/x", "workspace.outside", "workspace.outside", id="beside the workspace"),
    pytest.param("/home/ann/Shop/x", "workspace.outside", "workspace.outside", id="folds like the workspace"),
    pytest.param(".env", "workspace.hidden", "workspace.hidden", id="a hidden file"),
    pytest.param("a/.ENV.local", "workspace.hidden", "workspace.hidden", id="a hidden file without case"),
    pytest.param(".env.example", None, None, id="a file that is not hidden after all"),
    pytest.param("secrets/x/y", "workspace.hidden", "workspace.hidden", id="in a hidden folder"),
]  # fmt: skip


@pytest.mark.parametrize("verb", sorted(LOOKING))
@pytest.mark.parametrize(("path", "reading", "changing"), PLACES)
def test_looking_meets_what_is_closed(verb: Verb, path: str, reading: str | None, changing: str | None) -> None:
    del changing
    assert refused(verb, path) == reading


@pytest.mark.parametrize("verb", sorted(set(CHANGING) - {Verb.CREATE}))
@pytest.mark.parametrize(("path", "reading", "changing"), PLACES)
def test_every_other_verb_meets_what_is_kept(verb: Verb, path: str, reading: str | None, changing: str | None) -> None:
    del reading
    assert refused(verb, path) == changing


@pytest.mark.parametrize(
    ("path", "meets"),
    [
        pytest.param("data", None, id="a folder above backups may be made"),
        pytest.param("", None, id="so may the workspace"),
        pytest.param("data/backups", "backups.protected", id="the backups may not"),
        pytest.param("data/shop.db-journal", "floor.database-file", id="a journal put beside a database"),
        pytest.param(".env", "workspace.hidden", id="a file over a hidden one"),
        pytest.param(".env.local", "workspace.hidden", id="a file that will be hidden"),
        pytest.param("byleave.toml", "floor.policy", id="a policy where there was none"),
        pytest.param(".mcp.json", "floor.client-configuration", id="what starts the gate"),
        pytest.param("/", "workspace.outside", id="the root"),
    ],
)
def test_creating_loses_no_folder_but_reaches_no_closed_place(path: str, meets: str | None) -> None:
    assert refused("create", path) == meets


@pytest.mark.parametrize("folder", MACHINE)
def test_nothing_of_the_machine_is_reached_even_where_the_workspace_is_all(folder: str) -> None:
    ground = dataclasses.replace(GROUND, workspace="/", hidden=())
    assert refused("read", f"{folder}/x", ground=ground) == "floor.machine"


@pytest.mark.parametrize(
    ("trait", "reading", "changing"),
    [
        ("outside", "workspace.outside", "workspace.outside"),
        ("hidden", "workspace.hidden", "workspace.hidden"),
        ("hidden-alias", "workspace.hidden", "workspace.hidden"),
        ("other-user", None, "floor.other-user"),
        ("readonly", None, None),
        ("hard-link", None, None),
    ],
)
def test_what_only_the_survey_can_see_counts_too(trait: str, reading: str | None, changing: str | None) -> None:
    assert refused("read", "src/app.py", trait) == reading
    assert refused("update", "src/app.py", trait) == changing
    assert refused("create", "src/new.py", trait) == changing


def test_a_trait_takes_nothing_away_from_a_name() -> None:
    assert refused("read", "data/shop.db", "hidden") == "floor.database-file"
    assert refused("update", "/mnt/backups/x", "outside") == "backups.protected"


@pytest.mark.parametrize("scheme", sorted(set(Scheme) - {Scheme.FILE}))
def test_the_floor_speaks_about_files_only(scheme: Scheme) -> None:
    effect = Effect(Verb.DELETE, Target(scheme, "/mnt/backups/x"), Extent(Unit.FILES, 1), Undo.NONE)
    assert floor(GROUND, effect) is None


def test_a_workspace_that_holds_the_home_directory_gives_nothing_of_it() -> None:
    for workspace in ("/home/ann", "/home", "/"):
        ground = dataclasses.replace(GROUND, workspace=workspace)
        assert refused("read", "/home/ann/notes.txt", ground=ground) == "floor.home"
    assert refused("read", "src/app.py") is None


def test_an_installation_with_nothing_named_protects_nothing_by_accident() -> None:
    bare = Ground(workspace=ROOT, state_dir="", home="")
    assert refused("delete", "a/b", ground=bare) is None
    assert refused("delete", "", ground=bare) is None
    assert refused("delete", "/", ground=bare) == "floor.machine"
    assert refused("update", ".env", ground=bare) is None


def test_a_slash_at_the_end_changes_nothing() -> None:
    ground = dataclasses.replace(GROUND, protected=("/mnt/backups/",), state_dir=f"{STATE}/")
    assert refused("read", "/mnt/backups/a", ground=ground) == "backups.protected"
    assert refused("read", "/mnt/backups", ground=ground) == "backups.protected"
    assert refused("read", f"{STATE}/log.db", ground=ground) == "floor.state-directory"


@pytest.mark.parametrize("char", [".", "+", "(", "[", "*", "\\"])
def test_a_protected_name_is_no_pattern(char: str) -> None:
    ground = dataclasses.replace(GROUND, protected=(f"/mnt/a{char}b",))
    assert refused("read", f"/mnt/a{char}b/x", ground=ground) == "backups.protected"
    assert refused("read", "/mnt/axb/x", ground=ground) == "workspace.outside"


def test_reading_a_policy_is_no_change_of_it() -> None:
    assert refused("search", "byleave.toml") is None


@pytest.mark.parametrize(
    ("name", "barred"),
    [
        ("/mnt/backups/x", True),
        (f"{ROOT}/data/backups/x", True),
        (f"{ROOT}/data/shop.db-wal", True),
        (f"{STATE}/log.db", True),
        (f"{ROOT}/.env", True),
        (f"{ROOT}/secrets/a", True),
        ("/home/ann/other", True),
        (f"{ROOT}/data", False),
        (f"{ROOT}", False),
        (f"{ROOT}/byleave.toml", False),
        (f"{ROOT}/src/app.py", False),
    ],
)
def test_what_a_search_passes_over(name: str, barred: bool) -> None:
    assert Floor(GROUND).bars(name) is barred


@pytest.mark.parametrize(
    ("path", "hidden"),
    [
        ("data/backups", True),
        ("data/backups/monday.sql", True),
        ("Data/BACKUPS/monday.sql", True),
        ("data/shop.db-journal", True),
        (".env", True),
        ("data", False),
        ("data/backups2", False),
        ("byleave.toml", False),
        ("src/app.py", False),
        (".", False),
        ("", False),
    ],
)
def test_a_search_from_above_shows_nothing_that_reading_would_be_refused(path: str, hidden: bool) -> None:
    assert Floor(GROUND).hides(path) is hidden
    assert Floor(dataclasses.replace(GROUND, workspace="/")).hides("mnt/backups/x")


@pytest.mark.parametrize(
    ("workspace", "name", "inside"),
    [
        (ROOT, f"{ROOT}/a/b", "a/b"),
        (ROOT, ROOT, ""),
        (ROOT, f"{ROOT}/a", "a"),
        ("/", "/a/b", "a/b"),
        ("/w", "/w/a", "a"),
    ],
)
def test_a_name_relative_to_the_workspace(workspace: str, name: str, inside: str) -> None:
    assert Floor(dataclasses.replace(GROUND, workspace=workspace)).inside(name) == inside


@pytest.mark.parametrize("reason", REFUSALS, ids=lambda reason: reason.rule)
def test_every_refusal_denies_and_says_what_to_do_instead(reason) -> None:
    assert reason.verdict is Verdict.DENY
    for text in (reason.because, reason.hint):
        assert text
        assert text.isprintable()
        assert not text.endswith(".")
    assert reason.because[0].islower()


def test_each_refusal_has_its_own_id() -> None:
    assert len({reason.rule for reason in REFUSALS}) == len(REFUSALS)
