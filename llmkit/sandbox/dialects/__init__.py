"""The wire formats that the sandbox speaks, one module for each."""
