"""The command `llmkit`: one module for each of its commands, named like it; `main` finds and runs them."""
