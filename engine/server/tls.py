"""TLS for the web door, and the rule that a door wider than this machine has it.

A key that others may read is no secret and is refused. The oldest version spoken is TLS 1.2.
"""

from __future__ import annotations

import ipaddress
import os
import ssl
from pathlib import Path

from engine.core.errors import SetupError

OPEN_TO_OTHERS = 0o077
NO_PASSPHRASE = ""


def is_loopback(address: str) -> bool:
    """Whether only this machine can reach a bound ``address``, which is a number and not a name."""
    return ipaddress.ip_address(address.partition("%")[0]).is_loopback


def refuse_open_bind(address: str, *, has_tls: bool) -> None:
    """Refuse to listen beyond this machine without TLS.

    Raises:
        SetupError: says what to do.
    """
    if has_tls or is_loopback(address):
        return
    raise SetupError(
        f"The web door would listen at {address}, which other machines reach, without TLS: tokens and orders would "
        "travel in the open. Name --tls-certificate and --tls-key; or stay on 127.0.0.1 and come through SSH "
        "(ssh -L PORT:127.0.0.1:PORT)."
    )


def tls_context(certificate: str, key: str) -> ssl.SSLContext | None:
    """The server's side of TLS from two PEM files; ``None`` when neither is named.

    Raises:
        SetupError: one is missing, cannot be read or is of no use; or others may read the key.
    """
    if not certificate and not key:
        return None
    if not (certificate and key):
        missing = "tls_key" if certificate else "tls_certificate"
        raise SetupError(f"TLS needs a certificate and its key; {missing} is not set.")
    certificate_file, key_file = Path(certificate).expanduser(), Path(key).expanduser()
    _refuse_readable(key_file)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        # Without this function the library would ask for a passphrase at the terminal, which a server may not have.
        context.load_cert_chain(certificate_file, key_file, password=lambda: NO_PASSPHRASE)
    except ssl.SSLError as error:
        why = error.reason or "they cannot be understood"
        raise SetupError(
            f"The TLS certificate {certificate_file} and key {key_file} are of no use: {why}. Both must be PEM, belong "
            "together, and the key must have no passphrase."
        ) from error
    except OSError as error:
        raise SetupError(f"The TLS certificate {certificate_file} cannot be read: {error.strerror}.") from error
    return context


def _refuse_readable(key: Path) -> None:
    try:
        found = key.stat()
    except OSError as error:
        raise SetupError(f"The TLS key {key} cannot be read: {error.strerror}.") from error
    if found.st_mode & OPEN_TO_OTHERS or found.st_uid not in {os.geteuid(), 0}:
        raise SetupError(
            f"The TLS key {key} can be read by others or belongs to somebody else; make it yours: chmod 600 {key}."
        )
