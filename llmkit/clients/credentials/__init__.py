"""Keys: where they come from, which one is next, where they may go."""
