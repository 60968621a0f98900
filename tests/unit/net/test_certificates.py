"""The certificates of an endpoint, read again."""

from __future__ import annotations

from typing import Any

from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.trial.unittest import SynchronousTestCase

from ocppd.errors import StartFailed
from ocppd.net.certificates import ATTRIBUTE, Certificates


class Factory:
    """A context factory with one context."""

    def __init__(self, context: Any) -> None:
        self._context = context

    def getContext(self) -> Any:
        if isinstance(self._context, Exception):
            raise self._context
        return self._context


class Endpoint:
    """A TLS endpoint as Twisted makes it."""

    def __init__(self, context: Any) -> None:
        setattr(self, ATTRIBUTE, Factory(context))


class CertificatesTests(SynchronousTestCase):
    """`Certificates`."""

    def test_reload(self) -> None:
        """The endpoint's own factory is replaced by one that has another context after each reload."""
        contexts = iter(["second", "third"])
        endpoint: Any = Endpoint("first")
        certificates = Certificates.of_endpoint(endpoint, lambda: Endpoint(next(contexts)))
        assert certificates is not None
        self.assertIs(getattr(endpoint, ATTRIBUTE), certificates)
        self.assertEqual(certificates.getContext(), "first")
        for expected in ("second", "third"):
            certificates.reload()
            self.assertEqual(certificates.getContext(), expected)

    def test_broken(self) -> None:
        """What cannot be read or does not fit changes nothing."""

        def unreadable() -> Any:
            raise StartFailed("no such file")

        for parse in (unreadable, lambda: Endpoint(ValueError("key values mismatch"))):
            certificates = Certificates.of_endpoint(Endpoint("first"), parse)
            assert certificates is not None
            self.assertRaises(StartFailed, certificates.reload)
            self.assertEqual(certificates.getContext(), "first")

    def test_broken_from_the_start(self) -> None:
        """A key that does not fit its certificate is one line."""
        error = self.assertRaises(StartFailed, Certificates.of_endpoint, Endpoint(ValueError("mismatch")), lambda: None)
        self.assertIn("cannot be used: mismatch", str(error))

    def test_no_certificates(self) -> None:
        """An endpoint without TLS has none."""
        self.assertIsNone(Certificates.of_endpoint(TCP4ServerEndpoint(None, 0), lambda: None))
