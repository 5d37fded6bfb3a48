#!/usr/bin/env python3
"""A policy is code: this says in CI when it no longer answers as the team expects.

    python examples/ci/check_policy.py POLICY WORKSPACE EXPECT.jsonl

Each line of EXPECT is a call and the verdict it should get. `byleave check --batch` judges them all, and does nothing.
Exit code 1 when one differs. The standard library is enough.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path


def main() -> int:
    policy, workspace, expected = sys.argv[1:]
    lines = [json.loads(line) for line in Path(expected).read_text().splitlines() if line.strip()]
    calls = "".join(json.dumps({"tool": line["tool"], "arguments": line["arguments"]}) + "\n" for line in lines)
    byleave = os.environ.get("BYLEAVE", "byleave")
    command = [byleave, "check", "--batch", "-", "--policy", policy, "--workspace", workspace]
    checked = subprocess.run(command, input=calls, capture_output=True, text=True, check=False)
    decisions = [json.loads(line) for line in checked.stdout.splitlines()]
    if len(decisions) != len(lines):
        sys.stderr.write(checked.stderr)
        return 1
    wrong = 0
    for line, decision in zip(lines, decisions, strict=True):
        if decision["verdict"] != line["expect"]:
            wrong += 1
            rules = ", ".join(rule["id"] for rule in decision["rules"])
            print(f"{line['tool']} {line['arguments']}: {decision['verdict']} ({rules}), expected {line['expect']}")
    print(f"{len(lines) - wrong} of {len(lines)} as expected")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
