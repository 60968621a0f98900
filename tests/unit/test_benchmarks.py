"""benchmarks/: its pure parts, one short run of the load generator, and docs/performance.md."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from support.daemon import environment, free_port

ROOT = Path(__file__).resolve().parents[2]
BENCHMARKS = ROOT / "benchmarks"
PATIENCE_S = 60

sys.path.append(str(BENCHMARKS))

import frames  # noqa: E402
import measure  # noqa: E402
import rounds  # noqa: E402
import tables  # noqa: E402
import targets  # noqa: E402


class FrameTests(SynchronousTestCase):
    """What chargers say."""

    def test_the_mix_is_what_it_is_called(self) -> None:
        """Of 100 messages 60 are MeterValues of six samples, 20 StatusNotifications, 20 Heartbeats, each with its own id."""
        source = frames.Source(7, frames.Clock())
        source.prepare("real", 42)
        sent = [json.loads(source.next()) for _ in range(100)]
        actions = [action for _, _, action, _ in sent]
        self.assertEqual([actions.count(name) for name in ("MeterValues", "StatusNotification", "Heartbeat")], [60, 20, 20])
        self.assertEqual(len({message_id for _, message_id, _, _ in sent}), 100)
        values = [payload for _, _, action, payload in sent if action == "MeterValues"]
        self.assertEqual({(each["transactionId"], len(each["meterValue"][0]["sampledValue"])) for each in values}, {(42, 6)})
        self.assertEqual(len({json.dumps(each) for each in values}), 60)

    def test_chargers_do_not_share_ids(self) -> None:
        """The last id that is remembered of a message is that of its charger alone."""
        first, second = (frames.Source(index, frames.Clock()) for index in range(2))
        self.assertNotEqual(first.boot(), second.boot())
        self.assertEqual(json.loads(second.boot())[1].encode(), second.last_id)

    def test_calls_of_the_central_system_are_answered(self) -> None:
        """GetConfiguration by an empty list, the others by Accepted."""
        self.assertEqual(json.loads(frames.answer_to(b'[2,"a","ClearCache",{}]')), [3, "a", {"status": "Accepted"}])
        answer = json.loads(frames.answer_to(b'[2,"b","GetConfiguration",{"key":[]}]'))
        self.assertEqual(answer, [3, "b", {"configurationKey": [], "unknownKey": []}])


class FigureTests(SynchronousTestCase):
    """Figures put together."""

    def test_percentiles(self) -> None:
        """A percentile is a value that was measured, the least that enough do not exceed."""
        values = [float(each) for each in range(1, 101)]
        self.assertEqual([measure.percentile(values, share) for share in (0.5, 0.99, 0.999, 1.0)], [50.0, 99.0, 100.0, 100.0])
        self.assertEqual(measure.percentile([3.0], 0.5), 3.0)

    def test_ratios_are_those_within_a_round(self) -> None:
        """A round that is void, or where one was not measured, counts for nothing."""
        own: list[dict[str, Any]] = [{"cpu": 2.0}, {"cpu": 9.0, "void": True}, {"cpu": 8.0}]
        other: list[dict[str, Any]] = [{"cpu": 1.0}, {"cpu": 1.0}, {"cpu": 2.0}]
        self.assertEqual(rounds.ratios(own, other, "cpu"), [2.0, 4.0])
        self.assertIsNone(rounds.ratio([{"missing": "not measured"}], other, "cpu"))

    def test_who_could_not_be_measured_has_a_row_that_says_so(self) -> None:
        """The reason stands where the figures would."""
        found = {"a": [{"cpu": 1.0}], "b": [{"missing": "not measured: there is no Node here"}]}
        lines = list(tables.rows(found, [tables.CPU], "a"))
        self.assertEqual(lines, [["a", "1.0 (1.0–1.0)", "1.00"], ["b", "not measured: there is no Node here", ""]])

    def test_what_is_void_is_no_figure(self) -> None:
        """An open loop whose generator was late in every round is void, not fast."""
        case = {"chargers": 1000, "rate": 4000, "rounds": {targets.DURABLE: [{"p99": 1.0, "void": True}]}}
        judged = list(targets.judged({"open": {"cases": [case]}}, quick=False))
        self.assertEqual([each[2:] for each in judged], [("void", "")])


class RunTests(SynchronousTestCase):
    """The load generator, and the page."""

    def test_the_load_generator_runs(self) -> None:
        """Closed and open loops against an echo answer with figures; nothing is said about how good they are."""
        if importlib.util.find_spec("picows") is None:
            raise SkipTest("picows is not installed; pip install '.[bench]' brings it")
        port = free_port()
        peer = [sys.executable, str(BENCHMARKS / "peers" / "picows_echo.py"), str(port)]
        with subprocess.Popen(peer, stdout=subprocess.PIPE) as server:
            try:
                assert server.stdout is not None
                self.assertEqual(server.stdout.readline(), b"listening\n")
                told: list[dict[str, Any]] = [
                    {"do": "connect", "url": f"ws://127.0.0.1:{port}/x", "count": 3, "begin": "start", "echo": True},
                    {"do": "closed", "pid": server.pid, "mix": "real", "seconds": 0.2, "warm": 0.1},
                    {"do": "open", "pid": server.pid, "mix": "heartbeat", "rate": 100, "seconds": 0.2, "warm": 0.1},
                    {"do": "disconnect"},
                ]
                answers = self._generate(told)
            finally:
                server.kill()
        self.assertEqual([each for each in answers if "error" in each], [])
        self.assertEqual(answers[0]["chargers"], 3)
        self.assertGreater(answers[1]["messages"], 0)
        self.assertEqual((answers[2]["asked"], answers[2]["unanswered"]), (20, 0))

    def _generate(self, told: list[dict[str, Any]]) -> list[dict[str, Any]]:
        lines = "".join(json.dumps(each) + "\n" for each in told)
        script = BENCHMARKS / "generator.py"
        done = subprocess.run(
            [sys.executable, script],
            input=lines,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=True,
            env=environment(),
        )
        return [json.loads(line) for line in done.stdout.splitlines()]

    def test_the_page_has_what_was_measured(self) -> None:
        """The tables of the page are what tables.py makes of the rounds that are kept."""
        script = BENCHMARKS / "tables.py"
        done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=PATIENCE_S, check=True)
        page = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
        self.assertGreater(len(done.stdout.splitlines()), 10)
        self.assertIn(done.stdout, page)
