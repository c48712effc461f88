"""Kite Connect v3: binary ticks, REST and login. Nothing outside this package knows the broker's wire."""
