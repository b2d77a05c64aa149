"""Several models asked at once, side by side."""
