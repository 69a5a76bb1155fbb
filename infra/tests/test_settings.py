"""Tests that every input of the root module is passed to its check.

The root module hands its variables on one by one, and a slip there would go unnoticed: each value
below is one that only the right check refuses.
"""

import re
import unittest

from offline_module import INFRA, OfflineModule

GCP_REFUSED = {
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

AWS_REFUSED = {
    "regions": ["eu-central-1b"],
    "prefix": "SIE",
    "tags": {"aws:team": "platform"},
    "member_accounts": ["acme"],
    "message_retention_seconds": 59,
    "visibility_timeout_seconds": 29,
    "maximum_event_age_seconds": 59,
    "maximum_retry_attempts": 186,
    "dead_letter": None,
    "kms_key_arns": {"eu-central-1": "alias/aws/sqs"},
    "identity": "access_key",
    "role_name": "spot/exporter",
    "permissions_boundary_arn": "boundary",
    "oidc_provider_arn": "https://oidc.eks.eu-central-1.amazonaws.com/id/0A1B",
    "cluster_name": "a/b",
    "cluster_region": "eu-central-1b",
    "kubernetes_service_account_namespace": "a.b",
    "kubernetes_service_account_name": "SIE",
    "alarm_message_age_seconds": 59,
    "alarm_actions": {"eu-central-1": ["alerts"]},
}

MODULES = {
    "gcp": ({"project": "acme-prod"}, GCP_REFUSED),
    "aws": ({"regions": ["eu-central-1"], "identity": "none"}, AWS_REFUSED),
}

# Inputs of the submodule that are read from the provider.
FROM_THE_PROVIDER = {"account_id", "partition", "dns_suffix"}


class Settings(unittest.TestCase):
    def test_defaults_are_accepted(self):
        for name, (required, _) in MODULES.items():
            with self.subTest(name), OfflineModule(name) as module:
                self.assertIsNone(module.refusal(**required))

    def test_each_check_rejects_its_input(self):
        for module_name, (required, refused) in MODULES.items():
            with OfflineModule(module_name) as module:
                self.rejects_each(module, required, refused)

    def rejects_each(self, module, required, refused):
        for name, value in refused.items():
            with self.subTest(f"{module.name} {name}"):
                refusal = module.refusal(**{**required, name: value})
                self.assertIsNotNone(refusal, "accepted")
                complaint = "Required variable not set" if value is None else "Invalid value for variable"
                # The argument of the call, and the variable of the submodule with the check.
                self.assertRegex(refusal, rf"\b{name} += var\.{name}\n")
                self.assertEqual(refusal.count(complaint), 1)

    def test_every_variable_is_covered(self):
        for name, (_, refused) in MODULES.items():
            with self.subTest(name):
                text = (INFRA / name / "modules/settings/variables.tf").read_text()
                declared = set(re.findall(r'^variable "(\w+)"', text, re.MULTILINE)) - FROM_THE_PROVIDER
                self.assertEqual(sorted(declared), sorted(refused))


if __name__ == "__main__":
    unittest.main()
