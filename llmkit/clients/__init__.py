"""Provider clients: one abstract base class, one engine, one codec per wire format."""
