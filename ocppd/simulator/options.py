"""What a simulated charger is and how it behaves: values, with their units. Knows no behaviour."""

from __future__ import annotations

from dataclasses import dataclass, field

#: Frames that are kept for tests to look at.
FRAMES_KEPT = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How one charger is made.

    `automatic` False: it does nothing by itself but answer. `strict` refuses what breaks the schema. `record` is the number
    of frames that are kept. `driver_comes` False: after a RemoteStart nobody plugs in. `security_events` False: it has no
    security events to tell. Durations are seconds.
    """

    connectors: int = 1
    vendor: str = "ocppd"
    model: str = "Simulator"
    serial_number: str | None = None
    firmware_version: str = "1.0.0"
    power_w: float = 7400.0
    most_w: float = 22_080.0
    meter_start_wh: int = 0
    automatic: bool = True
    strict: bool = True
    security_events: bool = False
    driver_comes: bool = True
    record: int = FRAMES_KEPT
    #: How long a car stays plugged in after its transaction.
    unplug_s: float = 2.0
    #: From losing the connection in a reset to coming back.
    reboot_s: float = 2.0
    #: How long each step of a firmware update or an upload takes.
    job_step_s: float = 1.0
    #: Until the next boot, where the central system names no time or does not answer as it should.
    boot_retry_s: float = 30.0
    backoff_first_s: float = 1.0
    backoff_most_s: float = 300.0
    #: Its own keys are RSA ones in place of EC ones.
    rsa: bool = False
    #: Roots that are trusted for wss in place of the system's, and a certificate with key for security profile 3.
    authority_pem: bytes | None = None
    certificate_pem: bytes | None = field(default=None, repr=False)
    #: How it misbehaves: names of `quirks.QUIRKS`.
    quirks: tuple[str, ...] = ()


@dataclass(slots=True)
class Counts:
    """What a charger has done and suffered.

    Connections opened, boots accepted, transactions finished; errors: calls refused, unanswered or broken, id tags refused;
    link failures: connections refused or lost, which reconnecting makes good.
    """

    connected: int = 0
    booted: int = 0
    transactions: int = 0
    errors: int = 0
    link_failures: int = 0
