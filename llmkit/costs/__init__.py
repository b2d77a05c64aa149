"""The books: the ledger of calls, its store, its frame and charts, the budget and the monitor."""
