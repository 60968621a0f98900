"""A network of its own for a node of a test: a Linux network namespace with one link to the outside, which can be cut.

Needs root and iproute2. Addresses are of two private networks that nothing else here is connected to.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import threading
from collections.abc import Callable
from typing import Any, Self, TypeVar

from support.programs import missing, needed

#: What the two ends of the link are called by.
OUTSIDE, INSIDE = "10.231.77.1", "10.231.77.2"
CLONE_NEWNET = 0x40000000

_T = TypeVar("_T")


class Namespace:
    """One namespace, until `close`. Programs in it reach the machine by `OUTSIDE`, and nothing else."""

    def __init__(self) -> None:
        self._ip = needed("ip")
        if os.geteuid() != 0:
            missing("network namespaces need root")
        self.name = f"ocppd-{os.getpid()}"
        self._link = f"oc{os.getpid()}"
        done = subprocess.run([self._ip, "netns", "add", self.name], capture_output=True, text=True, timeout=10, check=False)
        if done.returncode:
            missing(f"no network namespace can be made here: {done.stderr.strip()}")
        try:
            self._run("link", "add", self._link, "type", "veth", "peer", "name", "out", "netns", self.name)
            self._run("addr", "add", f"{OUTSIDE}/30", "dev", self._link)
            self._run("link", "set", self._link, "up")
            self._run("-n", self.name, "addr", "add", f"{INSIDE}/30", "dev", "out")
            for device in ("lo", "out"):
                self._run("-n", self.name, "link", "set", device, "up")
        except BaseException:
            self.close()
            raise

    def _run(self, *arguments: str) -> None:
        subprocess.run([self._ip, *arguments], capture_output=True, text=True, timeout=10, check=True)

    @property
    def command(self) -> tuple[str, ...]:
        """What goes before a command that is to run in it."""
        return (self._ip, "netns", "exec", self.name)

    def cut(self) -> None:
        """Cut the link: what is sent is lost, and nobody is told."""
        self._run("-n", self.name, "link", "set", "out", "down")

    def mend(self) -> None:
        """Let the link be as it was."""
        self._run("-n", self.name, "link", "set", "out", "up")

    def inside(self, function: Callable[..., _T], *arguments: Any, **keywords: Any) -> _T:
        """Call a function whose sockets are to be in the namespace."""
        results: list[_T] = []
        errors: list[BaseException] = []

        def enter() -> None:
            try:
                with open(f"/run/netns/{self.name}", "rb") as opened:
                    if ctypes.CDLL(None, use_errno=True).setns(opened.fileno(), CLONE_NEWNET):
                        raise OSError(ctypes.get_errno(), "setns")
                results.append(function(*arguments, **keywords))
            except BaseException as error:
                errors.append(error)

        thread = threading.Thread(target=enter)
        thread.start()
        thread.join()
        if errors:
            raise errors[0]
        return results[0]

    def close(self) -> None:
        """Remove it, and the link with it."""
        subprocess.run([self._ip, "netns", "del", self.name], capture_output=True, timeout=10, check=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
