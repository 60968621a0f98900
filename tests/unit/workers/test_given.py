"""What a process was given: sockets of systemd, the place of a worker."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from ocppd.errors import StartFailed
from ocppd.workers.given import NOTHING_GIVEN, Given, Place, forget_given, read_given

WORKER = {"OCPPD_WORKER": "2", "OCPPD_LISTEN_FD": "3", "OCPPD_CHANNEL_FD": "4", "OCPPD_DIRECTORY": "/srv"}


class GivenTests(SynchronousTestCase):
    """`read_given` and `forget_given`."""

    def test_nothing(self) -> None:
        """Most processes are given nothing."""
        self.assertEqual(read_given({"PATH": "/bin"}, 7), NOTHING_GIVEN)

    def test_systemd(self) -> None:
        """sd_listen_fds(3): descriptors from 3 on, for the process that LISTEN_PID names and no other."""
        environ = {"LISTEN_PID": "7", "LISTEN_FDS": "2", "LISTEN_FDNAMES": "a:b"}
        self.assertEqual(read_given(environ, 7), Given((3, 4)))
        self.assertEqual(read_given(environ, 8), NOTHING_GIVEN)

    def test_nonsense(self) -> None:
        """A count that systemd never writes is none."""
        for count in ("", "x", "-1", "1.0", "٣", "9" * 4000, "0"):
            self.assertEqual(read_given({"LISTEN_PID": "7", "LISTEN_FDS": count}, 7), NOTHING_GIVEN, count)

    def test_worker(self) -> None:
        """A worker finds its place, whatever systemd gave to its supervisor."""
        found = read_given({**WORKER, "LISTEN_PID": "7", "LISTEN_FDS": "2"}, 7)
        self.assertEqual(found, Given((3,), Place(2, 4, Path("/srv"))))

    def test_half_a_worker(self) -> None:
        """A variable that somebody set by hand is told by its name."""
        error = self.assertRaises(StartFailed, read_given, {"OCPPD_WORKER": "2"}, 7)
        self.assertIn("OCPPD_LISTEN_FD", str(error))

    def test_forget(self) -> None:
        """Programs that the daemon starts see none of it."""
        environ = {**WORKER, "LISTEN_PID": "7", "LISTEN_FDS": "2", "LISTEN_FDNAMES": "a:b", "PATH": "/bin"}
        forget_given(environ)
        self.assertEqual(environ, {"PATH": "/bin"})
        forget_given(environ)
