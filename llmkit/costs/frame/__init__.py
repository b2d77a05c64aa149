"""The rows as DataFrames, and their copy in columns beside the file."""
