"""The terminal, driven by keys and looked at."""
