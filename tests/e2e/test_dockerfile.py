"""The image without an engine: the Dockerfile's steps are run here, in a directory that stands for the image's root.

What stays untested so: the base image itself, its `useradd`, and the network of a container.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ocppd.net.rest.access import default_gateways
from support.daemon import ROOT, STARTED, free_port
from support.installing import copied_tree, pip
from support.programs import Program, bare_environment, needed, request, simulator

#: The directories of the image that the steps use; each gets a place below the root of the test.
PLACES = ("/opt/ocppd", "/src", "/etc/ocppd", "/var/lib/ocppd")
INSTRUCTION = re.compile(r"([A-Z]+)\s+(.*)", re.DOTALL)
#: A charger of the configuration that the image is delivered with.
OWN_NAME = json.loads((ROOT / "configs.json").read_text())["Chargers"][0]["Name"]


@dataclass
class Stage:
    """One stage of the Dockerfile: its instructions in order, and the environment that they make."""

    base: str
    steps: list[tuple[str, str]] = field(default_factory=list)

    def all(self, name: str) -> list[str]:
        """What follows each instruction of this name."""
        return [rest for instruction, rest in self.steps if instruction == name]

    def one(self, name: str) -> str:
        """What follows the only instruction of this name."""
        (rest,) = self.all(name)
        return rest

    def environment(self) -> dict[str, str]:
        """What ENV sets."""
        return dict(pair.split("=", 1) for rest in self.all("ENV") for pair in shlex.split(rest))


def stages(text: str) -> list[Stage]:
    """The stages of a Dockerfile."""
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    found: list[Stage] = []
    for instruction in re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines():
        match = INSTRUCTION.fullmatch(instruction)
        assert match is not None, instruction
        if match[1] == "FROM":
            found.append(Stage(match[2]))
        else:
            found[-1].steps.append((match[1], match[2]))
    return found


BUILD, IMAGE = stages((ROOT / "Dockerfile").read_text())


@dataclass(frozen=True)
class Image:
    """The directory that stands for the image's root."""

    root: Path
    #: Who runs the container's program: the user of the image, where this process may become that one.
    user: int | None

    def here(self, text: str) -> str:
        """A text of the Dockerfile with the image's places turned into those of the test."""
        return re.sub(rf"(?<![\w.])({'|'.join(PLACES)})(?!\w)", rf"{self.root}\1", text)

    def environment(self, port: int) -> dict[str, str]:
        """The environment of the container, with a port that is free here."""
        env = {name: self.here(value) for name, value in IMAGE.environment().items()}
        env["PATH"] = env["PATH"].replace("$PATH", os.environ["PATH"])
        return bare_environment({**env, "OCPPD_PORT": str(port)})


IMAGE_UID = int(re.findall(r"useradd --uid (\d+)", " ".join(IMAGE.all("RUN")))[0])


def interpreter() -> tuple[str, int | None]:
    """The Python of the image, and the user who may run it: that of the image, where there is one for everybody."""
    if os.getuid() == 0:
        for python in (os.path.realpath(sys.executable), "/usr/bin/python3"):
            new_enough = [python, "-c", "import sys, ensurepip; sys.exit(sys.version_info < (3, 11))"]
            with contextlib.suppress(OSError, subprocess.SubprocessError):
                subprocess.run(new_enough, cwd="/", user=IMAGE_UID, group=IMAGE_UID, extra_groups=(), timeout=60, check=True)
                return python, IMAGE_UID
    return os.path.realpath(sys.executable), None


def copy(step: str, source: Path, to: Path) -> None:
    """COPY from the build context."""
    *names, target = step.split()
    for name in names:
        destination = to / target / (name if len(names) > 1 else "") if target.endswith("/") else to / target
        destination.parent.mkdir(parents=True, exist_ok=True)
        if (source / name).is_dir():
            shutil.copytree(source / name, destination)
        else:
            shutil.copy(source / name, destination)


@pytest.fixture(scope="module")
def image() -> Iterator[Image]:
    """The steps of both stages, done."""
    root = Path(tempfile.mkdtemp(prefix="ocppd-image-"))
    try:
        root.chmod(0o755)  # the container's user has to get in
        python, user = interpreter()
        built = Image(root, user)
        context = copied_tree(root / "context")
        for place in PLACES:
            (root / place[1:]).mkdir(parents=True)
        for instruction, rest in BUILD.steps:
            if instruction == "COPY":
                copy(rest, context, root / "src")
            elif instruction == "RUN":
                # A cache of downloads is of no use in an image, and of much use here.
                script = built.here(rest).replace("--no-cache-dir ", "")
                pip(["sh", "-ec", re.sub(r"^python ", f"{shlex.quote(python)} ", script)], root / "src")
        copy(built.here(next(rest for rest in IMAGE.all("COPY") if "--from" not in rest)), context, root)
        if user is not None:
            os.chown(root / "var/lib/ocppd", user, user)
        yield built
    finally:
        shutil.rmtree(root)


def test_facts() -> None:
    """It listens on 8080, which is what `docker run -p 9033:8080` publishes; it is another user's than root's."""
    env = IMAGE.environment()
    assert (env["OCPPD_PORT"], IMAGE.one("EXPOSE"), env["OCPPD_OPEN_API"]) == ("8080", "8080", "gateway")
    assert "http://127.0.0.1:8080/healthz" in IMAGE.one("HEALTHCHECK")
    assert IMAGE.one("USER") == "ocppd"
    assert f"useradd --uid {IMAGE_UID}" in IMAGE.one("RUN")
    assert env["OCPPD_DATABASE"] == f"sqlite:///{IMAGE.one('VOLUME')}/ocppd.sqlite"
    assert IMAGE.one("WORKDIR") == IMAGE.one("VOLUME")
    assert BUILD.base.split()[0] == IMAGE.base.split()[0] == "python:3.11-slim"


def test_order() -> None:
    """The user changes after the last step that needs root, and the volume is declared after its directory was made."""
    names = [name for name, _ in IMAGE.steps]
    assert names.index("USER") > max(number for number, name in enumerate(names) if name in ("RUN", "COPY"))
    assert names.index("VOLUME") > names.index("RUN")


def test_copies_what_may_be_copied() -> None:
    """Every file that a step copies is there, and .dockerignore lets it into the context."""
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    steps = [rest.split() for rest in BUILD.all("COPY") + IMAGE.all("COPY") if "--from" not in rest]
    copied = [name for *names, _ in steps for name in names]
    assert set(copied) == let_in
    assert [name for name in copied if not (ROOT / name).exists()] == []


def test_container(image: Image) -> None:
    """CMD runs as another user than root, who may write nothing but the volume; HEALTHCHECK and the seed's curl work.

    SIGTERM ends it with status 0, as `docker stop` expects.
    """
    port, volume = free_port(), image.root / "var/lib/ocppd"
    env = image.environment(port)
    before = sorted((image.root / "opt").rglob("*"))
    program = [shutil.which(word, path=env["PATH"]) or word for word in json.loads(IMAGE.one("CMD"))]
    with Program(program, volume, env, image.user) as container:
        container.wait_for(STARTED)
        healthcheck = json.loads(IMAGE.one("HEALTHCHECK").partition("CMD ")[2])
        checked = [image.here(word).replace(":8080/", f":{port}/") for word in healthcheck]
        subprocess.run(checked, env=env, cwd=volume, timeout=60, check=True)
        with simulator(image.root, f"ws://127.0.0.1:{port}/ocppj/1.6", "--name", OWN_NAME, "--transactions", "0") as charger:
            charger.wait_for("booted: Accepted")
            assert b'"Connected":true' in curl(port, f"/charger/{OWN_NAME}/status")
            trigger = curl(port, f"/command/{OWN_NAME}/triggeraction/Heartbeat", "POST")
            assert b'"Sent"' in curl(port, f"/message/{json.loads(trigger)['uniqueid']}/status")
        assert container.stop(signal.SIGTERM) == 0
        assert container.errors == []
        assert "Traceback" not in container.tail()
    assert sorted((image.root / "opt").rglob("*")) == before
    assert {path.name for path in volume.iterdir()} >= {"ocppd.sqlite"}
    assert not list(volume.glob("*.pid"))
    if image.user is not None:
        assert (volume / "ocppd.sqlite").stat().st_uid == image.user


def curl(port: int, path: str, method: str = "GET") -> bytes:
    """The body that the seed's way of calling gives."""
    command = [needed("curl"), "--fail", "--silent", "--noproxy", "*", "--request", method, f"http://localhost:{port}{path}"]
    return subprocess.run(command, capture_output=True, timeout=60, check=True).stdout


def test_gateway(image: Image) -> None:
    """With OCPPD_OPEN_API=gateway the start says that the gateway of this network may call, besides this machine."""
    port = free_port()
    with Program(
        [str(image.root / "opt/ocppd/bin/twistd"), "-n", "--pidfile=", "ocppd"],
        image.root / "src",
        {**image.environment(port), "OCPPD_DATABASE": f"sqlite:///{image.root}/gateway.sqlite"},
    ) as container:
        container.wait_for(STARTED)
        (line,) = [line for line in container.lines if "the HTTP API answers" in line]
        gateways = default_gateways(lambda path: Path(path).read_text(encoding="ascii") if Path(path).exists() else "")
        assert ("for reads and the seed paths" in line) == bool(gateways)
        assert all(str(gateway) in line for gateway in gateways)
        assert request(port, "GET", f"/charger/{OWN_NAME}/status").status == 200
        assert container.stop() == 0
