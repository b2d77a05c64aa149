"""What can be typed after `%llm`: options, values, subcommands, completion; pure but for the completer."""
