"""Tests which log entries the filters of the sinks select.

The filters are those that the module really makes, read from Terraform's outputs. Each file in
events/ is an entry with the kinds of event that it must be selected for.
"""

import json
import unittest
from pathlib import Path

from logging_query import matches
from offline_module import OfflineModule

HERE = Path(__file__).resolve().parent

# Settings of the module, by the name in `selected_with` of an event.
VARIANTS = {
    "default": {},
    "extra_methods": {"extra_interruption_methods": ["compute.instances.hostError", "compute.instances.terminateOnHostMaintenance"]},
    "node_names": {"bulk_insert_name_pattern": "(gke|gk3)-.*"},
}


class Filters(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        with OfflineModule("gcp") as module:
            cls.filters = {variant: module.outputs(project="mock-project", **variables)["filters"] for variant, variables in VARIANTS.items()}
        cls.events = {path.stem: json.loads(path.read_text()) for path in sorted((HERE / "events").glob("*.json"))}

    def test_selects_each_entry_for_its_event(self):
        self.assertTrue(self.events)
        for name, event in self.events.items():
            for variant, filters in self.filters.items():
                wanted = event.get("selected_with", {}).get(variant, event["selected_by"])
                with self.subTest(event=name, variant=variant):
                    selected = [kind for kind, query in filters.items() if matches(query, event["entry"])]
                    self.assertEqual(sorted(selected), sorted(wanted), event["about"])

    def test_every_variant_changes_the_selection(self):
        named = {variant for event in self.events.values() for variant in event.get("selected_with", {})}
        self.assertEqual(named, set(VARIANTS) - {"default"})

    def test_every_condition_is_needed(self):
        """Removing a line of a filter changes the selection of at least one entry."""
        seen = set()
        for variant, filters in self.filters.items():
            for kind, query in filters.items():
                for index, line in enumerate(lines := query.splitlines()):
                    condition = line.strip()
                    if condition in seen or condition.startswith("--") or condition in ("(", ")", "OR (", "AND (", ALWAYS_SO):
                        continue
                    seen.add(condition)
                    with self.subTest(variant=variant, kind=kind, line=condition):
                        without = "\n".join([*lines[:index], neutral(condition), *lines[index + 1 :]])
                        self.assertNotEqual(self.selected(query), self.selected(without))

    def selected(self, query):
        return {name for name, event in self.events.items() if matches(query, event["entry"])}


# No other service has such method names; the condition is for readers of the filter in the console.
ALWAYS_SO = 'AND protoPayload.serviceName="compute.googleapis.com"'


def neutral(condition):
    """Returns a condition without effect."""
    if condition.startswith("OR "):
        return "OR NOT logName:*"
    return ("AND " if condition.startswith("AND ") else "") + "logName:*"


if __name__ == "__main__":
    unittest.main()
