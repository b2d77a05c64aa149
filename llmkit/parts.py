"""The parts of messages and answers, under their public name."""

from llmkit.content.parts import (
    Citation,
    Media,
    Other,
    Part,
    Reasoning,
    Text,
    ToolCall,
    ToolResult,
)

__all__ = ["Citation", "Media", "Other", "Part", "Reasoning", "Text", "ToolCall", "ToolResult"]
