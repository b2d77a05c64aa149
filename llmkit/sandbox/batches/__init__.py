"""The Batch APIs and the files they need."""
