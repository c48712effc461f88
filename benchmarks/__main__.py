"""``python -m benchmarks [NAME…]``: run the named benchmarks, or list them. ``all`` runs every one, one after another.

Each is a module with a ``main``; it compares with a peer in the same run and prints. Each runs in its own process, so
that none inherits the caches and memory of another.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
EVERYTHING = "all"


def benchmarks() -> dict[str, str]:
    """Name and first line of the description of each benchmark."""
    found = {}
    for path in sorted(FOLDER.glob("*.py")):
        if path.name.startswith("__"):
            continue
        module = ast.parse(path.read_text(encoding="utf-8"))
        if any(isinstance(node, ast.FunctionDef) and node.name == "main" for node in module.body):
            found[path.stem] = (ast.get_docstring(module) or "").splitlines()[0]
    return found


def main(names: Sequence[str]) -> int:
    """Run or list; 0 when every one that ran ended with 0."""
    known = benchmarks()
    if not names:
        width = max(map(len, known))
        for name, description in known.items():
            print(f"{name.ljust(width)}  {description}")
        print(f"\npython -m benchmarks NAME…   or {EVERYTHING}")
        return 0
    unknown = [name for name in names if name not in known and name != EVERYTHING]
    if unknown:
        print(f"No benchmark {', '.join(unknown)}; there are {', '.join(known)}.", file=sys.stderr)
        return 2
    worst = 0
    for name in known if EVERYTHING in names else names:
        print(f"== {name}", flush=True)
        worst = max(worst, subprocess.call([sys.executable, "-m", f"benchmarks.{name}"], cwd=FOLDER.parent))
    return worst


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
