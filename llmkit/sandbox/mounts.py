"""The sandbox's paths and its name."""

from __future__ import annotations

NOTE = "Simulated by the llmkit sandbox: no provider was called, no money was spent."
"""The line to show under simulated output."""

MOUNTS: dict[str, str] = {"openai": "/openai/v1", "anthropic": "/anthropic", "google": "/google"}
"""Path of each protocol's base URL."""
