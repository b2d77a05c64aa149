"""The subcommands of `%llm` that call no model."""
