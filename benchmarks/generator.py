"""The load generator: a process of its own, told what to do by lines of JSON on stdin; answers and progress on stdout.

    {"do": "connect", "url": "ws://127.0.0.1:9033/ocppj/1.6", "count": 200, "begin": "start"}
    {"do": "closed", "pid": 123, "mix": "real", "seconds": 4, "warm": 1}
    {"do": "open", "pid": 123, "mix": "real", "rate": 4000, "seconds": 4, "warm": 1}
    {"do": "triggers", "url": "http://127.0.0.1:9033", "pid": 123, "chargers": 200, "clients": 16, "seconds": 4, "warm": 1}
    {"do": "disconnect"}

`pid` is the server's, whose CPU is read at the begin and the end of the measured time. Ends with its stdin.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any

from chargers import Charger, check, connect
from http_load import triggers
from loads import Result, closed, open_loop
from measure import open_files

#: While chargers go away, so that the next ones find the server at rest.
LEAVE_S = 0.5


def say(**line: Any) -> None:
    """A line on stdout."""
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


class Generator:
    """The chargers, and what is done with them."""

    def __init__(self) -> None:
        self._chargers: list[Charger] = []

    async def do(self, do: str, **arguments: Any) -> Result:
        """One line of stdin."""
        if do == "connect":
            return await self._connect(**arguments)
        if do == "closed":
            return await closed(self._chargers, **arguments)
        if do == "open":
            return await open_loop(self._chargers, **arguments)
        if do == "triggers":
            return await triggers(**arguments)
        if do == "check":
            check()
            return {"lost": sum(charger.lost for charger in self._chargers)}
        for charger in self._chargers:
            charger.close()
        self._chargers = []
        await asyncio.sleep(LEAVE_S)
        return {}

    async def _connect(self, url: str, count: int, begin: str, echo: bool = False) -> Result:
        began = time.perf_counter()
        self._chargers = await connect(url, count, begin=begin, echo=echo, told=lambda text: say(progress=text))
        return {"chargers": count, "seconds": time.perf_counter() - began}


async def main() -> None:
    """Line after line."""
    open_files()
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    generator = Generator()
    while line := await reader.readline():
        try:
            say(**await generator.do(**json.loads(line)))
        except Exception as error:
            say(error=f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    asyncio.run(main())
