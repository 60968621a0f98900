"""What can go wrong with a file. `ocppd.net.rest.problems` says what each is in HTTP."""

from __future__ import annotations

from ocppd.errors import NotFound, OcppdError


class UnknownToken(NotFound):
    """Nobody was given this token; it is not repeated."""

    what = "such token"

    def __init__(self) -> None:
        super().__init__("")
        self.args = ("this URL was given to nobody",)


class NoFile(NotFound):
    """There is no file of that id, or it is not on this node's disk."""

    what = "file"


class TokenSpent(OcppdError):
    """The token has expired, or the file that it was for is there."""


class RoomFull(OcppdError):
    """The disk, or what the file room may take, is full."""


class RoomBusy(OcppdError):
    """As many files are on their way as this node takes."""


class RoomBroken(OcppdError):
    """The directory of the file room cannot be written; the log says why."""


class Interrupted(OcppdError):
    """The body stopped coming before it was whole."""


class NotMultipart(OcppdError):
    """The body is no multipart/form-data with a file in it."""
