"""Python code: snippets, explanations and corrections."""
