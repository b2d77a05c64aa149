"""What a call costs: a bound before it is sent, a charge at its end, and its record."""
