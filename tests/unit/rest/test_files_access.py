"""The file room is open to whoever has a token; everything else stays closed."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from ocppd.net.rest.access import AccessRules, Caller, PathClass, refusal
from ocppd.net.rest.entrance import path_class


class FilesAccessTests(SynchronousTestCase):
    """Raw paths, and who may call them."""

    def test_only_the_file_room_is_open(self) -> None:
        """A charger on another machine, behind a proxy, may call /files/… with any method; paths that look like it are not."""
        cases = {
            b"/files/abc": True,
            b"/files/": True,
            b"/files": False,
            b"/Files/abc": False,
            b"//files/abc": False,
            b"/api/v1/files": False,
            b"/api/v1/files/1/content": False,
            b"/%66iles/abc": False,
            b"/x/../files/abc": False,
        }
        for path, is_open in cases.items():
            self.assertEqual(path_class(path) is PathClass.FILES, is_open, path)
            for method in ("GET", "PUT", "POST", "DELETE"):
                headers = [("Host", "ocpp.example"), ("Via", "1.1 proxy"), ("Origin", "http://example.org")]
                caller = Caller(peer="203.0.113.9", method=method, path=path_class(path), secure=False, headers=headers)
                self.assertEqual(refusal(AccessRules(), caller) is None, is_open, path)
