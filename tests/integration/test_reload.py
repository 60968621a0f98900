"""configs.json read again while the daemon runs (SIGHUP). Nobody is disconnected."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest
import pytest_twisted

from support.central import chargers
from support.peer import handshake
from support.wire import OFFER, booted

ensure = pytest_twisted.ensureDeferred


async def status(port: int, name: str) -> int:
    """What a handshake of this charger gets."""
    return (await handshake(port, f"/ocppj/1.6/{name}", OFFER)).status


@ensure
async def test_a_new_charger_is_accepted(start: Any) -> None:
    """A charger that is added can connect, and is no longer listed as unknown; who is connected stays."""
    daemon = start(chargers("CP1"))
    peer = await booted(daemon)
    assert await status(daemon.port, "CP9") == 404
    daemon.configure(chargers("CP1", "CP9"))
    daemon.service.reload()
    assert await status(daemon.port, "CP9") == 101
    assert await daemon.central.registry.unknown("", 10) == []
    await peer.silence()


@ensure
async def test_a_removed_charger_stays_until_it_leaves(start: Any) -> None:
    """A charger that is removed keeps its connection and is answered; its next handshake is refused."""
    daemon = start(chargers("CP1", "CP2"))
    peer = await booted(daemon, "CP2")
    daemon.configure(chargers("CP1"))
    daemon.service.reload()
    assert (await peer.call("Heartbeat"))[0] == 3
    assert (await peer.boot())["status"] == "Accepted"
    assert await status(daemon.port, "CP2") == 404
    await peer.silence()
    await peer.leave()
    assert await status(daemon.port, "CP2") == 404


@ensure
async def test_changed_settings_hold_from_the_next_handshake(start: Any) -> None:
    """A new password and mode are asked for at the next handshake, not of the connection that there is."""
    daemon = start(chargers("CP1"))
    peer = await booted(daemon)
    daemon.configure(chargers("CP1", Authorization="secret", Mode="strict"))
    daemon.service.reload()
    assert (await peer.call("Heartbeat", {"foo": 1}))[0] == 3
    assert await status(daemon.port, "CP1") == 401


@ensure
async def test_changed_id_tags_hold_at_once(start: Any) -> None:
    """Id tags are looked up in the configuration that there is now."""
    daemon = start(chargers("CP1"))
    peer = await booted(daemon)
    assert (await peer.call("Authorize", {"idTag": "T"}))[2]["idTagInfo"]["status"] == "Accepted"
    daemon.configure(chargers("CP1") | {"IdTags": [{"IdTag": "T", "Status": "Blocked"}]})
    daemon.service.reload()
    assert (await peer.call("Authorize", {"idTag": "t"}))[2]["idTagInfo"]["status"] == "Blocked"


@ensure
@pytest.mark.parametrize("text", ["{", "[]", '{"Chargers": [{"Nam": "CP1"}]}', '{"Chargers": [{"Name": 1}]}', None])
async def test_a_wrong_file_changes_nothing(start: Any, logged_errors: Any, text: str | None) -> None:
    """A wrong or missing file is one logged error; everything stays as it was."""
    daemon = start(chargers("CP1"))
    peer = await booted(daemon)
    if text is None:
        daemon.config.unlink()
    else:
        daemon.config.write_text(text)
    daemon.service.reload()
    [error] = logged_errors.flush()
    assert "configs.json" in error["reason"]
    await peer.silence()
    assert daemon.central.chargers.names() == ["CP1"]
    daemon.configure(chargers("CP1", "CP3"))
    daemon.service.reload()
    assert daemon.central.chargers.names() == ["CP1", "CP3"]


@ensure
async def test_sighup(start: Any) -> None:
    """The signal itself has the same effect."""
    daemon = start(chargers("CP1"))
    peer = await booted(daemon)
    daemon.configure(chargers("CP1", "CP9"))
    os.kill(os.getpid(), signal.SIGHUP)
    await peer.silence()
    assert daemon.central.chargers.names() == ["CP1", "CP9"]
