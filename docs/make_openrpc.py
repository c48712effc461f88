"""Writes docs/openrpc.json, the pinned description of the protocol: ``python -m docs.make_openrpc``."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec

from engine.server import openrpc
from engine.server.methods import wire_methods
from engine.server.session import OWN_METHODS

PINNED = Path(__file__).resolve().parent / "openrpc.json"


def document() -> bytes:
    """What the doors of this version answer to ``rpc.discover``, fit for a person and for comparing."""
    described = openrpc.document([*wire_methods().values(), *OWN_METHODS.values()])
    return msgspec.json.format(msgspec.json.encode(described), indent=2) + b"\n"


def main() -> int:
    """Write the file."""
    PINNED.write_bytes(document())
    return 0


if __name__ == "__main__":
    sys.exit(main())
