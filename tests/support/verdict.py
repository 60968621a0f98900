"""Holds what a fleet of charge points was answered against what is on record, and every command against its life."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import psycopg

Event = dict[str, Any]

FINAL = frozenset({"completed", "error", "timeout", "expired", "cancelled", "unknown"})


class Verdict:
    """What is on record, read once, and what the fleet says."""

    def __init__(self, records: psycopg.Connection[Any], events: list[Event]) -> None:
        self.events = events
        self._transactions = {
            row[0]: row[1:]
            for row in records.execute(
                "SELECT transaction_id, charger, state, meter_start_wh, meter_stop_wh, started_ms FROM transactions"
            )
        }
        self._meter_values = Counter(
            (charger, json.loads(samples)[0]["value"])
            for charger, samples in records.execute("SELECT charger, samples FROM meter_values")
        )
        self._commands = dict(records.execute("SELECT message_id, state FROM messages WHERE direction = 'toCharger'"))

    def check_transactions(self) -> int:
        """No answered message is lost, no start is doubled; the number of answered messages of transactions."""
        tried = {event["key"]: event for event in self.events if event["event"] == "tries"}
        answered = {event["key"]: event for event in self.events if event["event"] == "answered"}
        for key, event in answered.items():
            self._check_answered(tried[key], event)
        starts = Counter((row[0], row[2], row[4]) for row in self._transactions.values())
        assert [start for start, times in starts.items() if times > 1] == [], "starts that were doubled"
        sent = sum(event["action"] == "StartTransaction" for event in tried.values())
        assert len(self._transactions) <= sent, "there are more transactions than starts"
        assert [value for value, times in self._meter_values.items() if times > 1] == [], "meter values that were doubled"
        return len(answered)

    def _check_answered(self, tried: Event, answered: Event) -> None:
        payload, charger = tried["payload"], tried["charger"]
        match tried["action"]:
            case "StartTransaction":
                found = self._transactions.get(answered["answer"]["transactionId"])
                assert found is not None, f"an answered start is lost: {tried}"
                assert found[0] == charger and found[2] == payload["meterStart"], (found, tried)
            case "StopTransaction":
                found = self._transactions.get(payload["transactionId"])
                assert found is not None and found[1] == "stopped", f"an answered stop is lost: {tried} {found}"
                assert found[3] == payload["meterStop"], (found, tried)
            case "MeterValues":
                value = payload["meterValue"][0]["sampledValue"][0]["value"]
                assert self._meter_values[charger, value] == 1, f"answered meter values are lost: {tried}"

    def check_commands(self, accepted: list[str]) -> Counter[str]:
        """Every accepted command has a final state, and none reached its charger twice; how many ended how."""
        lost = [message_id for message_id in accepted if message_id not in self._commands]
        assert lost == [], f"{len(lost)} accepted commands are not on record"
        unfinished = {message_id: state for message_id, state in self._commands.items() if state not in FINAL}
        assert unfinished == {}, f"commands without a final state: {unfinished}"
        received = Counter(event["id"] for event in self.events if event["event"] == "command")
        assert [message_id for message_id, times in received.items() if times > 1] == [], "commands that were run twice"
        assert set(received) <= set(self._commands), "commands that are not on record"
        completed = {message_id for message_id, state in self._commands.items() if state == "completed"}
        assert completed <= set(received), "commands that were completed and never received"
        return Counter(self._commands.values())

    def check_connections(self) -> list[float]:
        """Every charger that lost its connection came back; the seconds that each took."""
        waits: list[float] = []
        lost: set[str] = set()
        for event in self.events:
            if event["event"] == "lost":
                lost.add(event["charger"])
            elif event["event"] == "connected":
                if event["charger"] in lost:
                    waits.append(event["after"])
                lost.discard(event["charger"])
        return waits

    def errors(self) -> Counter[str]:
        """CALLERRORs by their codes."""
        return Counter(event["code"] for event in self.events if event["event"] == "error")
