"""nginx and HAProxy with the configurations of deploy/, on private ports of 127.0.0.1, and a relay that watches them."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import subprocess
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import ClassVar

from support.daemon import PATIENCE_S, ROOT, free_port
from support.programs import Program, bare_environment, eventually, missing
from support.tls import self_signed

DEPLOY = ROOT / "deploy"
#: Where Debian keeps servers, which is not on everybody's PATH.
SERVERS = "/usr/local/sbin:/usr/sbin:/sbin"
#: How much of what the proxy sends on one connection is kept.
RECORDED_BYTES = 64 * 1024
#: Ends the server when our end of its input is closed, by whatever ends us: nginx's workers would outlive its first process.
SUPERVISOR = '"$@" & server=$!; read -r _; kill -TERM $server; wait $server'
Change = Callable[[str], str]


def server_program(name: str) -> str:
    """The path of a proxy; without it the test is skipped, in CI it fails."""
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:{SERVERS}") or missing(f"there is no {name} here")


def replaced(text: str, changes: Mapping[str, str]) -> str:
    """The text with the matches of each regular expression replaced. AssertionError where one has none."""
    for pattern, new in changes.items():
        text, count = re.subn(pattern, new, text, flags=re.MULTILINE)
        assert count, f"nothing in the example is like {pattern}"
    return text


def uncommented(pattern: str) -> Change:
    """Puts the commented lines of an example that match into force."""
    return lambda text: replaced(text, {rf"^( *)# ((?:{pattern}).*)$": r"\1\2"})


class Proxy(Program, ABC):
    """A proxy in front of nodes on these ports, listening when the constructor returns.

    `change` is made to the example before its ports and paths are.
    """

    #: The program, the example, and the lines of the example that are for TLS.
    name: ClassVar[str]
    example: ClassVar[Path]
    tls_lines: ClassVar[str]

    def __init__(self, directory: Path, nodes: Sequence[int], change: Change = str) -> None:
        self.port, self.tls_port = free_port(), free_port()
        self._secret, self.certificate = directory / "secret.pem", directory / "certificate.pem"
        secret, certificate = self_signed()
        self._secret.write_bytes(secret + certificate)
        self.certificate.write_bytes(certificate)
        self.configuration = directory / self.example.name
        text = change(self.example.read_text(encoding="utf-8"))
        for number, port in enumerate(nodes, 1):
            text = replaced(text, {rf"\bnode{number}:8080\b": f"127.0.0.1:{port}"})
        self.configuration.write_text(replaced(text, self.changes(directory)), encoding="utf-8")
        self.check()
        super().__init__(["sh", "-c", SUPERVISOR, "sh", *self.command()], directory, bare_environment())
        try:
            eventually(self._listens, f"{self.name} on port {self.port}")
        except BaseException:
            self.__exit__(None, None, None)
            raise

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """End it, and what it has started."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.wait()
        super().__exit__(kind, error, trace)

    @abstractmethod
    def changes(self, directory: Path) -> dict[str, str]:
        """What of the example is not for this machine, by regular expressions."""

    @abstractmethod
    def command(self, *, check: bool = False) -> list[str]:
        """What runs it in the foreground, or checks its configuration."""

    def check(self) -> None:
        """AssertionError where the program does not like its configuration, be it by a warning."""
        told = subprocess.run(
            self.command(check=True), capture_output=True, text=True, env=bare_environment(), timeout=PATIENCE_S, check=False
        )
        output = told.stdout + told.stderr
        assert told.returncode == 0, output
        assert re.search(r"warn|alert|emerg", output, re.IGNORECASE) is None, output

    @property
    def url(self) -> str:
        """Where chargers connect, without their name."""
        return f"ws://127.0.0.1:{self.port}/ocppj/1.6"

    def _listens(self) -> bool:
        assert re.search(r"\[emerg\]|\[ALERT\]", self.tail()) is None, self.tail()
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), PATIENCE_S):
            return True
        return False


class Haproxy(Proxy):
    """HAProxy. What it logs is its stdout."""

    name = "haproxy"
    example = DEPLOY / "haproxy.cfg"
    tls_lines = "bind .* ssl"

    def changes(self, directory: Path) -> dict[str, str]:
        """Ports, the certificate, and limits that every user has; who is not root cannot become another."""
        changes = {
            r"bind :9033\b": f"bind 127.0.0.1:{self.port}",
            r"bind :9443\b": f"bind 127.0.0.1:{self.tls_port}",
            r"/etc/haproxy/ocppd.pem": str(self._secret),
            r"maxconn \d+": "maxconn 200",
        }
        return changes if os.geteuid() == 0 else {**changes, r"^ *(user|group) .*\n": ""}

    def command(self, *, check: bool = False) -> list[str]:
        """In the foreground, with one process."""
        return [server_program(self.name), "-c" if check else "-db", "-f", str(self.configuration)]


class Nginx(Proxy):
    """nginx. What it logs of requests is in the file `access`."""

    name = "nginx"
    example = DEPLOY / "nginx.conf"
    tls_lines = "listen .* ssl|ssl_certificate"

    def changes(self, directory: Path) -> dict[str, str]:
        """Ports, the certificate, limits that every user has, and files where everybody may write."""
        kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        places = "".join(f"    {kind}_temp_path {directory}/{kind};\n" for kind in kinds)
        return {
            r"listen 9033;": f"listen 127.0.0.1:{self.port};",
            r"listen 9443 ssl;": f"listen 127.0.0.1:{self.tls_port} ssl;",
            r"/etc/nginx/ocppd.crt": str(self.certificate),
            r"/etc/nginx/ocppd.key": str(self._secret),
            r"/var/log/nginx/access.log": str(directory / "access"),
            r"worker_rlimit_nofile \d+;": "worker_rlimit_nofile 500;",
            r"worker_connections \d+;": "worker_connections 200;",
            r"^http \{\n": "http {\n" + places,
        }

    def command(self, *, check: bool = False) -> list[str]:
        """In the foreground; as root with workers that may enter the directory of the test."""
        root = "user root; " if os.geteuid() == 0 else ""
        ours = f"{root}daemon off; pid {self.configuration.parent}/pid; error_log stderr;"
        return [server_program(self.name), *(["-t"] if check else []), "-e", "stderr", "-c", str(self.configuration), "-g", ours]


class Recorder:
    """A relay to a port of 127.0.0.1 that keeps, of each connection, what was sent first. A context manager that ends it."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listening.getsockname()[1])
        self.connections: list[bytearray] = []
        self._sockets: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, *_: object) -> None:
        for each in (self._listening, *self._sockets):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(PATIENCE_S)
        for each in (self._listening, *self._sockets):
            each.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # how the end is told
            while True:
                self._relay(self._listening.accept()[0])

    def _relay(self, near: socket.socket) -> None:
        self._sockets.append(near)
        try:
            far = socket.create_connection(("127.0.0.1", self._target))
        except OSError:  # nobody listens there: neither do we
            near.close()
            return
        self._sockets.append(far)
        sent = bytearray()
        self.connections.append(sent)
        for source, sink, record in ((near, far, sent), (far, near, None)):
            thread = threading.Thread(target=_pass_on, args=(source, sink, record), daemon=True)
            self._threads.append(thread)
            thread.start()


def _pass_on(source: socket.socket, sink: socket.socket, record: bytearray | None) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(RECORDED_BYTES):
            if record is not None and len(record) < RECORDED_BYTES:
                record += data
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
