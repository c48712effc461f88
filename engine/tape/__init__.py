"""Tapes: what a feed brought, byte for byte with its times, in compressed and checksummed segments on disk.

Invariant: what a reader gives was written just so; what it cannot vouch for it leaves out and says so. The package
imports the domain alone: the engine writes tapes, the practice exchange plays them.
"""
