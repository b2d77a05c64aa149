"""Tasks on the words of the prompt itself."""
