"""The answers of rows: what a store of them does, and the stores."""
