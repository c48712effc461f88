"""A small exchange that speaks Kite Connect v3 on loopback, as a process of its own."""
