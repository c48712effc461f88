"""Build the wheel, install it alone in a clean environment, and start the program from it, as a stranger would."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("workstation", "engine", "storage", "migrations")
START_TIMEOUT_S = 180


def run(*arguments: object, **options: Any) -> str:  # noqa: ANN401 - passed on
    """Run a program; its failure is ours."""
    done = subprocess.run(
        [str(argument) for argument in arguments], text=True, stdout=subprocess.PIPE, check=True, **options
    )  # type: ignore[call-overload]
    return str(done.stdout)


def main() -> int:
    """Check the wheel; 0 when the program started from it and showed a chain."""
    with tempfile.TemporaryDirectory(prefix="ws-wheel-") as name:
        folder = Path(name)
        run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder / "dist", cwd=ROOT)
        (wheel,) = (folder / "dist").glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            inside = archive.namelist()
        strangers = {entry.partition("/")[0] for entry in inside} - set(PACKAGES)
        strangers = {entry for entry in strangers if not entry.endswith(".dist-info")}
        if strangers:
            sys.stderr.write(f"the wheel carries what it should not: {sorted(strangers)}\n")
            return 1
        environment = folder / "environment"
        run(sys.executable, "-m", "uv", "venv", "-q", "--python", sys.executable, environment)
        python = environment / "bin" / "python"
        constraints = folder / "constraints.txt"
        constraints.write_text(
            "\n".join(
                line.rstrip(" \\") for line in (ROOT / "requirements-dev.lock").read_text().splitlines() if "==" in line
            )
        )
        run(sys.executable, "-m", "uv", "pip", "install", "-q", "--python", python, "-c", constraints, wheel)
        home = folder / "home"
        home.mkdir()
        clean = {"PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8"}
        words = [environment / "bin" / "workstation", "--data", folder / "data", "chain", "NIFTY", "--json"]
        chain = json.loads(run(*words, cwd=home, env=clean, timeout=START_TIMEOUT_S))
        header = chain["header"]
        sys.stdout.write(
            f"wheel {wheel.name}: started from it, NIFTY {header['expiry']} with {len(chain['strikes'])} strikes, "
            f"forward {header['forward']:.2f}\n"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
