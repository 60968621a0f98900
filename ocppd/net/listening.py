"""Listening sockets: bound by us, handed over by systemd or a supervisor, or opened by an endpoint of Twisted.

Knows nothing of what is served on them, and can be imported before a reactor is chosen.
"""

from __future__ import annotations

import errno
import os
import socket
from typing import Any, Final

from twisted.internet.address import UNIXAddress
from twisted.internet.endpoints import serverFromString
from twisted.python.failure import Failure

from ocppd.errors import StartFailed
from ocppd.net.certificates import FILE_ERRORS, Certificates, reason_of

#: A reconnect storm must fit into the kernel's queue (C-5); the kernel may cap it lower.
BACKLOG: Final = 4096


def bind(port: int, *, shared: bool = False) -> socket.socket:
    """A listening socket for IPv6 and IPv4, or for IPv4 where there is no IPv6. Raises StartFailed.

    `shared`: other sockets may listen on the same port, and the kernel spreads connections among them (SO_REUSEPORT).
    """
    try:
        if socket.has_dualstack_ipv6():
            return socket.create_server(
                ("", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=BACKLOG, reuse_port=shared
            )
        return socket.create_server(("", port), backlog=BACKLOG, reuse_port=shared)
    except (OSError, OverflowError, ValueError) as error:
        raise StartFailed(_bind_failure(str(port), error)) from error


def bind_shared(port: int, count: int) -> list[socket.socket]:
    """`count` listening sockets on one port; where that is 0, on one that the system picks. Raises StartFailed."""
    if port:
        _claim(port)
    first = bind(port, shared=True)
    try:
        return [first, *(bind(first.getsockname()[1], shared=True) for _ in range(count - 1))]
    except StartFailed:
        first.close()
        raise


def _claim(port: int) -> None:
    """See that nobody listens on the port. Raises StartFailed.

    A second daemon of the same user would otherwise share the port with the first, and get half of its chargers.
    """
    family = socket.AF_INET6 if socket.has_dualstack_ipv6() else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            if family == socket.AF_INET6:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            probe.bind(("", port))
        except (OSError, OverflowError) as error:
            raise StartFailed(_bind_failure(str(port), error)) from error


def adopted(descriptor: int) -> socket.socket:
    """The listening socket that another program has left at this descriptor. Raises StartFailed."""
    try:
        os.set_inheritable(descriptor, False)
        found = socket.socket(fileno=descriptor)
        if found.type == socket.SOCK_STREAM and found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            return found
        found.detach()
    except OSError as error:
        raise StartFailed(f"descriptor {descriptor}, which was handed over, cannot be used: {error.strerror}") from error
    raise StartFailed(f"descriptor {descriptor}, which was handed over, is no listening stream socket (ListenStream=)")


def listen_on_socket(listening: socket.socket, factory: Any, reactor: Any) -> Any:
    """Serve on a listening socket, which is taken over. Gives what `listen` of an endpoint of Twisted gives."""
    listening.setblocking(False)
    port = reactor.adoptStreamPort(listening.fileno(), listening.family, factory)
    listening.close()  # the port has a duplicate
    return port


def parse_endpoint(endpoint: str, reactor: Any) -> Any:
    """A server endpoint of Twisted. Raises StartFailed."""
    try:
        return serverFromString(reactor, endpoint)
    except FILE_ERRORS as error:
        raise StartFailed(f"--port {endpoint}: its key or its certificate cannot be used: {reason_of(error)}") from error
    except Exception as error:  # whatever the parser of this kind of endpoint makes of a wrong one
        raise StartFailed(f"--port {endpoint}: this is no endpoint that Twisted understands ({error})") from error


def listen_on(endpoint: str, factory: Any, reactor: Any) -> tuple[Any, Certificates | None]:
    """Listen on a Twisted endpoint string: the port, and its certificates where it has some. Raises StartFailed."""
    parsed = parse_endpoint(endpoint, reactor)
    certificates = Certificates.of_endpoint(parsed, lambda: parse_endpoint(endpoint, reactor))
    results: list[Any] = []
    parsed.listen(factory).addBoth(results.append)
    if not results:
        raise StartFailed(f"--port {endpoint}: this kind of endpoint is not listening at once and is not supported")
    if isinstance(results[0], Failure):
        cause: Any = results[0].value
        raise StartFailed(_bind_failure(endpoint, getattr(cause, "socketError", None) or cause)) from cause
    return results[0], certificates


def describe(port: Any) -> str:
    """The address that a port listens on, for the log."""
    address = port.getHost()
    if isinstance(address, UNIXAddress):
        return f"the socket {os.fsdecode(address.name or b'')}"
    number = getattr(address, "port", None)
    return str(address) if number is None else f"port {number}"


def _bind_failure(port: str, error: BaseException) -> str:
    number = getattr(error, "errno", None)
    if number == errno.EADDRINUSE:
        return f"port {port} is taken by another program; choose another with --port"
    if number == errno.EACCES:
        return f"port {port} needs privileges that this user does not have; choose one from 1024 on with --port"
    return f"cannot listen on port {port}: {error}"
