"""An MCP server of the official package: `python mcp_server.py [PORT http|sse]`."""

import os
import sys
import time

from mcp.types import ImageContent, TextContent

try:
    from mcp.server import MCPServer as Server  # release 2
except ImportError:
    from mcp.server.fastmcp import FastMCP as Server

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="

server = Server("test")


@server.tool()
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@server.tool()
def rows(count: int) -> list[dict]:
    """Return rows."""
    return [{"row": number, "note": None} for number in range(count)]


@server.tool()
def picture() -> list:
    """Draw a picture."""
    return [
        TextContent(type="text", text="Here."),
        ImageContent(type="image", data=PNG, mimeType="image/png"),
    ]


@server.tool()
def fail() -> str:
    """Fail."""
    raise ValueError("no such row")


@server.tool()
def environment() -> list[str]:
    """Return the names and values of the environment."""
    return sorted(f"{name}={value}" for name, value in os.environ.items())


@server.tool()
def process() -> int:
    """Return the process's number."""
    return os.getpid()


@server.tool()
def wait(seconds: float) -> str:
    """Wait."""
    time.sleep(seconds)
    return "Waited."


@server.tool()
def die() -> str:
    """End the process."""
    os.write(2, b"out of memory\n")
    os._exit(3)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        transport = {"http": "streamable-http", "sse": "sse"}[sys.argv[2]]
        if hasattr(server, "settings") and hasattr(server.settings, "port"):
            server.settings.port = int(sys.argv[1])
            server.run(transport)
        else:
            server.run(transport, host="127.0.0.1", port=int(sys.argv[1]))
    else:
        server.run()
