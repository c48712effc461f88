"""Plans: algorithms that decide, and the desk that runs them."""
