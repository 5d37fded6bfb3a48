"""byleave ("by your leave"): the MCP server between a coding agent and everything it could destroy."""

__version__ = "0.1.0"
