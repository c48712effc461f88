"""Strategies, their ledger and their money. Imports the domain only; quotes come through ``marks``."""
