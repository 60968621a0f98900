"""The certificates of a TLS endpoint, read again without closing the port. Knows no endpoint's syntax.

Twisted asks the context factory of a TLS port for its context with each new connection, so a factory of ours that has
another context from now on is all that it takes. The part of Twisted that is touched and is meant for itself:
`_sslContextFactory` of its TLS endpoints; where it is missing, certificates are those of the start.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from OpenSSL import SSL, crypto
from twisted.internet.error import VerifyError
from twisted.internet.interfaces import IOpenSSLContextFactory
from zope.interface import implementer

from ocppd.errors import StartFailed

ATTRIBUTE: Final = "_sslContextFactory"
#: A file of a key or certificate that is missing, is no PEM, has a passphrase, or does not go with the others.
FILE_ERRORS: Final = (OSError, VerifyError, crypto.Error, SSL.Error)


@implementer(IOpenSSLContextFactory)
class Certificates:
    """The context factory of a TLS endpoint. `parse` makes the endpoint anew, which reads its files."""

    def __init__(self, parse: Callable[[], Any], context: Any) -> None:
        self._parse = parse
        self._context = context

    @classmethod
    def of_endpoint(cls, endpoint: Any, parse: Callable[[], Any]) -> Certificates | None:
        """Take the place of the endpoint's own context factory; None where it has none. Raises StartFailed."""
        if getattr(endpoint, ATTRIBUTE, None) is None:
            return None
        certificates = cls(parse, _context(endpoint))
        setattr(endpoint, ATTRIBUTE, certificates)
        return certificates

    def getContext(self) -> Any:
        """The context of a connection that comes now."""
        return self._context

    def reload(self) -> None:
        """Read the files again, for the connections that come from now on. After StartFailed all is as it was."""
        self._context = _context(self._parse())


def reason_of(error: Exception) -> str:
    """What is wrong with a file, as one line; OpenSSL's own errors are lists of tuples."""
    if isinstance(error, crypto.Error | SSL.Error) and error.args and error.args[0]:
        *_, (_, _, reason) = error.args[0]
        return f"{reason} (it must be PEM without a passphrase)"
    return str(error)


def _context(endpoint: Any) -> Any:
    """The OpenSSL context of an endpoint. Raises StartFailed where key and certificate do not fit, say."""
    try:
        return getattr(endpoint, ATTRIBUTE).getContext()
    except Exception as error:  # whatever OpenSSL and its wrappers make of a wrong file
        raise StartFailed(f"the key or the certificate cannot be used: {reason_of(error)}") from error
