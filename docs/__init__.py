"""Makers of the documentation's generated parts."""
