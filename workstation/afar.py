"""Reaching an engine by its URL: where the token comes from, and whom to trust.

A token is never taken from the command line, where every user of the machine could read it, nor from a URL.
"""

from __future__ import annotations

import ssl
import stat
from collections.abc import Mapping
from pathlib import Path

from engine.core.errors import SetupError
from engine.server.remote_client import RemoteClient

TOKEN_VARIABLE = "WORKSTATION_TOKEN"  # noqa: S105 - the name of a variable
TOKEN_BYTES_MAX = 4096
OPEN_TO_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def find_token(file: Path | None, environment: Mapping[str, str]) -> str:
    """The token from a file, else from ``WORKSTATION_TOKEN``.

    Raises:
        SetupError: there is none, or the file cannot be read or may be read by others.
    """
    if file is None:
        token = environment.get(TOKEN_VARIABLE, "").strip()
        if not token:
            raise SetupError(
                "There is no token. `workstation token create --scope read --expires 30d` on the engine's machine "
                f"makes one; put it into {TOKEN_VARIABLE} or into a file of mode 600 and name that with --token-file."
            )
        return token
    try:
        if file.stat().st_mode & OPEN_TO_OTHERS:
            raise SetupError(f"Others may read the token in {file}; chmod 600 it, and revoke it if they have.")
        with file.open("rb") as opened:
            token = opened.read(TOKEN_BYTES_MAX).decode("ascii").strip()
    except OSError as error:
        raise SetupError(f"The token file {file} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError:
        raise SetupError(f"The file {file} holds no token.") from None
    if not token:
        raise SetupError(f"The token file {file} is empty.")
    return token


def trusted(authority: Path | None) -> ssl.SSLContext | None:
    """Whom to trust: a certificate file, or ``None`` for the system's.

    Raises:
        SetupError: the file cannot be read or is no certificate.
    """
    if authority is None:
        return None
    try:
        return ssl.create_default_context(cafile=authority)
    except ssl.SSLError as error:
        raise SetupError(f"{authority} is no certificate: {error.reason}.") from error
    except OSError as error:
        raise SetupError(f"The certificate {authority} cannot be read: {error.strerror}.") from error


async def reach(url: str, *, token: str, authority: Path | None, timeout_s: float, resume: bool = True) -> RemoteClient:
    """A client of the engine at ``url``; see ``RemoteClient.connect``.

    Raises:
        WorkstationError: in words, whatever is in the way.
    """
    return await RemoteClient.connect(url, token=token, tls=trusted(authority), timeout_s=timeout_s, resume=resume)
