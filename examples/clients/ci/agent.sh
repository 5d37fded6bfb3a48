#!/bin/sh
# A headless agent behind the gate: check what the policy says, let the agent work, verify the log.
#
#     sh examples/clients/ci/agent.sh "what the agent is to do"
#
# GITHUB_WORKSPACE: the checkout. BYLEAVE_POLICY: a preset, or a policy outside of the checkout (default: ci).
# BYLEAVE_STATE_DIR: where log and snapshots go; `log.db` makes a good artifact. Exit code: not 0 where anything is wrong.
set -eu
here=$(dirname "$0")
: "${GITHUB_WORKSPACE:?the checkout}" "${BYLEAVE_STATE_DIR:?where the log goes}"
export GITHUB_WORKSPACE BYLEAVE_STATE_DIR

# Not a single agent starts under a policy that lets one of these pass.
decisions=$(byleave check --batch "$here/must-be-denied.jsonl" --workspace "$GITHUB_WORKSPACE" --policy "${BYLEAVE_POLICY:-ci}")
if printf '%s\n' "$decisions" | grep -v '^{"verdict": "deny"' >&2; then
    echo 'agent.sh: the policy allows what it must not: see above' >&2
    exit 1
fi

# No tool of its own (`--tools ""`), no server but the gate (`--strict-mcp-config`).
status=0
claude -p "$1" --mcp-config "$here/mcp.json" --strict-mcp-config --tools "" --allowedTools 'mcp__byleave__*' </dev/null \
    || status=$?

byleave log verify
exit "$status"
