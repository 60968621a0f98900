"""Listening sockets that are bound, shared and adopted. Real sockets, no reactor."""

from __future__ import annotations

import os
import socket

from twisted.internet.address import IPv4Address, UNIXAddress
from twisted.trial.unittest import SynchronousTestCase

from ocppd.errors import StartFailed
from ocppd.net.listening import adopted, bind, bind_shared, describe


class SharedTests(SynchronousTestCase):
    """`bind_shared`."""

    def shared(self, port: int, count: int) -> list[socket.socket]:
        sockets = bind_shared(port, count)
        for listening in sockets:
            self.addCleanup(listening.close)
        return sockets

    def test_any_port(self) -> None:
        """With port 0 the system picks one, and all sockets are on it."""
        ports = {listening.getsockname()[1] for listening in self.shared(0, 4)}
        self.assertEqual(len(ports), 1)
        self.assertNotIn(0, ports)

    def test_both_families(self) -> None:
        """Each of them is reached by IPv4."""
        for listening in self.shared(0, 2):
            with socket.create_connection(("127.0.0.1", listening.getsockname()[1]), timeout=10):
                pass

    def test_port_of_another_supervisor(self) -> None:
        """A port that others share among themselves is taken all the same: two daemons would split the chargers."""
        [first, _] = self.shared(0, 2)
        port = first.getsockname()[1]
        error = self.assertRaises(StartFailed, bind_shared, port, 2)
        self.assertIn(f"port {port} is taken", str(error))

    def test_taken_port(self) -> None:
        """A port that another program has is one line; nothing is left open."""
        with bind(0) as taken:
            port = taken.getsockname()[1]
            before = len(os.listdir("/dev/fd"))
            self.assertRaises(StartFailed, bind_shared, port, 2)
            self.assertEqual(len(os.listdir("/dev/fd")), before)
        self.shared(port, 2)


class Port:
    """What `listen` gives, as far as its address goes."""

    def __init__(self, address: object) -> None:
        self.getHost = lambda: address


class DescribeTests(SynchronousTestCase):
    """`describe`."""

    def test_addresses(self) -> None:
        """A port by its number, a socket of the Unix domain by its path."""
        self.assertEqual(describe(Port(IPv4Address("TCP", "0.0.0.0", 9033))), "port 9033")
        self.assertEqual(describe(Port(UNIXAddress("/run/ocppd.sock"))), "the socket /run/ocppd.sock")


class AdoptedTests(SynchronousTestCase):
    """`adopted`."""

    def test_listening(self) -> None:
        """A listening socket is taken over by its number, and programs that we start do not inherit it."""
        with socket.create_server(("127.0.0.1", 0)) as made:
            os.set_inheritable(made.fileno(), True)
            address = made.getsockname()
            found = adopted(made.detach())
        self.addCleanup(found.close)
        self.assertEqual((found.family, found.getsockname()), (socket.AF_INET, address))
        self.assertFalse(found.get_inheritable())

    def test_unix(self) -> None:
        """So is one of the Unix domain."""
        with socket.socket(socket.AF_UNIX) as made:
            made.bind("here")
            made.listen()
            found = adopted(os.dup(made.fileno()))
            self.addCleanup(found.close)
        self.assertEqual(found.family, socket.AF_UNIX)

    def test_anything_else(self) -> None:
        """A socket that does not listen, one of datagrams, a file and nothing at all: one line each, and it stays open."""
        with socket.socket() as idle, socket.socket(type=socket.SOCK_DGRAM) as datagrams, open(os.devnull, "rb") as file:
            for descriptor in (idle.fileno(), datagrams.fileno(), file.fileno(), 10_000):
                error = self.assertRaises(StartFailed, adopted, descriptor)
                self.assertIn(f"descriptor {descriptor}, which was handed over, ", str(error))
            self.assertEqual(idle.getsockname()[1], 0)
