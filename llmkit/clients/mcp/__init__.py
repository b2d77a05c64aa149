"""Tools of MCP servers (Model Context Protocol), through the official `mcp` package."""
