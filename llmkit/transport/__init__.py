"""How bytes travel, and how they become events: nothing here knows a provider."""
