"""Jobs at the providers' Batch APIs: submit, look, fetch, cancel, find."""
