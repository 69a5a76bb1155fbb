"""Tests that every input of the root module is passed to its check.

The root module hands its variables on one by one, and a slip there would go unnoticed: each value
below is one that only the right check refuses.
"""

import re
import unittest

from offline_module import MODULE, OfflineModule

REFUSED = {
    "project": "123456789012",
    "prefix": "SIE",
    "labels": {"Team": "platform"},
    "pubsub": None,
    "monitored_projects": ["123456789012"],
    "folder_id": "folders/123",
    "organization_id": "organizations/123",
    "discover": None,  # a bool has no check but that it is there
    "discover_query": " ",
    "project_name": "123456789012",
    "extra_interruption_methods": ["preempted"],
    "bulk_insert_name_pattern": "(gke",
    "message_retention_duration": "599s",
    "ack_deadline_seconds": 9,
    "retry_minimum_backoff": "601s",
    "retry_maximum_backoff": "601s",
    "max_delivery_attempts": 4,
    "message_storage_regions": ["eu"],
    "kms_key_name": "k",
    "identity": "key_file",
    "service_account_id": "sie",
    "kubernetes_service_account_namespace": "a.b",
    "kubernetes_service_account_name": "SIE",
    "workload_pool": "acme-prod",
    "compute_role": "compute.viewer",
    "custom_role_organization_id": "organizations/123",
    "asset_role": "cloudasset.viewer",
    "project_numbers": {"acme-prod": "acme-prod"},
    "alert_unacked_age": "10m",
    "alert_notification_channels": ["1234"],
}


class Settings(unittest.TestCase):
    def test_defaults_are_accepted(self):
        with OfflineModule() as module:
            self.assertIsNone(module.refusal(project="acme-prod"))

    def test_each_check_rejects_its_input(self):
        with OfflineModule() as module:
            for name, value in REFUSED.items():
                with self.subTest(name):
                    refusal = module.refusal(**{"project": "acme-prod", name: value})
                    self.assertIsNotNone(refusal, "accepted")
                    complaint = "Required variable not set" if value is None else "Invalid value for variable"
                    # The argument of the call, and the variable of the submodule with the check.
                    self.assertRegex(refusal, rf"\b{name} += var\.{name}\n")
                    self.assertEqual(refusal.count(complaint), 1)

    def test_every_variable_is_covered(self):
        declared = re.findall(r'^variable "(\w+)"', (MODULE / "modules/settings/variables.tf").read_text(), re.MULTILINE)
        self.assertEqual(sorted(declared), sorted(REFUSED))


if __name__ == "__main__":
    unittest.main()
