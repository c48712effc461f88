"""The twin of the database in memory: the same ports, the same rules, the same errors, gone with the process.

For unit tests and for trying things. One contract suite runs over both implementations.
"""

from __future__ import annotations

from storage.memory.repositories import MemoryRepositories
from storage.memory.store import MemoryStore

__all__ = ["MemoryRepositories", "MemoryStore"]
