"""The ledger's rows in a PostgreSQL database that a team shares."""
