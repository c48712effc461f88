"""Trading sessions, holidays, expiry instants, and the dated facts that no dump holds."""
