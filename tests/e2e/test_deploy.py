"""deploy/compose.yaml and deploy/kubernetes/: no engine runs them here, so what they say is held against the program.

Their variables go through the real options, their URLs through the real parsers, their probes to a real daemon.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlalchemy import make_url

from ocppd.bus.redis_url import parse_redis_url
from ocppd.config import Settings, load_configuration
from ocppd.net.rest.access import PathClass
from ocppd.net.rest.entrance import path_class
from ocppd.tap import Options
from ocppd.workers.supervisor import END_GRACE_S
from support.daemon import CONFIGURATION, ROOT, free_port
from support.programs import Daemon

DEPLOY = ROOT / "deploy"
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
SERVICES: dict[str, Any] = COMPOSE["services"]
NODES = ["node1", "node2"]
HAPROXY = (DEPLOY / "haproxy.cfg").read_text(encoding="utf-8")
NGINX = (DEPLOY / "nginx.conf").read_text(encoding="utf-8")
MANIFESTS = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
#: Half a minute is what every unit and manifest gives a node beyond its drain.
END_S = 30
SECRETS = {"POSTGRES_PASSWORD": "aa11", "REDIS_PASSWORD": "bb22", "OCPPD_SECRET_KEY": "cc33" * 8}
#: Members of a service by the Compose specification, those that are used.
MEMBERS = {
    "build", "cap_drop", "command", "depends_on", "environment", "healthcheck", "image", "ports", "read_only", "restart",
    "security_opt", "stop_grace_period", "stop_signal", "ulimits", "volumes",
}  # fmt: skip


def settings_of(environment: dict[str, str]) -> Settings:
    """What the daemon makes of these variables. A wrong one ends the test as it ends the daemon."""
    options = Options()
    unknown = [name for name in environment if name.startswith("OCPPD_") and name not in known_variables()]
    assert unknown == []
    options.environ = {name: str(value) for name, value in environment.items()}
    options.parseOptions([])
    return options.settings


def known_variables() -> set[str]:
    """The variables that `twistd ocppd --help` names."""
    return set(re.findall(r"OCPPD_[A-Z_]+", Options().getUsage()))


def seconds(text: str) -> int:
    """A duration of Compose."""
    match = re.fullmatch(r"(\d+)s", text)
    assert match is not None, text
    return int(match[1])


# Compose


def filled(value: Any) -> Any:
    """A value with the variables of .env in place."""
    return re.sub(r"\$\{(\w+):\?[^}]*\}", lambda match: SECRETS[match[1]], value) if isinstance(value, str) else value


def environment_of(service: str) -> dict[str, str]:
    """The variables of a container: those of the image, then those of the file."""
    image = dict(re.findall(r"\b(OCPPD_\w+)=(\S+)", DOCKERFILE))
    return {**image, **{name: filled(value) for name, value in SERVICES[service]["environment"].items()}}


def test_compose_members() -> None:
    """Every member of a service is one of Compose's; what services name is there."""
    assert set(COMPOSE) - {name for name in COMPOSE if name.startswith("x-")} == {"name", "services", "volumes"}
    for service in SERVICES.values():
        assert set(service) <= MEMBERS
        assert set(service.get("depends_on", ())) <= set(SERVICES)
        for volume in service.get("volumes", ()):
            source, target, *mode = volume.split(":")
            assert source in COMPOSE["volumes"] or ((DEPLOY / source).is_file() and mode == ["ro"])
            assert target.startswith("/")
    assert (DEPLOY / SERVICES["node1"]["build"]["context"] / "Dockerfile").resolve() == ROOT / "Dockerfile"


def test_compose_environment() -> None:
    """The nodes' variables are options that exist, and the nodes differ in nothing but their name and who may call them."""
    first, second = (settings_of(environment_of(node)) for node in NODES)
    assert [first.node, second.node] == NODES
    assert (first.database, first.redis, first.secret_key) == (second.database, second.redis, second.secret_key)
    assert (first.port, second.port) == ("8080", "8080")
    assert (first.gateway_may_call, second.gateway_may_call) == (True, False)
    assert first.config == Path("/etc/ocppd/configs.json")
    assert any(volume.split(":")[1] == str(first.config) for volume in SERVICES["node1"]["volumes"])


def test_compose_urls() -> None:
    """The URLs lead to the other services, with the names and passwords that those are given."""
    settings = settings_of(environment_of("node1"))
    database, given = make_url(settings.database), environment_of("postgres")
    assert (database.drivername, database.host, database.port) == ("postgresql+psycopg", "postgres", 5432)
    found = [database.username, database.password, database.database]
    assert found == [given[f"POSTGRES_{name}"] for name in ("USER", "PASSWORD", "DB")]
    assert settings.redis is not None
    redis = parse_redis_url(settings.redis)
    assert [(address.host, address.port) for address in redis.addresses] == [("redis", 6379)]
    command = [filled(word) for word in SERVICES["redis"]["command"]]
    assert command[command.index("--requirepass") + 1] == redis.password == environment_of("redis")["REDISCLI_AUTH"]


def test_compose_secrets() -> None:
    """The secrets are those of .env.example, where they are empty; without one of them Compose does nothing."""
    text = (DEPLOY / "compose.yaml").read_text(encoding="utf-8")
    example = dict(re.findall(r"^(\w+)=(.*)$", (DEPLOY / ".env.example").read_text(encoding="utf-8"), re.MULTILINE))
    assert example == dict.fromkeys(SECRETS, "")
    assert set(re.findall(r"\$\{(\w+):\?", text)) == set(SECRETS)
    assert text.count("$") == len(re.findall(r"\$\{\w+:\?[^}]+\}", text))
    assert {".env", "secret.yaml"} <= set((DEPLOY / ".gitignore").read_text(encoding="utf-8").split())


def test_compose_ports() -> None:
    """Chargers' port alone is open to others, and it is that of haproxy.cfg; its servers are the nodes, and those of nginx."""
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert published == {"haproxy": ["9033:9033"], "node1": ["127.0.0.1:9034:8080"]}
    assert re.findall(r"^ *bind (\S+)", HAPROXY, re.MULTILINE) == [":9033"]
    assert re.findall(r"^ *listen (\S+);", NGINX, re.MULTILINE) == ["9033"]
    servers = [f"{node}:8080" for node in NODES]
    assert re.findall(r"^ *server \S+ (\S+)$", HAPROXY, re.MULTILINE) == servers
    assert re.findall(r"^ *server (\S+) ", NGINX, re.MULTILINE) == servers


def test_compose_images() -> None:
    """Images of others are pinned to a major version."""
    images = [service["image"] for service in SERVICES.values() if "image" in service]
    assert len(images) == len(SERVICES) - len(NODES)
    assert [image for image in images if not re.fullmatch(r"[a-z]+:\d+(\.\d+)*", image)] == []


def test_compose_limits() -> None:
    """Nodes get the time that their end takes, and descriptors for their chargers; HAProxy gets two for each."""
    for node in NODES:
        settings = settings_of(environment_of(node))
        assert seconds(SERVICES[node]["stop_grace_period"]) >= settings.drain_s + END_S
    (most,) = re.findall(r"^ *maxconn (\d+)", HAPROXY, re.MULTILINE)
    assert SERVICES["haproxy"]["ulimits"]["nofile"] > 2 * int(most)
    assert SERVICES["node1"]["ulimits"]["nofile"] >= int(most)
    assert END_GRACE_S <= END_S


def test_compose_confinement() -> None:
    """Nodes write nowhere but to their volume, and can become nothing more than they are."""
    for node in NODES:
        service = SERVICES[node]
        assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["depends_on"]["postgres"] == {"condition": "service_healthy"}


def test_compose_health(tmp_path: Path) -> None:
    """The nodes' check says yes of a daemon that is ready, and no where there is none."""
    kind, _, *words = SERVICES["node1"]["healthcheck"]["test"]
    assert kind == "CMD"

    def check(port: int) -> int:
        command = [sys.executable, *(word.replace(":8080/", f":{port}/") for word in words)]
        return subprocess.run(command, timeout=60, capture_output=True, check=False).returncode

    with Daemon(tmp_path, CONFIGURATION) as daemon:
        assert check(daemon.port) == 0
    assert check(free_port()) != 0


# Kubernetes


def manifest(kind: str) -> dict[str, Any]:
    """The manifest of this kind."""
    (found,) = [
        each for path in MANIFESTS for each in yaml.safe_load_all(path.read_text(encoding="utf-8")) if each["kind"] == kind
    ]
    return dict(found)


SECRET: dict[str, Any] = yaml.safe_load((DEPLOY / "kubernetes" / "secret.yaml.example").read_text(encoding="utf-8"))


@pytest.fixture
def pod() -> dict[str, Any]:
    """The pod of the Deployment."""
    return dict(manifest("Deployment")["spec"]["template"]["spec"])


def container(pod: dict[str, Any]) -> dict[str, Any]:
    """The only container of the pod."""
    (only,) = pod["containers"]
    return dict(only)


def pod_settings(pod: dict[str, Any]) -> Settings:
    """What the daemon in the pod makes of its variables."""
    image = dict(re.findall(r"\b(OCPPD_\w+)=(\S+)", DOCKERFILE))
    own = {each["name"]: each.get("value", "a-pod-7d9f") for each in container(pod)["env"]}
    return settings_of({**image, **SECRET["stringData"], "OCPPD_SECRET_KEY": "c" * 32, **own})


def test_kubernetes_kinds() -> None:
    """There is one manifest of each kind, in no namespace, all with the same name and label; the Secret is not among them."""
    kinds = {"ConfigMap": "v1", "Deployment": "apps/v1", "PodDisruptionBudget": "policy/v1", "Service": "v1"}
    found = [each for path in MANIFESTS for each in yaml.safe_load_all(path.read_text(encoding="utf-8"))]
    assert {each["kind"]: each["apiVersion"] for each in found} == kinds
    for each in [*found, SECRET]:
        labels = {"app.kubernetes.io/name": "ocppd"}
        assert each["metadata"] == {"name": "ocppd", "labels": labels}
    assert SECRET["kind"] == "Secret"


def test_kubernetes_environment(pod: dict[str, Any]) -> None:
    """The pod's variables are options that exist; its name is the node's, and nobody outside the pod may call the API."""
    settings = pod_settings(pod)
    names = {each["name"]: each for each in container(pod)["env"]}
    assert names["OCPPD_NODE"]["valueFrom"] == {"fieldRef": {"fieldPath": "metadata.name"}}
    assert (settings.port, settings.gateway_may_call) == ("8080", False)
    assert settings.redis is not None and parse_redis_url(settings.redis).addresses[0].port == 6379
    assert make_url(settings.database).drivername == "postgresql+psycopg"
    assert container(pod)["envFrom"] == [{"secretRef": {"name": SECRET["metadata"]["name"]}}]
    assert pod["enableServiceLinks"] is False  # the Service's name would make a variable OCPPD_PORT


def test_kubernetes_configuration(pod: dict[str, Any], tmp_path: Path) -> None:
    """The ConfigMap has a configuration that can be loaded, and is mounted where the daemon looks for it."""
    (name,) = manifest("ConfigMap")["data"]
    (tmp_path / name).write_text(manifest("ConfigMap")["data"][name])
    assert load_configuration(tmp_path / name).chargers
    (mount,), (volume,) = container(pod)["volumeMounts"], pod["volumes"]
    assert pod_settings(pod).config == Path(mount["mountPath"]) / name
    assert "subPath" not in mount  # such a file is never renewed
    assert volume == {"name": mount["name"], "configMap": {"name": manifest("ConfigMap")["metadata"]["name"]}}


def test_kubernetes_ports(pod: dict[str, Any]) -> None:
    """The Service leads to the port that the daemon listens on; the selectors find the pods."""
    (port,) = container(pod)["ports"]
    assert str(port["containerPort"]) == pod_settings(pod).port == re.findall(r"^EXPOSE (\d+)", DOCKERFILE, re.MULTILINE)[0]
    service = manifest("Service")["spec"]
    assert [each["targetPort"] for each in service["ports"]] == [port["name"]]
    assert service["externalTrafficPolicy"] == "Local"
    deployment = manifest("Deployment")["spec"]
    labels = deployment["template"]["metadata"]["labels"]
    budget = manifest("PodDisruptionBudget")["spec"]
    (spread,) = pod["topologySpreadConstraints"]
    for selector in (service["selector"], *(each["selector"]["matchLabels"] for each in (deployment, budget))):
        assert selector.items() <= labels.items()
    assert spread["labelSelector"]["matchLabels"].items() <= labels.items()


def test_kubernetes_probes(pod: dict[str, Any]) -> None:
    """A pod lives by /healthz, which PostgreSQL's absence does not change, and gets chargers by /readyz."""
    probes = {name: container(pod)[f"{name}Probe"]["httpGet"] for name in ("startup", "liveness", "readiness")}
    assert {name: get["path"] for name, get in probes.items()} == {
        "startup": "/healthz", "liveness": "/healthz", "readiness": "/readyz",
    }  # fmt: skip
    for get in probes.values():
        assert path_class(get["path"].encode()) is PathClass.HEALTH
        assert get["port"] == container(pod)["ports"][0]["name"]


def test_kubernetes_end(pod: dict[str, Any]) -> None:
    """A pod gets the time that its end takes; no pod goes before its successor is there, and one at a time."""
    (sleep, pause) = container(pod)["lifecycle"]["preStop"]["exec"]["command"]
    assert sleep == "sleep"
    assert pod["terminationGracePeriodSeconds"] >= int(pause) + pod_settings(pod).drain_s + END_S
    deployment = manifest("Deployment")["spec"]
    assert deployment["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}
    assert deployment["replicas"] > manifest("PodDisruptionBudget")["spec"]["maxUnavailable"] == 1


def test_kubernetes_confinement(pod: dict[str, Any]) -> None:
    """The pod is as locked up as the systemd unit, and runs as the user of the image."""
    (uid,) = re.findall(r"useradd --uid (\d+) --user-group", DOCKERFILE)
    assert pod["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": int(uid),
        "runAsGroup": int(uid),
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert container(pod)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod["automountServiceAccountToken"] is False
    assert container(pod)["resources"]["limits"]["memory"]
    assert re.fullmatch(r"[a-z./]+:\d+\.\d+\.\d+", container(pod)["image"])


def test_shell_of_the_image(pod: dict[str, Any]) -> None:
    """What runs in a pod is in the image's base, which has no more than Debian's essential packages and Python."""
    commands = [container(pod)["lifecycle"]["preStop"]["exec"]["command"]]
    commands += [shlex.split(line.partition(" -- ")[2]) for line in re.findall(r"`(kubectl exec [^`]+)`", OPERATIONS)]
    assert {command[0] for command in commands} <= {"sleep", "sh"}


OPERATIONS = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
