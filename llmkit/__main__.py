"""`python -m llmkit`: the same as the command `llmkit`."""

import sys

from llmkit.command_line.main import main

if __name__ == "__main__":
    sys.exit(main())
