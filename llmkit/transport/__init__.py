"""HTTP transports and server-sent events, independent of providers."""
