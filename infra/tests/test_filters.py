"""Which log entries the sinks' filters select.

The filters are those that the module really makes, read from Terraform's outputs. Each file in
events/ is an entry with the kinds of event that it must be selected for.
"""

import json
import unittest
from pathlib import Path

from logging_query import matches
from offline_module import OfflineModule

HERE = Path(__file__).resolve().parent

# Ways to set the module up, by the name that `selected_with` in an event refers to.
VARIANTS = {
    "default": {},
    "extra_methods": {"extra_interruption_methods": ["compute.instances.hostError", "compute.instances.terminateOnHostMaintenance"]},
    "node_names": {"bulk_insert_name_pattern": "(gke|gk3)-.*"},
}


class Filters(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        with OfflineModule() as module:
            cls.filters = {variant: module.filters(project="mock-project", **variables) for variant, variables in VARIANTS.items()}
        cls.events = {path.stem: json.loads(path.read_text()) for path in sorted((HERE / "events").glob("*.json"))}

    def test_each_entry_is_selected_for_what_it_is(self):
        self.assertTrue(self.events)
        for name, event in self.events.items():
            for variant, filters in self.filters.items():
                wanted = event.get("selected_with", {}).get(variant, event["selected_by"])
                with self.subTest(event=name, variant=variant):
                    selected = [kind for kind, query in filters.items() if matches(query, event["entry"])]
                    self.assertEqual(sorted(selected), sorted(wanted), event["about"])

    def test_every_variant_makes_a_difference(self):
        named = {variant for event in self.events.values() for variant in event.get("selected_with", {})}
        self.assertEqual(named, set(VARIANTS) - {"default"})

    def test_no_condition_is_idle(self):
        """Each line of a filter changes what is selected: an entry here would tell if it were lost."""
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


# No other service has such method names; it is there for whoever reads the filter in the console.
ALWAYS_SO = 'AND protoPayload.serviceName="compute.googleapis.com"'


def neutral(condition):
    """In place of a condition, one that leaves the decision to the others."""
    if condition.startswith("OR "):
        return "OR NOT logName:*"
    return ("AND " if condition.startswith("AND ") else "") + "logName:*"


if __name__ == "__main__":
    unittest.main()
