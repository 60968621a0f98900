"""What is measured: each scenario runs its contenders in turn, round after round, each with a server of its own."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import servers
from driver import Generator, progress
from measure import cpu_ns, fdatasync, memory, open_files
from servers import BenchmarkError, Contender, Server

Result = dict[str, Any]
#: By contender, the results of its rounds.
Rounds = dict[str, list[Result]]

CHARGERS = 200
CLIENTS = 16
MIXES = ("heartbeat", "real")
#: Chargers and messages per second of the open loops.
OPEN = ((1000, 4000), (10000, 5000))
#: The generator may be so late at p99, in ms; beyond it a run is void, and repeated so often.
LAG_MS = 1.0
TRIES = 3
#: After chargers have come or gone, before a server is looked at.
SETTLE_S = 2.0
SOAKED = 20_000
SOAK_S = 600.0
SAMPLE_S = 10.0
#: Files that a server needs besides its connections.
OTHER_FILES = 100


@dataclass(frozen=True)
class Plan:
    """How much of it."""

    directory: Path
    rounds: int
    seconds: float
    warm: float
    #: By how much numbers of chargers and of transactions are divided.
    scale: int = 1

    def contenders(self) -> Sequence[Contender]:
        """All, the bare limits first."""
        node = servers.ocpp_rpc(self.directory / "ocpp_rpc")
        return (servers.PICOWS, servers.AUTOBAHN, *servers.VARIANTS, servers.postgresql(), servers.MOBILITYHOUSE, node)

    def place(self, *parts: object) -> Path:
        """A directory of that name."""
        return self.directory / re.sub(r"[^a-zA-Z0-9]+", "-", "-".join(map(str, parts)))


def turn(plan: Plan, title: str, contender: Contender, chargers: int, measure: Callable[[Server, Generator], Result]) -> Result:
    """One turn of one contender, in a directory of its own. Why there is none is told by `missing`."""
    if contender.command is None:
        return {"missing": contender.missing}
    progress(f"{title}, {contender.name}")
    place = plan.place(title, contender.name)
    try:
        with Server(contender, place, chargers) as server, Generator() as generator:
            return measure(server, generator)
    except BenchmarkError as error:
        progress(f"{title}, {contender.name}: {error}")
        return {"missing": f"failed: {error}"}
    finally:
        shutil.rmtree(place, ignore_errors=True)


def in_turn(
    plan: Plan,
    title: str,
    contenders: Sequence[Contender],
    counts: Iterable[int],
    measure: Callable[[Server, Generator, int], Result],
) -> dict[int, Rounds]:
    """Every contender with every number of chargers, once in every round."""
    found: dict[int, Rounds] = {count: {each.name: [] for each in contenders} for count in counts}
    for number in range(plan.rounds):
        for count, rounds in found.items():
            for contender in contenders:
                named = f"{title}: round {number + 1} of {plan.rounds}, {count} chargers"
                result = turn(plan, named, contender, count, lambda server, generator, n=count: measure(server, generator, n))  # type: ignore[misc]
                rounds[contender.name].append(result)
    return found


def interleaved(
    plan: Plan, title: str, contenders: Sequence[Contender], count: int, measure: Callable[[Server, Generator], Result]
) -> Rounds:
    """Every contender once in every round."""
    return in_turn(plan, title, contenders, [count], lambda server, generator, _: measure(server, generator))[count]


def joined(generator: Generator, server: Server, count: int, begin: str = "start") -> Result:
    """Let so many chargers come."""
    return generator.ask("connect", url=server.url, count=count, begin=begin, echo=server.contender.echo)


def messages(plan: Plan) -> Result:
    """Heartbeats, and the real mix, in a closed loop of 200 chargers."""

    def measure(server: Server, generator: Generator) -> Result:
        joined(generator, server, CHARGERS)
        return {mix: generator.ask("closed", pid=server.pid, mix=mix, seconds=plan.seconds, warm=plan.warm) for mix in MIXES}

    return {"chargers": CHARGERS, "rounds": interleaved(plan, "messages", plan.contenders(), CHARGERS, measure)}


def open_loops(plan: Plan) -> Result:
    """The real mix at times that are set before, with the disk's own latency of the same minute."""
    rates = {max(chargers // plan.scale, 100): rate for chargers, rate in OPEN}

    def measure(server: Server, generator: Generator, count: int) -> Result:
        joined(generator, server, count)
        time.sleep(SETTLE_S)
        disk = fdatasync(plan.directory)
        result: Result = {}
        told = {"pid": server.pid, "mix": "real", "rate": rates[count]}
        for turn in range(TRIES):
            result = generator.ask("open", **told, seconds=plan.seconds, warm=plan.warm)
            result |= {"fdatasync": disk["p99"], "void": result["lag"] > LAG_MS, "tries": turn + 1}
            if not result["void"]:
                break
            waited = f"another process had its core for {result['waited']:.0f} ms"
            progress(f"void: the load generator was {result['lag']:.1f} ms late at p99; {waited}")
        return result

    rounds = in_turn(plan, "open loop", (servers.DURABLE,), list(rates), measure)
    return {"cases": [{"chargers": count, "rate": rates[count], "rounds": rounds[count]} for count in rounds]}


def idle(plan: Plan) -> Result:
    """Memory for a charger that has booted, told its status, and does nothing."""
    count = 10_000 // plan.scale

    def measure(server: Server, generator: Generator) -> Result:
        time.sleep(SETTLE_S)
        before = memory(server.pid)
        joined(generator, server, count, "idle")
        time.sleep(SETTLE_S)
        after = memory(server.pid)
        return {name: (after[name] - before[name]) / count for name in after} | {"total": after["rss"]}

    others = (servers.PICOWS, servers.AUTOBAHN, servers.DURABLE)
    return {"chargers": count, "rounds": interleaved(plan, "idle chargers", others, count, measure)}


def reconnect(plan: Plan) -> Result:
    """All chargers have gone away, and come back and boot."""
    count = 10_000 // plan.scale

    def measure(server: Server, generator: Generator) -> Result:
        joined(generator, server, count, "boot")
        generator.ask("disconnect")
        time.sleep(SETTLE_S)
        before = cpu_ns(server.pid)
        result = joined(generator, server, count, "boot")
        time.sleep(SETTLE_S)
        used = (cpu_ns(server.pid) - before) / 1e9
        return {"cpu": used, "each": used / count * 1e6, "seconds": result["seconds"]}

    return {"chargers": count, "rounds": interleaved(plan, "reconnect", (servers.DURABLE,), count, measure)}


def triggers(plan: Plan) -> Result:
    """TriggerMessage by HTTP, with the charger's answer."""

    def measure(server: Server, generator: Generator) -> Result:
        joined(generator, server, CHARGERS, "boot")
        time.sleep(SETTLE_S)
        told: Result = {"url": server.http, "pid": server.pid, "chargers": CHARGERS, "clients": CLIENTS}
        return generator.ask("triggers", **told, seconds=plan.seconds, warm=plan.warm)

    rounds = interleaved(plan, "triggers", (servers.DURABLE,), CHARGERS, measure)
    return {"chargers": CHARGERS, "clients": CLIENTS, "rounds": rounds}


def soak(plan: Plan) -> Result:
    """Idle chargers for ten minutes: memory, sample after sample."""
    count = min(SOAKED, open_files() - OTHER_FILES) // plan.scale
    seconds = SOAK_S / plan.scale
    place = plan.place("soak")
    with Server(servers.DURABLE, place, count) as server, Generator() as generator:
        joined(generator, server, count, "idle")
        time.sleep(SETTLE_S)
        began, used = time.monotonic(), cpu_ns(server.pid)
        samples: list[int] = []
        while (elapsed := time.monotonic() - began) < seconds:
            samples.append(memory(server.pid)["rss"])
            progress(f"soak: {elapsed:.0f} of {seconds:.0f} s, {samples[-1] / 1024:.1f} MiB")
            time.sleep(min(SAMPLE_S / plan.scale, seconds))
        busy = (cpu_ns(server.pid) - used) / 1e9 / (time.monotonic() - began)
        lost = generator.ask("check")["lost"]
    shutil.rmtree(place, ignore_errors=True)
    return {"chargers": count, "asked": SOAKED, "seconds": seconds, "samples": samples, "busy": busy, "lost": lost}
