"""Refuses Cursor's own tools, so that the agent works through the gate. It needs only the standard library.

Cursor waits for the answer on stdout; with `failClosed` in hooks.json, no answer is a refusal too.
"""

import json

print(
    json.dumps(
        {
            "permission": "deny",
            "user_message": "Cursor's own tools are off here: the agent works through byleave.",
            "agent_message": "This tool is off. Use files_read, files_search, files_edit, files_write, files_move, "
            "files_remove and sql_query of the MCP server byleave instead.",
        }
    )
)
