"""Tests of the evaluator of event patterns, and of which events the rules of infra/aws select.

The pattern is the one that the module really makes, read from Terraform's outputs. Each file in aws_events/ is an event as
AWS documents it (see docs/aws.md), and whether it must be selected.
"""

import json
import unittest
from pathlib import Path

from event_pattern import PatternError, matches
from offline_module import OfflineModule

EVENTS = Path(__file__).resolve().parent / "aws_events"

EVENT = {"source": "aws.ec2", "resources": ["a", "b"], "detail": {"state": "running", "count": 1, "last": True, "none": None}}

TRUE = [
    {"source": ["aws.ec2"]},
    {"source": ["aws.health", "aws.ec2"]},
    {"source": ["aws.ec2"], "detail": {"state": ["running"], "count": [1]}},
    {"resources": ["b", "c"]},
    {"detail": {"last": [True]}},
    {"detail": {"none": [None]}},
]

FALSE = [
    {"source": ["aws.EC2"]},
    {"source": ["aws"]},
    {"source": ["aws.ec2"], "detail": {"state": ["stopped"]}},
    {"resources": ["c"]},
    {"detail-type": ["running"]},
    {"detail": {"reason": {"code": ["x"]}}},
    {"source": {"name": ["aws.ec2"]}},
    {"detail": {"count": [True]}},
    {"detail": {"count": ["1"]}},
    {"detail": {"missing": [None]}},
]

ERRORS = [{}, [], {"source": "aws.ec2"}, {"source": []}, {"source": [{"prefix": "aws."}]}, {"detail": {}}, {"source": ["other"], "detail": {"state": "x"}}]


class Evaluator(unittest.TestCase):
    def test_selects(self):
        for pattern in TRUE:
            with self.subTest(pattern):
                self.assertTrue(matches(pattern, EVENT))

    def test_does_not_select(self):
        for pattern in FALSE:
            with self.subTest(pattern):
                self.assertFalse(matches(pattern, EVENT))

    def test_rejects(self):
        for pattern in ERRORS:
            with self.subTest(pattern), self.assertRaises(PatternError):
                matches(pattern, EVENT)


class Pattern(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        with OfflineModule("aws") as module:
            cls.pattern = json.loads(module.outputs(regions=["eu-central-1"], identity="none")["event_pattern"])
        cls.events = {path.stem: json.loads(path.read_text()) for path in sorted(EVENTS.glob("*.json"))}

    def test_selects_warnings_and_fulfilments_only(self):
        self.assertTrue(self.events)
        for name, event in self.events.items():
            with self.subTest(name):
                self.assertEqual(matches(self.pattern, event["event"]), event["selected"], event["about"])

    def test_every_event_has_the_envelope(self):
        for name, event in self.events.items():
            with self.subTest(name):
                self.assertEqual(
                    sorted(event["event"]),
                    ["account", "detail", "detail-type", "id", "region", "resources", "source", "time", "version"],
                )

    def test_every_value_is_needed(self):
        """Removing a value of the pattern, or a whole field, changes the selection of at least one event."""
        selected = self.selected(self.pattern)
        for field, values in self.pattern.items():
            others = {name: wanted for name, wanted in self.pattern.items() if name != field}
            with self.subTest(field):
                self.assertNotEqual(self.selected(others), selected)
            for value in values:
                with self.subTest(field=field, value=value):
                    fewer = [other for other in values if other != value] or ["nothing"]
                    self.assertNotEqual(self.selected({**self.pattern, field: fewer}), selected)

    def selected(self, pattern):
        return {name for name, event in self.events.items() if matches(pattern, event["event"])}


if __name__ == "__main__":
    unittest.main()
