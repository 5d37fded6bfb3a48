"""Hidden files: the language of .gitignore, whatever the name is spelled like."""

from __future__ import annotations

import pytest

from byleave.policy.hiding import Hiding
from byleave.policy.load import load

CASES = [
    pytest.param(["*.pem"], "a/b/key.pem", True, id="in any folder"),
    pytest.param(["*.pem"], "key.pem.txt", False, id="not a longer name"),
    pytest.param(["*.pem"], "key.PEM", True, id="without case"),
    pytest.param(["*.PEM"], "key.pem", True, id="a pattern without case"),
    pytest.param([".env"], "\uff0eenv", True, id="a full-width stop"),
    pytest.param([".env"], ".e\u200bnv", True, id="an invisible character"),
    pytest.param([".env"], ".env.", True, id="a dot that some disks drop"),
    pytest.param([".env"], ".env ", True, id="a space that some disks drop"),
    pytest.param([".env\\ "], ".env ", True, id="a space that is meant"),
    pytest.param(["stra\u00dfe"], "STRASSE", True, id="folded as text"),
    pytest.param(["caf\u00e9"], "cafe\u0301", True, id="composed or not"),
    pytest.param(["a/c"], "\u2100", False, id="no character is two components"),
    pytest.param(["/x"], "x", True, id="anchored"),
    pytest.param(["/x"], "a/x", False, id="anchored, elsewhere"),
    pytest.param(["a/x"], "b/a/x", False, id="a slash anchors"),
    pytest.param(["**/a/x"], "b/a/x", True, id="in any folder, with a folder"),
    pytest.param(["secrets/"], "secrets/a/b", True, id="in a folder"),
    pytest.param(["secrets/"], "secrets", True, id="the folder, which a name alone cannot tell from a file"),
    pytest.param(["secrets/"], "b/Secrets/a", True, id="in a folder anywhere"),
    pytest.param(["secrets/"], "secrets2/a", False, id="no prefix of a name"),
    pytest.param(["a"], "a/b/c/d", True, id="deep below"),
    pytest.param([".env*", "!.env.example"], ".env.example", False, id="brought back"),
    pytest.param([".env*", "!.env.example"], ".env.local", True, id="not brought back"),
    pytest.param(["!.env.example", ".env*"], ".env.example", True, id="the last one counts"),
    pytest.param(["secrets/", "!secrets/ok"], "secrets/ok", True, id="not brought back from a hidden folder"),
    pytest.param(["secrets/*", "!secrets/ok"], "secrets/ok", False, id="brought back from a folder that is not hidden"),
    pytest.param(["a", "!a/b"], "a/b/c", True, id="nor what lies beneath"),
    pytest.param(["*"], "x", True, id="everything"),
    pytest.param(["*"], ".", False, id="but the workspace itself"),
    pytest.param(["*"], "", False, id="which has no name"),
    pytest.param([], "x", False, id="nothing"),
    pytest.param(["!x"], "x", False, id="nothing, but one is brought back"),
    pytest.param(["*.pem"], "a\nb.pem", True, id="a line break in a name"),
    pytest.param(["*.pem"], "\udcff.pem", True, id="a byte that is no character"),
]


@pytest.mark.parametrize(("patterns", "path", "hidden"), CASES)
def test_what_is_hidden(patterns: list[str], path: str, hidden: bool) -> None:
    assert Hiding(patterns).hides(path) is hidden


@pytest.mark.parametrize("pattern", ["", "  ", "# comment", "a\nb", "!"])
def test_a_pattern_that_hides_nothing_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="`"):
        Hiding([pattern])


def test_the_answer_does_not_depend_on_what_was_asked_before() -> None:
    hiding = Hiding(["secrets/", "!x", "*.pem"])
    paths = ["secrets/a", "a/x", "secrets", "a/secrets/x", "b.pem", "a/b"]
    first = [hiding.hides(path) for path in paths]
    assert [hiding.hides(path) for path in reversed(paths)] == first[::-1]
    assert first == [True, False, True, True, True, False]


def test_a_path_of_very_many_folders_is_asked_about_like_any_other() -> None:
    hiding = Hiding(["secrets/"])
    deep = "/".join(["a"] * 2_000)
    assert [hiding.hides(path) for path in (deep, f"{deep}/secrets/x", f"secrets/{deep}")] == [False, True, True]


# What the presets hide in an ordinary project, and what they leave alone.
HIDDEN_BY_DEFAULT = [
    ".env", ".env.production", "app/.env.local", "certs/server.pem", "certs/server.key", "id_rsa", "home/.ssh/config",
    "home/.aws/credentials", ".netrc", ".npmrc", ".pypirc", "vault.kdbx", "cert.p12", ".git-credentials",
    "credentials.json", "deploy/service-account.json", "service-account-prod.json", "infra/terraform.tfstate",
    "infra/terraform.tfstate.backup", "home/.kube/config", "x/.docker/config.json", ".vault-token", "ID_ED25519",
]  # fmt: skip
LEFT_ALONE = [
    "README.md", ".env.example", ".env.sample", "src/environment.py", "src/keys.py", "docs/pem.md", "id_rsa.pub",
    "src/credentials.py", "terraform/main.tf", "package.json", ".gitignore", ".github/workflows/ci.yml", "keyboard.ts",
    "tests/test_env.py", ".envrc", "app/secrets.py", "Dockerfile", "docker/config.json", "npmrc.md", "app.config.json",
]  # fmt: skip


@pytest.mark.parametrize("preset", ["read-only", "develop", "operate", "ci"])
def test_the_presets_hide_secrets_and_little_else(preset: str, tmp_path) -> None:
    hiding = load(preset, workspace=tmp_path, state_dir=None).book.floor.hiding
    assert [path for path in HIDDEN_BY_DEFAULT if not hiding.hides(path)] == []
    assert [path for path in LEFT_ALONE if hiding.hides(path)] == []
