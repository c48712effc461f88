#!/usr/bin/env python3
"""Set the project up in .venv and run something in it. Needs only Python 3.11 or newer and a package index.

python3 dev.py run [ARGS…]      set up and start the workstation
python3 dev.py test [ARGS…]     set up and run the tests
python3 dev.py check            format, lint, types and import rules
python3 dev.py bench [NAME…]    benchmarks, each against its peer
python3 dev.py accuracy [N]     errors of price, volatility and Greeks against a reference; N: every Nth point
python3 dev.py chaos [ARGS…]    kill things while orders are in flight, then count
python3 dev.py wheel            build the wheel, install it in a clean environment, start it
python3 dev.py migrations       migrate a fresh database up, down and up
python3 dev.py shots            regenerate the screenshots of the documentation
python3 dev.py setup            only set up
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent
ENVIRONMENT = ROOT / ".venv"
PROGRAMS = ENVIRONMENT / ("Scripts" if os.name == "nt" else "bin")
PYTHON = PROGRAMS / ("python.exe" if os.name == "nt" else "python")
LOCK = ROOT / "requirements-dev.lock"
STAMP = ENVIRONMENT / ".set-up-for"
OLDEST_PYTHON = (3, 11)
WORKERS = max(2, 3 * (os.cpu_count() or 1) // 2)
"""Of the tests: half as many again as processors, because much of what they do is waiting for other processes."""


def run(*arguments: object) -> None:
    """Run a program in the project's folder; its failure is ours."""
    subprocess.run([str(argument) for argument in arguments], check=True, cwd=ROOT, stdin=subprocess.DEVNULL)


def set_up() -> None:
    """Make .venv hold exactly what the lock names, and the project itself. Does nothing when that is so already."""
    fingerprint = hashlib.sha256(
        LOCK.read_bytes() + (ROOT / "pyproject.toml").read_bytes() + f"{sys.version}{ROOT}".encode()
    ).hexdigest()
    if STAMP.exists() and STAMP.read_text() == fingerprint and PYTHON.exists():
        return
    print("Setting up .venv (once; about 20 seconds with a fast package index) …", file=sys.stderr, flush=True)
    if not PYTHON.exists():
        venv.create(ENVIRONMENT, with_pip=True, symlinks=os.name != "nt")
    uv_pin = next(line.split()[0] for line in LOCK.read_text().splitlines() if line.startswith("uv=="))
    try:
        run(PYTHON, "-m", "pip", "install", "-q", "--disable-pip-version-check", uv_pin)
        uv = (PYTHON, "-m", "uv", "pip")
        run(*uv, "sync", "-q", "--python", PYTHON, "--require-hashes", "--compile-bytecode", LOCK)
        run(*uv, "install", "-q", "--python", PYTHON, "--no-deps", "--no-build-isolation", "-e", ROOT)
    except subprocess.CalledProcessError:
        # A platform without a wheel of uv: the same lock serves plain pip, more slowly.
        pip = (PYTHON, "-m", "pip", "install", "-q", "--disable-pip-version-check")
        run(*pip, "--require-hashes", "-r", LOCK)
        run(*pip, "--no-deps", "--no-build-isolation", "-e", ROOT)
    STAMP.write_text(fingerprint)


def commands() -> dict[str, list[list[str]]]:
    """What each word runs: one or more programs, the user's arguments go to the last."""
    python = str(PYTHON)
    return {
        "run": [[str(PROGRAMS / "workstation")]],
        # Neighbours stay together, so that an engine which a module shares is started once and not by every worker.
        "test": [[python, "-m", "pytest", "-q", "-n", str(WORKERS), "--dist", "worksteal"]],
        "check": [
            [python, "-m", "ruff", "format", "--check", "."],
            [python, "-m", "ruff", "check", "."],
            [python, "-m", "mypy"],
            [str(PROGRAMS / "lint-imports")],
        ],
        "wheel": [[python, str(ROOT / ".ci" / "wheel_check.py")]],
        "migrations": [[python, str(ROOT / ".ci" / "migrations_check.py")]],
        "bench": [[python, "-m", "benchmarks"]],
        "accuracy": [[python, "-m", "benchmarks.accuracy"]],
        "chaos": [[python, "-m", "tests.chaos"]],
        "shots": [[python, "-m", "docs.shots"]],
        "python": [[python]],
        "setup": [],
    }


def main() -> int:
    """Set up, then run what was asked for."""
    if sys.version_info < OLDEST_PYTHON:
        print(f"Python 3.11 or newer is needed; this is {sys.version.split()[0]}.", file=sys.stderr)
        return 2
    word, *arguments = sys.argv[1:] or ["help"]
    known = commands()
    if word not in known:
        print(__doc__)
        return 0 if word in {"help", "-h", "--help"} else 2
    set_up()
    programs = known[word]
    if not programs:
        return 0
    for program in programs[:-1]:
        code = subprocess.call(program, cwd=ROOT)
        if code:
            return code
    last = programs[-1] + arguments
    environment = dict(os.environ)
    if word != "run":
        environment["PYTHONPATH"] = str(ROOT)
        # Hundreds of programs are started on the same sources: compiling them anew would be half of their start.
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
    if os.name == "nt":
        return subprocess.call(last, cwd=ROOT, env=environment)
    if word != "run":
        os.chdir(ROOT)
    os.execve(last[0], last, environment)  # noqa: S606 - the program takes our place, signals and all
    return 0


if __name__ == "__main__":
    sys.exit(main())
