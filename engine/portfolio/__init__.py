"""Strategies, their ledger and their money. Imports the domain and the charges; quotes come through ``marks``."""
