"""What can be typed: a cell's text becomes an `Ask`. Pure."""
