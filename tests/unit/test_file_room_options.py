"""The options of the file room, and where it is without them."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from ocppd.config import Settings
from ocppd.net.port import _beside
from ocppd.tap import Options


def parse(*arguments: str, env: Mapping[str, str] | None = None) -> Settings:
    """The settings of a command line in an environment."""
    options = Options()
    options.environ = env or {}
    options.parseOptions(list(arguments))
    return options.settings


class FileRoomOptionTests(SynchronousTestCase):
    """--files, --public-url, --upload-limit, --keep-files, --files-limit."""

    def test_what_they_set(self) -> None:
        """Options and variables; the directory is that of where the command was given."""
        found = parse(
            "--files=room", "--upload-limit=7", env={"OCPPD_PUBLIC_URL": "https://cs.example/", "OCPPD_KEEP_FILES": "3"}
        )
        self.assertEqual((found.files, found.public_url), (Path.cwd() / "room", "https://cs.example"))
        self.assertEqual((found.upload_limit_mib, found.keep_files_days, found.files_limit_gib), (7, 3, 10))

    def test_what_is_refused(self) -> None:
        """A wrong value ends the start with one line that does not repeat a password."""
        for argument in (
            "--upload-limit=0",
            "--upload-limit=1.5",
            "--keep-files=x",
            "--files-limit=99999999999",
            "--files=",
            "--public-url=cs.example",
            "--public-url=https://cs.example/path",
            "--public-url=https://u:secret@cs.example",
            "--public-url=ftp://cs.example",
            "--public-url=https://cs.example:x",
        ):
            with contextlib.redirect_stderr(io.StringIO()) as err, self.assertRaises(SystemExit) as raised:
                parse(argument)
            text = f"{raised.exception} {err.getvalue()}"
            self.assertIn("expected", text, argument)
            self.assertNotIn("secret", text)

    def test_beside_the_database(self) -> None:
        """Files are beside a database that is a file; beside another one they need a directory."""
        self.assertEqual(_beside("sqlite:////var/lib/x.sqlite?timeout=3"), Path("/var/lib/x.sqlite.files"))
        for url in ("sqlite://", "sqlite:///:memory:", "postgresql://host/x"):
            self.assertIsNone(_beside(url), url)
