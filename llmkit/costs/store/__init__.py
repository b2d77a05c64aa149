"""Where the rows are kept: `protocol` is what the ledger asks of a store, `sqlite/` the one we ship."""
