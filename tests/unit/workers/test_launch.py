"""The command line and the environment of a worker: its options are those of its supervisor, read back."""

from __future__ import annotations

import os
import socket
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ocppd.config import Handshake, LogFormat, LogLevel, Settings, UnknownIdTags
from ocppd.tap import Options
from ocppd.workers.given import Place
from ocppd.workers.launch import LONGEST_NODE, TWISTD, Launch, launch, node_name

PLACE = Place(3, 4, Path("/where/it/was/typed"))
PLAIN = Settings(config=Path("/etc/ocppd/configs.json"), database="postgresql://ocppd:hush@db/ocppd", redis="redis://:hush@r/0")
#: No member has its default.
FULL = Settings(
    config=Path("/etc/ocppd/configs.json"),
    database="postgresql://ocppd:hush@db/ocppd",
    port="8080",
    handlers="handlers/mine.py:Mine",
    charger_paths=("/ocpp", "/a/b,c"),
    unknown_id_tags=UnknownIdTags.REFUSE,
    handshake=Handshake.SPEC,
    log_format=LogFormat.JSON,
    log_level=LogLevel.DEBUG,
    gateway_may_call=True,
    secret_key="a hushed key of many characters",
    redis="rediss://:hush@redis/0",
    workers=8,
    node="east",
    unsafe_database=True,
    drain_s=12.5,
    ca=Path("/var/lib/ocppd/ca"),
    authorizer="https://ocppd:hush@tags.example/verdicts",
    authorizer_timeout_s=1.5,
    authorizer_failure=UnknownIdTags.ACCEPT,
    files=Path("/var/lib/ocppd/files"),
    public_url="https://ocpp.example",
    upload_limit_mib=7,
    keep_files_days=8,
    files_limit_gib=9,
)


class LaunchTests(SynchronousTestCase):
    """`launch`."""

    def understood(self, launched: Launch) -> Options:
        """What a worker makes of it."""
        index = launched.arguments.index("ocppd")
        options = Options()
        options.environ = launched.environment
        options.parseOptions(list(launched.arguments[index + 1 :]))
        return options

    def same(self, settings: Settings, inherited: dict[str, str]) -> None:
        found = self.understood(launch(settings, "east", PLACE, inherited))
        self.assertEqual(found.given.place, PLACE)
        self.assertEqual(found.given.listening, (3,))
        # A worker is given its port as a socket.
        self.assertEqual(found.settings, replace(settings, workers=1, node="east/3", port=found.settings.port))

    def test_options(self) -> None:
        """A worker has the settings of its supervisor, and a name and a place of its own."""
        self.same(PLAIN, {})
        self.same(FULL, {"OCPPD_OPEN_API": "gateway"})

    def test_all_of_them(self) -> None:
        """Every option is looked at here: none has its default in the full settings."""
        defaults = Settings(config=Path("configs.json"), database="sqlite:///ocppd.sqlite")
        same = [each.name for each in fields(Settings) if getattr(FULL, each.name) == getattr(defaults, each.name)]
        self.assertEqual(same, [])

    def test_inherited_variables(self) -> None:
        """Options given to the supervisor win over variables that the worker inherits, above all the number of workers."""
        nonsense: dict[str, Any] = {
            "OCPPD_WORKERS": "8",
            "OCPPD_NODE": "west",
            "OCPPD_DATABASE": "sqlite:///x",
            "OCPPD_REDIS": "redis://elsewhere/0",
            "OCPPD_CHARGER_PATH": "/x",
            "OCPPD_DRAIN": "9",
            "OCPPD_LOG_FORMAT": "text",
            "OCPPD_PORT": "1",
            "LISTEN_PID": str(os.getpid()),
            "LISTEN_FDS": "8",
        }
        self.same(replace(FULL, gateway_may_call=False), nonsense)

    def test_secrets(self) -> None:
        """What everybody on the machine can see of a process holds no secret."""
        launched = launch(FULL, "east", PLACE, {})
        self.assertNotIn("hush", " ".join(launched.arguments))

    def test_program(self) -> None:
        """It is twistd in the foreground, without a pidfile, run by this Python, or what a test puts in its place."""
        launched = launch(PLAIN, "east", PLACE, {"PATH": "/bin"})
        self.assertEqual(launched.arguments[: len(TWISTD) + 3], (*TWISTD, "-n", "--pidfile=", "ocppd"))
        self.assertEqual(launched.environment["PATH"], "/bin")
        self.assertEqual(launch(PLAIN, "east", PLACE, {}, ("other",)).arguments[0], "other")


class NameTests(SynchronousTestCase):
    """`node_name`."""

    def test_given(self) -> None:
        """--node wins."""
        self.assertEqual(node_name(FULL, None), "east")

    def test_host_and_port(self) -> None:
        """Else it is the host and the port that is listened on, as far as a name of a node may hold it."""
        self.patch(socket, "gethostname", lambda: "büro rack/7")
        with socket.create_server(("127.0.0.1", 0)) as listening:
            port = listening.getsockname()[1]
            self.assertEqual(node_name(PLAIN, listening), f"b-ro-rack-7:{port}")
            self.patch(socket, "gethostname", lambda: "h" * 200)
            self.assertEqual(len(node_name(PLAIN, listening)), LONGEST_NODE)
            self.assertTrue(node_name(PLAIN, listening).endswith(f"h:{port}"))

    def test_no_port(self) -> None:
        """A Unix socket has none."""
        self.patch(socket, "gethostname", lambda: "host")
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind("named")
            self.assertEqual(node_name(PLAIN, listening), "host")
        self.assertEqual(node_name(PLAIN, None), "host")
