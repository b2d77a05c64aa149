"""The Decisions APIs."""
