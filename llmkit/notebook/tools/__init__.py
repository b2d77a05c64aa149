"""Tools in cells and in the chat: which ones, who allows a call, where it runs, how its steps are shown."""
