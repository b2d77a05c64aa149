"""The chat beside the cells: its tree of turns, its session on the bridge, its widget."""
