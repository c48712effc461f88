"""What must not be read by others: API keys, the broker's day tokens, and the key that encrypts them at rest."""
