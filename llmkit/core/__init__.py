"""Errors, settings, the catalogue of providers and models, model names, addresses, redaction."""
