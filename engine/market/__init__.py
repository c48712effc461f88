"""Market data inside the engine: the board, states, subscriptions, instruments, chains and marks."""
