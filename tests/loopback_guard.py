"""Importing this lets the process talk to this machine only: any other address raises, and is noted.

It stands alone, so that the Python processes which tests start can have it too (see `NOTES`).
"""

from __future__ import annotations

import ipaddress
import os
import sys
from pathlib import Path
from typing import Any

NOTES = "LOOPBACK_GUARD_NOTES"
"""This variable may name a file in which child processes note what they tried."""
EVENTS = {"socket.connect": 1, "socket.sendto": 1, "socket.getaddrinfo": 0, "socket.gethostbyname": 0}
"""Audit events, and which of their arguments is the address or the name of a host."""

attempts: list[str] = []
"""What was tried and refused in this process."""


class OutsideAddress(BaseException):
    """A test tried to reach another machine. No `except Exception` in the code under test may hide it."""


def is_loopback(address: Any) -> bool:
    """Whether an address that a socket is given, or a host's name, is this machine; names of files are."""
    if isinstance(address, tuple):
        address = address[0]
    elif isinstance(address, (str, bytes)) and os.fsdecode(address).startswith(("/", "\0")):
        return True
    name = address.decode() if isinstance(address, bytes) else address
    if name in (None, "", "localhost"):
        return True
    try:
        return ipaddress.ip_address(name.partition("%")[0]).is_loopback
    except ValueError:
        return False


def refuse_outside(event: str, arguments: tuple[Any, ...]) -> None:
    """The audit hook."""
    if event not in EVENTS or is_loopback(arguments[EVENTS[event]]):
        return
    attempt = f"{event} {arguments[EVENTS[event]]!r}"
    attempts.append(attempt)
    if notes := os.environ.get(NOTES):
        with Path(notes).open("a", encoding="utf-8") as file:
            file.write(attempt + "\n")
    raise OutsideAddress(f"nothing may reach outside of this machine, but there was {attempt}")


sys.addaudithook(refuse_outside)
