// The check reports mistakes that Terraform would only report with the provider.

import assert from "node:assert/strict";
import { test } from "node:test";

import { check } from "./check_arguments.mjs";

const GOOD = `
resource "google_pubsub_subscription" "s" {
  for_each             = toset(["a"])
  name                 = each.key
  topic                = google_pubsub_topic.t.id
  ack_deadline_seconds = 60

  expiration_policy {
    ttl = ""
  }

  dynamic "dead_letter_policy" {
    for_each = [1]
    content {
      dead_letter_topic = "t"
    }
  }

  lifecycle {
    prevent_destroy = true
  }
}

data "google_project" "p" {
  project_id = "p"
}

resource "terraform_data" "other" {
  anything = "goes"
}
`;

const AWS = `
resource "aws_sqs_queue" "q" {
  for_each = toset(["eu-central-1"])
  region   = each.key
  name     = "q"
  tags     = {}
}

resource "aws_cloudwatch_event_target" "t" {
  rule = "r"
  arn  = "a"
  role_arn = "b"

  retry_policy {
    maximum_retry_attempts = 1
  }
}

data "aws_caller_identity" "current" {}
`;

const MISTAKES = {
  "ack_deadline_secs is unknown": GOOD.replace("ack_deadline_seconds", "ack_deadline_secs"),
  "topic is missing": GOOD.replace(/  topic .*\n/, ""),
  "expiration_policy: ttl is missing": GOOD.replace('ttl = ""', ""),
  "expiration_policy: tll is unknown": GOOD.replace('ttl = ""', 'ttl = ""\n    tll = ""'),
  "dead_letter_policy: dead_letter_topics is unknown": GOOD.replace("dead_letter_topic =", "dead_letter_topics ="),
  "dead_leter_policy is unknown": GOOD.replace("dead_letter_policy", "dead_leter_policy"),
  "block retry_policy may not repeat": GOOD.replace("lifecycle {", "retry_policy {}\n  retry_policy {}\n  lifecycle {"),
  "labels is no block": GOOD.replace('"dead_letter_policy"', '"labels"'),
  "name is missing": GOOD.replace(/  name .*\n/, ""),
  "no such type": GOOD.replaceAll("google_pubsub_subscription", "google_pubsub_subscripton"),
  "number cannot be set": GOOD.replace('project_id = "p"', 'number = "1"'),
  "manages every member of a role; use _iam_member": `
    resource "google_pubsub_topic_iam_binding" "b" {
      topic   = "t"
      role    = "roles/pubsub.publisher"
      members = []
    }`,
  "fifo_queues is unknown": AWS.replace("tags ", "fifo_queues "),
  "arn is missing": AWS.replace(/  arn .*\n/, ""),
  "retry_policy: maximum_retries is unknown": AWS.replace("maximum_retry_attempts", "maximum_retries"),
  "manages every policy or member; use aws_iam_role_policy": `
    resource "aws_iam_policy_attachment" "a" {
      name       = "a"
      policy_arn = "arn:aws:iam::aws:policy/ReadOnlyAccess"
    }`,
};

test("no complaint about valid arguments", async () => {
  assert.deepEqual(await check("good.tf", GOOD), { complaints: [], blocks: 2 });
  assert.deepEqual(await check("good.tf", AWS), { complaints: [], blocks: 3 });
});

for (const [complaint, text] of Object.entries(MISTAKES)) {
  test(complaint, async () => {
    const { complaints } = await check("bad.tf", text);
    assert.ok(complaints.some((found) => found.endsWith(complaint)), `found ${JSON.stringify(complaints)}`);
  });
}
