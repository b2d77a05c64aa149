"""Runs of a model with tools: the loop, the execution of calls, and what replay keeps of them."""
