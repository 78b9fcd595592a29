"""Where the machines of a run meet: which of them keeps the connections, and by which address it reaches the others."""

from __future__ import annotations

import errno
import ipaddress
import socket
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from torch.distributed.elastic.rendezvous.utils import parse_rendezvous_endpoint

PORT = 29400  # where none is given: torch's own
Place = dict[str, Any]  # of `LaunchConfig`


def meeting(rendezvous: str | None, timeout: float, *, keeps: bool | None = None) -> Place:
    """How a launcher finds the others; `keeps` says whether they all connect to this one, where that is known.

    Torch compares the address with what this machine calls itself, which on a cluster is often not what its fast
    network does: an address is this machine's where one can listen to it.
    """
    if rendezvous is None:
        return {"rdzv_endpoint": "localhost:0", "local_addr": "localhost"}
    host, port = parse_rendezvous_endpoint(rendezvous, PORT)
    keeps = is_here(host, port) if keeps is None else keeps
    waits = {"join_timeout": int(timeout), "read_timeout": int(timeout)}
    return {
        "rdzv_endpoint": f"{host}:{port}",
        "local_addr": _own_address(host, port),
        "rdzv_configs": waits | {"is_host": keeps},
    }


def is_here(host: str, port: int) -> bool:
    """Whether somebody may listen there on this machine, and nobody does yet."""
    for family, kind, address in _addresses(host, port, socket.SOCK_STREAM):
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(address)
            except OSError as error:
                if error.errno == errno.EADDRINUSE:
                    return False
            else:
                return True
    return False


def _own_address(host: str, port: int) -> str | None:
    """The address by which this machine reaches the meeting place; None where it knows it by one that others do not."""
    for family, kind, address in _addresses(host, port, socket.SOCK_DGRAM):
        with suppress(OSError), socket.socket(family, kind) as probe:
            probe.connect(address)  # sends nothing
            own = str(probe.getsockname()[0])
            if not ipaddress.ip_address(own.partition("%")[0]).is_loopback:
                return own
            return host if host in ("localhost", str(address[0])) else None
    return None


def _addresses(host: str, port: int, kind: int) -> Iterator[tuple[int, int, Any]]:
    with suppress(OSError):  # torch says that nobody is called so
        yield from ((family, kind, address) for family, kind, *_, address in socket.getaddrinfo(host, port, type=kind))
