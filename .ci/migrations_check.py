"""Migrate a fresh embedded database up, down to nothing, and up again, with the program's own command."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path


def workstation(data: Path, *words: str) -> str:
    """Run one command on a data folder of its own."""
    program = Path(sys.executable).with_name("workstation")
    done = subprocess.run(
        [str(program), "--data", str(data), "db", *words], check=True, text=True, stdout=subprocess.PIPE
    )
    return done.stdout


def main() -> int:
    """Check; 0 when the schema is where it started."""
    with tempfile.TemporaryDirectory(prefix="ws-migrate-") as name:
        data = Path(name)
        workstation(data, "upgrade")
        first = json.loads(workstation(data, "status", "--json"))
        workstation(data, "downgrade", "base")
        empty = json.loads(workstation(data, "status", "--json"))
        workstation(data, "upgrade")
        again = json.loads(workstation(data, "status", "--json"))
    if first != again or first == empty:
        sys.stderr.write(f"up, down, up did not come back: {first} {empty} {again}\n")
        return 1
    sys.stdout.write(f"migrations: up, down, up; the schema is {again['installed']}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
