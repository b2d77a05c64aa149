"""The cost of a call: an upper bound before it is sent, the charge at its end, and its record."""
