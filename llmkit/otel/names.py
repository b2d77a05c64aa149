"""The names of spans, attributes and metrics: the one table.

Those that begin with `gen_ai.` are of OpenTelemetry's semantic conventions 1.41 for generative AI; those that
begin with `llmkit.` are our own.
"""

from __future__ import annotations

from typing import Final

SCHEMA: Final = "https://opentelemetry.io/schemas/1.41.0"

OPERATION: Final = "gen_ai.operation.name"
PROVIDER: Final = "gen_ai.provider.name"
REQUEST_MODEL: Final = "gen_ai.request.model"
RESPONSE_MODEL: Final = "gen_ai.response.model"
FINISH_REASONS: Final = "gen_ai.response.finish_reasons"
FIRST_CHUNK: Final = "gen_ai.response.time_to_first_chunk"
INPUT_MESSAGES: Final = "gen_ai.input.messages"
OUTPUT_MESSAGES: Final = "gen_ai.output.messages"
TOKEN_TYPE: Final = "gen_ai.token.type"  # noqa: S105 - no password
TOOL_NAME: Final = "gen_ai.tool.name"
TOOL_CALL_ID: Final = "gen_ai.tool.call.id"
TOOL_TYPE: Final = "gen_ai.tool.type"
TOOL_ARGUMENTS: Final = "gen_ai.tool.call.arguments"
TOOL_RESULT: Final = "gen_ai.tool.call.result"
SERVER_ADDRESS: Final = "server.address"
SERVER_PORT: Final = "server.port"
ERROR_TYPE: Final = "error.type"

USAGE: Final = {
    "input_tokens": "gen_ai.usage.input_tokens",
    "output_tokens": "gen_ai.usage.output_tokens",
    "cache_read_tokens": "gen_ai.usage.cache_read.input_tokens",
    "cache_write_tokens": "gen_ai.usage.cache_creation.input_tokens",
    "reasoning_tokens": "gen_ai.usage.reasoning.output_tokens",
}
"""Attributes of the tokens, by the fields of `CallRecord`."""

UID: Final = "llmkit.uid"
STATUS: Final = "llmkit.status"
SURFACE: Final = "llmkit.surface"
COST: Final = "llmkit.cost.usd"
COST_SOURCE: Final = "llmkit.cost.source"
AT_MOST: Final = "llmkit.cost.at_most_usd"
NOTEBOOK: Final = "llmkit.notebook"
CELL: Final = "llmkit.cell.id"
EXECUTION_COUNT: Final = "llmkit.cell.execution_count"
REQUEST_ID: Final = "llmkit.request_id"
ATTEMPTS: Final = "llmkit.attempts"
FALLBACK_FROM: Final = "llmkit.fallback_from"
SIMULATED: Final = "llmkit.simulated"
RUN: Final = "llmkit.run"
STEP: Final = "llmkit.step"
TAG: Final = "llmkit.tag."
"""Followed by the name of the tag."""

CHAT: Final = "chat"
TOOL: Final = "execute_tool"
AGENT: Final = "invoke_agent"
WORKFLOW: Final = "invoke_workflow"
WORKFLOW_NAME: Final = "gen_ai.workflow.name"

DURATION: Final = "gen_ai.client.operation.duration"
TIME_TO_FIRST_CHUNK: Final = "gen_ai.client.operation.time_to_first_chunk"
TOKENS: Final = "gen_ai.client.token.usage"

PROVIDERS: Final = {
    "azure": "azure.ai.openai",
    "google": "gcp.gemini",
    "google-legacy": "gcp.gemini",
    "mistral": "mistral_ai",
    "xai": "x_ai",
}
"""Providers that have another name in the conventions."""


def provider(name: str) -> str:
    """Return the conventions' name of a provider."""
    return PROVIDERS.get(name, name)
