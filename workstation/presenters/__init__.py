"""State to text and tone, in plain Python: nothing here knows the screen library."""
