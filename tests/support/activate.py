"""Socket activation without systemd: bind, hand the sockets over as sd_listen_fds(3) says, become the program.

`activate.py COUNT PORT program argument…`. COUNT sockets listen on 127.0.0.1, all on PORT. Run as a program of its own.
"""

from __future__ import annotations

import os
import socket
import sys

FIRST = 3


def main(count: int, port: int, command: list[str]) -> None:
    """Bind, and become the command."""
    sockets = [socket.create_server(("127.0.0.1", port), backlog=128, reuse_port=True) for _ in range(count)]
    # Out of the way first: a socket may have a number that another one is to have.
    high = [os.dup2(listening.fileno(), 100 + index) for index, listening in enumerate(sockets)]
    for index, descriptor in enumerate(high):
        os.dup2(descriptor, FIRST + index)
        os.close(descriptor)
    environment = {
        **os.environ,
        "LISTEN_PID": str(os.getpid()),
        "LISTEN_FDS": str(count),
        "LISTEN_FDNAMES": ":".join(["ocppd"] * count),
    }
    os.execve(command[0], command, environment)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
