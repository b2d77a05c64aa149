"""Parsing of user input: a cell's text becomes a `CellRequest`. Pure."""
