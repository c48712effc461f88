"""Brokers: what talks to the outside in a broker's own words and hands the domain's values in."""
