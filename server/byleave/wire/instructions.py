"""What a model is told once about working through the gate. Clients cut it at 2 kB; some show only this and names."""

from __future__ import annotations

INSTRUCTIONS = """\
byleave is the gate to this machine's files and databases. Reach them through these tools and no other way. Every \
call is judged by what it would do, recorded, and undoable where that is possible.

Working here
- Paths are relative to the workspace. Hidden files and backups are out of reach of every tool: work without them.
- Read before you change. `files_edit` wants the exact text that is there. `sql_query` reads, `sql_change` changes rows.
- `gate_status` tells the policy in words, what is left of each budget, and what waits for a person.
- `gate_undo` takes back your last change, or the one whose receipt you name.
- Every answer ends with `receipt r-… · log …`. Name the receipt when you tell the user what you changed.

Reading a refusal: its first word says what to do, `hint:` says what would pass. Nothing was done, unless it says so.
- denied: a rule forbids the effect. Do not retry it or reach for the same effect another way. Follow the hint, or \
tell the user what you need and why.
- approval_pending: a person is being asked. Do something else, then make the same call again with the same arguments.
- approval_refused: a person said no. Do not retry. Ask the user how to go on.
- rate_limited: wait as long as it says. Do more in one call.
- budget_exhausted, halted: stop changing things and tell the user.
- invalid_arguments, not_found: correct the call and make it again.
- conflict: somebody changed the same thing meanwhile. Read it again, then redo your change.
- timed_out, failed: try once more in smaller steps, then tell the user.
"""
