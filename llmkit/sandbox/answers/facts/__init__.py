"""Facts that the sandbox knows, and how questions find them."""
