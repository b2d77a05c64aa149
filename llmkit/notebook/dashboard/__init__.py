"""The dashboard: where the money went, live, with controls."""
