"""What calls would have cost, should have cost, and cost by the provider's account."""
