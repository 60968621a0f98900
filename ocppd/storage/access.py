"""What a group of use cases needs of the storage that it is a part of: to have them run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from twisted.internet.defer import Deferred

from ocppd.storage.unit import Unit

T = TypeVar("T")
P = ParamSpec("P")


class Access(Protocol):
    """Runs use cases, each in a transaction, with its arguments cleaned. Both fail with StorageUnavailable."""

    def write(self, work: Callable[Concatenate[Unit, P], T], *args: P.args, **kwargs: P.kwargs) -> Deferred[T]:
        """Fires with what `work` gives, after its commit is on disk."""

    def read(self, work: Callable[Concatenate[Unit, P], T], *args: P.args, **kwargs: P.kwargs) -> Deferred[T]:
        """Fires with what `work` gives; it changes nothing."""
