"""Alerts: rules about the calls of a ledger, and how alerts reach functions and addresses, once for all."""
