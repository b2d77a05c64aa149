"""What the sandbox answers: known facts, sample texts, structured output, repaired cells."""
