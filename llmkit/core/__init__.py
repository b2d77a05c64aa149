"""What every floor stands on: errors, settings, the catalogue of providers and models, names, addresses."""
