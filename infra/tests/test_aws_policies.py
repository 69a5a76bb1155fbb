"""Tests of the policies of infra/aws: they contain exactly these permissions."""

import json
import unittest

from offline_module import OfflineModule

QUEUE = "arn:aws:sqs:eu-central-1:123456789012:sie-interruption-queue"
DEAD_LETTER = "arn:aws:sqs:eu-central-1:123456789012:sie-dead-letter-queue"
RULE = "arn:aws:events:eu-central-1:123456789012:rule/sie-interruption-rule"
KEY = "arn:aws:kms:eu-central-1:123456789012:key/1"
ISSUER = "oidc.eks.eu-central-1.amazonaws.com/id/0A1B"

ONE_REGION = {"regions": ["eu-central-1"], "identity": "irsa", "oidc_provider_arn": f"arn:aws:iam::123456789012:oidc-provider/{ISSUER}"}
POD_IDENTITY = {"regions": ["eu-central-1"], "identity": "pod_identity", "cluster_name": "platform"}

RECEIVE = {
    "Effect": "Allow",
    "Action": ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility", "sqs:GetQueueAttributes"],
    "Resource": [QUEUE],
}
LIST = {"Effect": "Allow", "Action": "ec2:DescribeInstances", "Resource": "*"}


def by_rule(queue):
    return {
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": queue,
        "Condition": {"ArnEquals": {"aws:SourceArn": RULE}},
    }


def without_tls(queue):
    return {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "sqs:*",
        "Resource": queue,
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }


def statements(policy):
    """Returns the statements without their names."""
    document = json.loads(policy)
    assert document["Version"] == "2012-10-17"
    names = [statement["Sid"] for statement in document["Statement"]]
    assert len({*names}) == len(names)
    return [{key: value for key, value in statement.items() if key != "Sid"} for statement in document["Statement"]]


class Policies(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        variants = {
            "irsa": ONE_REGION,
            "pod_identity": POD_IDENTITY,
            "several": ONE_REGION | {"regions": ["us-east-1", "eu-central-1"], "member_accounts": ["321098765432", "210987654321"]},
            "pod_identity_members": POD_IDENTITY | {"member_accounts": ["210987654321"]},
            "key": ONE_REGION | {"kms_key_arns": {"eu-central-1": KEY}},
        }
        with OfflineModule("aws") as module:
            cls.policies = {name: module.outputs(**variables).get("policies") for name, variables in variants.items()}

    def test_the_exporter_receives_and_lists(self):
        for variant in ["irsa", "pod_identity"]:
            self.assertEqual(statements(self.policies[variant]["exporter"]), [RECEIVE, LIST])

    def test_a_customer_key_adds_decryption(self):
        decrypt = {"Effect": "Allow", "Action": "kms:Decrypt", "Resource": [KEY]}
        self.assertEqual(statements(self.policies["key"]["exporter"]), [RECEIVE, LIST, decrypt])

    def test_members_add_their_roles(self):
        receive, listing, assume = statements(self.policies["several"]["exporter"])
        self.assertEqual(receive["Resource"], [QUEUE, QUEUE.replace("eu-central-1", "us-east-1")])
        self.assertEqual(listing, LIST)
        roles = [f"arn:aws:iam::{account}:role/sie-reader" for account in ["210987654321", "321098765432"]]
        self.assertEqual(assume, {"Effect": "Allow", "Action": ["sts:AssumeRole"], "Resource": roles})

    def test_pod_identity_passes_its_session_tags(self):
        assume = statements(self.policies["pod_identity_members"]["exporter"])[-1]
        self.assertEqual(assume["Action"], ["sts:AssumeRole", "sts:TagSession"])

    def test_only_the_rule_sends_and_only_with_tls(self):
        for kind, queue in [("queue", QUEUE), ("dead_letter", DEAD_LETTER)]:
            with self.subTest(kind):
                self.assertEqual(
                    statements(self.policies["irsa"][kind]["eu-central-1"]), [by_rule(queue), without_tls(queue)]
                )

    def test_members_send_with_their_role(self):
        for region, policy in self.policies["several"]["queue"].items():
            with self.subTest(region):
                *_, members = statements(policy)
                accounts = ["210987654321", "321098765432"]
                self.assertEqual(
                    members,
                    {
                        "Effect": "Allow",
                        "Principal": {"AWS": [f"arn:aws:iam::{account}:root" for account in accounts]},
                        "Action": "sqs:SendMessage",
                        "Resource": QUEUE.replace("eu-central-1", region),
                        "Condition": {"ArnEquals": {"aws:PrincipalArn": [f"arn:aws:iam::{account}:role/sie-forwarder" for account in accounts]}},
                    },
                )
                # Dead letters of members stay in their accounts.
                self.assertEqual(len(statements(self.policies["several"]["dead_letter"][region])), 2)

    def test_only_the_service_account_uses_the_role(self):
        (irsa,) = statements(self.policies["irsa"]["trust"])
        self.assertEqual(irsa["Action"], "sts:AssumeRoleWithWebIdentity")
        self.assertEqual(irsa["Principal"], {"Federated": ONE_REGION["oidc_provider_arn"]})
        service_account = "system:serviceaccount:spot-interruption-exporter:spot-interruption-exporter-sa"
        self.assertEqual(
            irsa["Condition"], {"StringEquals": {f"{ISSUER}:aud": "sts.amazonaws.com", f"{ISSUER}:sub": service_account}}
        )
        (pods,) = statements(self.policies["pod_identity"]["trust"])
        self.assertEqual(pods["Action"], ["sts:AssumeRole", "sts:TagSession"])
        self.assertEqual(pods["Principal"], {"Service": "pods.eks.amazonaws.com"})
        self.assertEqual(
            pods["Condition"],
            {
                "StringEquals": {
                    "aws:RequestTag/eks-cluster-name": "platform",
                    "aws:RequestTag/kubernetes-namespace": "spot-interruption-exporter",
                    "aws:RequestTag/kubernetes-service-account": "spot-interruption-exporter-sa",
                }
            },
        )


if __name__ == "__main__":
    unittest.main()
