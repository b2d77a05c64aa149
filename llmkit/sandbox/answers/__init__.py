"""Answers of the sandbox: known facts, sample texts, structured output, repaired cells."""
