"""Keys: sources, rotation, and the servers that may receive them."""
