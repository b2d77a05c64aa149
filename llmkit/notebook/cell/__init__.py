"""What can be typed: a cell's text becomes a `CellRequest`. Pure."""
