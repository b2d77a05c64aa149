"""One call of our own clients: its attempts, deadlines, retries and the reading of its response."""
