"""One codec for each wire format: pure functions between our words and a provider's. No I/O."""
