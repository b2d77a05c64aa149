"""The ledger of calls: its store, DataFrame and charts, the budget and the monitor."""
