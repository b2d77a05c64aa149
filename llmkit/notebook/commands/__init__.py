"""The subcommands of `%llm` that report or change something and ask no model."""
