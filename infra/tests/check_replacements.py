"""Resources that depend on a topic, a subscription, a queue, a rule or a role are replaced in the same apply.

    python3 check_replacements.py MODULE

A topic that is replaced keeps its name and loses its grants and subscriptions; so does a queue lose its policy, and a rule
its targets. A plan that knows both only by name shows no difference, and the grants would be missing until the next apply.
For each replacement below the plan is taken from `terraform test -json -verbose`, with a mocked provider. The mock knows no
argument that forces a replacement, so the arguments of which the provider says so are named here: unknown until apply,
they force one. The name of the module's directory selects what is checked.
"""

import json
import pathlib
import subprocess
import sys
import unittest

PROVIDER_STAND_IN = pathlib.Path(__file__).with_name("provider_stand_in.mjs")

FORCES_REPLACEMENT = {
    "google_pubsub_topic_iam_member": "topic",
    "google_pubsub_subscription_iam_member": "subscription",
    "aws_sqs_queue_policy": "queue_url",
}

# Replaced resource -> resources that must be replaced too.
GCP_FOLLOWS = {
    'google_pubsub_topic.events["interruption"]': {
        'google_pubsub_topic_iam_member.writer["interruption/acme-prod"]',
        'google_pubsub_topic_iam_member.writer["interruption/acme-shop"]',
        'google_pubsub_subscription.events["interruption"]',
        'google_pubsub_subscription_iam_member.exporter["interruption"]',
        'google_pubsub_subscription_iam_member.exporter_viewer["interruption"]',
        'google_pubsub_subscription_iam_member.dead_letter_acknowledger["interruption"]',
    },
    'google_pubsub_subscription.events["creation"]': {
        'google_pubsub_subscription_iam_member.exporter["creation"]',
        'google_pubsub_subscription_iam_member.exporter_viewer["creation"]',
        'google_pubsub_subscription_iam_member.dead_letter_acknowledger["creation"]',
    },
    "google_pubsub_topic.dead_letter[0]": {
        "google_pubsub_topic_iam_member.dead_letter_publisher[0]",
        "google_pubsub_subscription.dead_letter[0]",
    },
    "google_pubsub_subscription.dead_letter[0]": set(),
}

AWS_FOLLOWS = {
    'aws_sqs_queue.events["eu-central-1"]': {'aws_sqs_queue_policy.events["eu-central-1"]'},
    'aws_sqs_queue.dead_letter["eu-central-1"]': {'aws_sqs_queue_policy.dead_letter["eu-central-1"]'},
    'aws_cloudwatch_event_rule.events["us-east-1"]': {'aws_cloudwatch_event_target.events["us-east-1"]'},
    "aws_iam_role.exporter[0]": {"aws_iam_role_policy.exporter[0]"},
}

GCP_HEAD = """
mock_provider "google" {
  mock_data "google_project" {
    defaults = {
      number = "123456789012"
    }
  }
}

variables {
  project            = "acme-prod"
  monitored_projects = ["acme-prod", "acme-shop"]
}

run "apply" {
}
"""

AWS_HEAD = """
mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = {
      account_id = "123456789012"
    }
  }
}

variables {
  regions      = ["eu-central-1", "us-east-1"]
  identity     = "pod_identity"
  cluster_name = "platform"
}

run "apply" {
}
"""

MODULES = {"gcp": (GCP_HEAD, GCP_FOLLOWS), "aws": (AWS_HEAD, AWS_FOLLOWS)}

RUN = """
run "replace_{number}" {{
  command = plan

  plan_options {{
    replace = [{address}]
  }}
}}
"""


def plans(module):
    """Returns the changes of each run by name: address -> (actions, arguments unknown until apply, type)."""
    head, follows = MODULES[module.name]
    runs = [RUN.format(number=number, address=address) for number, address in enumerate(follows)]
    test = module / "tests" / "replacements.tftest.hcl"
    test.write_text(head + "".join(runs))
    command = ["terraform", "test", "-json", "-verbose", f"-filter=tests/{test.name}"]
    finished = subprocess.run(["node", PROVIDER_STAND_IN, *command], cwd=module, capture_output=True, text=True)
    test.unlink()
    if finished.returncode != 0:
        raise RuntimeError(finished.stdout + finished.stderr)
    found = {}
    for line in finished.stdout.splitlines():
        message = json.loads(line)
        if message["type"] == "test_plan":
            found[message["@testrun"]] = {
                change["address"]: (change["change"]["actions"], change["change"].get("after_unknown", {}), change["type"])
                for change in message["test_plan"]["resource_changes"]
            }
    return found


def made_anew(actions, unknown, kind):
    return sorted(actions) == ["create", "delete"] or ("update" in actions and unknown.get(FORCES_REPLACEMENT.get(kind)) is True)


class Replacements(unittest.TestCase):
    module = None

    def test_replaces_only_dependent_resources(self):
        found = plans(self.module)
        for number, (address, follows) in enumerate(MODULES[self.module.name][1].items()):
            with self.subTest(address):
                changes = found[f"replace_{number}"]
                anew = {changed for changed, change in changes.items() if made_anew(*change)}
                self.assertEqual(anew, {address, *follows})


if __name__ == "__main__":
    Replacements.module = pathlib.Path(sys.argv.pop(1))
    unittest.main()
