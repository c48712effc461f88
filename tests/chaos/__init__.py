"""Kills the engine while orders are in flight, and counts afterwards: duplicates, lost, unexplained. All must be 0.

It is an outsider: it uses the program's commands, its local socket, the official Kite client and the exchange's own
log, and imports nothing of the program.
"""
