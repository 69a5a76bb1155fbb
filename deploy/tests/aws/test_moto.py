"""The exporter understands moto's SQS, EventBridge, SNS, STS and EC2.

moto cannot filter instances by their lifecycle, so listings fail and only lookups are tested with it."""

import json

from conftest import ACCOUNT, REGION, run_node, until, warning

OTHER_ACCOUNT = "210987654321"


def total(cluster):
    return f'interruption_events_total{{kubernetes_cluster="{cluster}"}}'


def messages(queue, outcome):
    name = queue[0].rsplit("/", 1)[1]
    return f'spot_interruption_exporter_messages_total{{outcome="{outcome}",subscription="{name}"}}'


def is_empty(sqs, url):
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    return all(attributes[name] == "0" for name in names)


def test_counts_and_deletes_a_warning(moto, queue, exporter):
    node = run_node(moto.client("ec2"), "direct")
    running = exporter()
    moto.client("sqs").send_message(QueueUrl=queue[0], MessageBody=warning(node))
    running.counts(total("direct"), 1)
    labels = f'cluster_location="{REGION}",kubernetes_cluster="direct",machine_type="m5.large",node_pool="workers"'
    assert labels in running.metrics()
    until("the message is deleted", lambda: is_empty(moto.client("sqs"), queue[0]))


def test_counts_an_event_of_eventbridge(moto, queue, exporter):
    """EventBridge delivers to the queue by a rule and a target. moto's events have no account."""
    events = moto.client("events")
    pattern = {
        "source": ["aws.ec2"],
        "detail-type": ["EC2 Spot Instance Interruption Warning", "EC2 Spot Instance Request Fulfillment"],
    }
    events.put_rule(Name="spot", EventPattern=json.dumps(pattern))
    events.put_targets(Rule="spot", Targets=[{"Id": "queue", "Arn": queue[1]}])
    node = run_node(moto.client("ec2"), "eventbridge")
    running = exporter()
    entries = [
        {"Source": "aws.ec2", "DetailType": detail_type, "Detail": json.dumps({"instance-id": node, "state": "x"})}
        for detail_type in [
            "EC2 Instance State-change Notification",
            "EC2 Spot Instance Request Fulfillment",
            "EC2 Spot Instance Interruption Warning",
            "EC2 Spot Instance Interruption Warning",
        ]
    ]
    assert events.put_events(Entries=entries)["FailedEntryCount"] == 0
    running.counts(total("eventbridge"), 1)
    running.counts(messages(queue, "duplicate"), 1)
    running.counts(messages(queue, "added"), 1)


def test_counts_an_event_in_an_envelope_of_sns(moto, queue, exporter):
    sns = moto.client("sns")
    topic = sns.create_topic(Name="spot")["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue[1])
    node = run_node(moto.client("ec2"), "sns")
    running = exporter()
    sns.publish(TopicArn=topic, Message=warning(node))
    running.counts(total("sns"), 1)


def test_counts_in_another_account(moto, queue, exporter):
    role = f"arn:aws:iam::{OTHER_ACCOUNT}:role/sie-reader"
    credentials = moto.client("sts").assume_role(RoleArn=role, RoleSessionName="test")["Credentials"]
    node = run_node(moto.client("ec2", credentials), "member")
    running = exporter(SIE_AWS__ROLE_ARNS=role)
    body = warning(node, account=OTHER_ACCOUNT)
    moto.client("sqs").send_message(QueueUrl=queue[0], MessageBody=body)
    running.counts(total("member"), 1)
    assert f'project="{OTHER_ACCOUNT}"' in running.metrics()


def test_reports_a_missing_queue(moto, directory, exporter):
    running = exporter(SIE_AWS__QUEUE_URLS=f"{moto.url}/{ACCOUNT}/missing")
    reason = "QueueDoesNotExist"
    until("/ready names the reason", lambda: reason in running.ready())


def test_drops_damaged_messages(moto, queue, exporter):
    running = exporter()
    for body in ["not JSON", "{}", "[]"]:
        moto.client("sqs").send_message(QueueUrl=queue[0], MessageBody=body)
    running.counts(messages(queue, "invalid"), 3)
    until("they are deleted", lambda: is_empty(moto.client("sqs"), queue[0]))
