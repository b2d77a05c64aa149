"""Where the rows are kept: what the ledger asks of a database, and SQLite behind it."""
