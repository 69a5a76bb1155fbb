"""boto3, AWS's own client for Python, understands the simulated SQS, EC2 and STS."""

import hashlib
import json
import os
import pathlib
import time

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from world import Processes, fetch, free_ports, until

ACCOUNT, OTHER_ACCOUNT = "123456789012", "210987654321"
REGION, OTHER_REGION = "eu-central-1", "us-east-1"
ROLE = f"arn:aws:iam::{OTHER_ACCOUNT}:role/sie-reader"


class Aws:
    """The simulated AWS without instances, and sessions of boto3 with the dummy credentials."""

    def __init__(self, processes):
        (address,) = free_ports(1)
        self.url = f"http://{address}"
        processes.start("aws", os.environ["CLIENTS_SANDBOX"], "aws", "--aws-listen", address, "--aws-scale", "0", "--speed", "0")
        until("the simulated AWS", 30, processes.answers(f"{self.url}/_sandbox/queues"))

    def client(self, service, region=REGION, key="test", secret="test", token=None):
        session = boto3.Session(aws_access_key_id=key, aws_secret_access_key=secret, aws_session_token=token, region_name=region)
        return session.client(service, endpoint_url=self.url, config=Config(retries={"total_max_attempts": 1}))

    def control(self, path, method="GET", body=None):
        return fetch(f"{self.url}/_sandbox/{path}", method, body)

    def launch(self, number, zone=f"{REGION}a", **fields):
        identifier = f"i-{number:017x}"
        self.control(f"instances/{identifier}", "PUT", json.dumps({"zone": zone, **fields}))
        return identifier


@pytest.fixture
def aws(tmp_path):
    with Processes(tmp_path) as processes:
        yield Aws(processes)


@pytest.fixture
def sqs(aws):
    client = aws.client("sqs")
    client.queue_url = client.get_queue_url(QueueName="sie-interruption-queue")["QueueUrl"]
    return client


def failure(call, *arguments, **parameters):
    """Returns the code and the HTTP status of the error of a call."""
    with pytest.raises(ClientError) as raised:
        call(*arguments, **parameters)
    response = raised.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]


def ids(pages):
    """Returns the instance ids of pages of DescribeInstances."""
    return [
        instance["InstanceId"] for page in pages for reservation in page["Reservations"] for instance in reservation["Instances"]
    ]


def test_messages_are_sent_received_and_deleted(aws, sqs):
    sent = sqs.send_message(QueueUrl=sqs.queue_url, MessageBody="hello")
    assert sent["MD5OfMessageBody"] == hashlib.md5(b"hello").hexdigest()
    entries = [{"Id": str(number), "MessageBody": f"message {number}"} for number in range(9)]
    assert len(sqs.send_message_batch(QueueUrl=sqs.queue_url, Entries=entries)["Successful"]) == 9

    received = sqs.receive_message(
        QueueUrl=sqs.queue_url,
        MaxNumberOfMessages=10,
        WaitTimeSeconds=1,
        VisibilityTimeout=60,
        MessageSystemAttributeNames=["SentTimestamp", "ApproximateReceiveCount"],
    )["Messages"]
    assert {message["Body"] for message in received} == {"hello"} | {entry["MessageBody"] for entry in entries}
    for message in received:
        assert message["Attributes"]["ApproximateReceiveCount"] == "1"
        assert abs(int(message["Attributes"]["SentTimestamp"]) / 1000 - time.time()) < 60
    assert "Messages" not in sqs.receive_message(QueueUrl=sqs.queue_url)

    first = received[0]["ReceiptHandle"]
    sqs.change_message_visibility(QueueUrl=sqs.queue_url, ReceiptHandle=first, VisibilityTimeout=0)
    (again,) = sqs.receive_message(QueueUrl=sqs.queue_url)["Messages"]
    assert (again["MessageId"], again["ReceiptHandle"] != first) == (received[0]["MessageId"], True)

    aws.control("faults/failed_entries", "PUT", "2")
    entries = [{"Id": str(number), "ReceiptHandle": message["ReceiptHandle"]} for number, message in enumerate(received)]
    deleted = sqs.delete_message_batch(QueueUrl=sqs.queue_url, Entries=entries)
    assert (len(deleted["Successful"]), [entry["Id"] for entry in deleted["Failed"]]) == (8, ["0", "1"])
    assert deleted["Failed"][0]["Code"] == "InternalError"
    deleted = sqs.delete_message_batch(QueueUrl=sqs.queue_url, Entries=entries[:2])
    assert [entry["Id"] for entry in deleted["Successful"]] == ["0", "1"]
    attributes = sqs.get_queue_attributes(QueueUrl=sqs.queue_url, AttributeNames=["All"])["Attributes"]
    assert attributes["QueueArn"] == f"arn:aws:sqs:{REGION}:{ACCOUNT}:sie-interruption-queue"
    assert (attributes["ApproximateNumberOfMessages"], attributes["ApproximateNumberOfMessagesNotVisible"]) == ("0", "0")


def test_errors_of_sqs_have_their_codes(aws, sqs):
    missing = f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/missing"
    with pytest.raises(sqs.exceptions.QueueDoesNotExist):
        sqs.receive_message(QueueUrl=missing)
    with pytest.raises(sqs.exceptions.ReceiptHandleIsInvalid):
        sqs.delete_message(QueueUrl=sqs.queue_url, ReceiptHandle="nonsense")
    with pytest.raises(sqs.exceptions.TooManyEntriesInBatchRequest):
        entries = [{"Id": str(number), "ReceiptHandle": "x"} for number in range(11)]
        sqs.delete_message_batch(QueueUrl=sqs.queue_url, Entries=entries)
    for code, status in [("OverLimit", 403), ("RequestThrottled", 403)]:
        aws.control("faults/sqs", "PUT", code)
        assert failure(sqs.receive_message, QueueUrl=sqs.queue_url) == (code, status)
    aws.control("faults/sqs", "DELETE")
    aws.control("faults/denied", "PUT")
    assert failure(sqs.receive_message, QueueUrl=sqs.queue_url)[1] == 403


def test_events_reach_the_queue_of_their_region(aws):
    instance = aws.launch(7, zone=f"{OTHER_REGION}a", lifecycle="spot")
    aws.control(f"instances/{instance}/warn", "POST")
    sqs = aws.client("sqs", OTHER_REGION)
    url = f"https://sqs.{OTHER_REGION}.amazonaws.com/{ACCOUNT}/sie-interruption-queue"
    (message,) = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=20)["Messages"]
    event = json.loads(message["Body"])
    assert event["detail-type"] == "EC2 Spot Instance Interruption Warning"
    assert event["detail"] == {"instance-id": instance, "instance-action": "terminate"}
    assert (event["account"], event["region"]) == (ACCOUNT, OTHER_REGION)


def test_instances_are_listed_in_pages_and_filtered(aws):
    tags = {"eks:cluster-name": "prod", "kubernetes.io/cluster/prod": "owned", "note": "<&>"}
    spot = [aws.launch(number, lifecycle="spot", type="m6i.xlarge", tags=tags) for number in range(1, 13)]
    on_demand = aws.launch(100, tags={"eks:cluster-name": "test"})
    elsewhere = aws.launch(200, zone=f"{OTHER_REGION}b")
    aws.launch(300, account=OTHER_ACCOUNT)
    aws.control("faults/padding", "PUT", "8000")
    aws.control("faults/shuffle", "PUT")
    ec2 = aws.client("ec2")
    pages = list(ec2.get_paginator("describe_instances").paginate(PaginationConfig={"PageSize": 5}))
    assert (len(pages), ids(pages)) == (3, [*spot, on_demand])
    assert ids([aws.client("ec2", OTHER_REGION).describe_instances()]) == [elsewhere]

    for filters, expected in [
        ({"instance-lifecycle": ["spot"]}, spot),
        ({"instance-id": [spot[3], "i-0ffffffffffffffff"]}, [spot[3]]),
        ({"tag-key": ["kubernetes.io/cluster/*"]}, spot),
        ({"tag:eks:cluster-name": ["test"]}, [on_demand]),
        ({"instance-state-name": ["terminated"]}, []),
    ]:
        filters = [{"Name": name, "Values": values} for name, values in filters.items()]
        assert ids([ec2.describe_instances(Filters=filters, IncludeManagedResources=True)]) == expected, filters

    aws.control(f"instances/{spot[0]}/terminate", "POST")
    (reservation,) = ec2.describe_instances(InstanceIds=spot[:1])["Reservations"]
    (instance,) = reservation["Instances"]
    assert reservation["OwnerId"] == ACCOUNT
    assert instance["State"] == {"Code": 48, "Name": "terminated"}
    assert instance["StateReason"]["Code"] == "Server.SpotInstanceTermination"
    assert instance["StateTransitionReason"].startswith("Service initiated (20")
    assert (instance["InstanceLifecycle"], instance["InstanceType"]) == ("spot", "m6i.xlarge")
    assert instance["Placement"]["AvailabilityZone"] == f"{REGION}a"
    assert abs(instance["LaunchTime"].timestamp() - time.time()) < 60
    assert {tag["Key"]: tag["Value"] for tag in instance["Tags"]} == tags


def test_errors_of_ec2_have_their_codes(aws):
    ec2 = aws.client("ec2")
    assert failure(ec2.describe_instances, InstanceIds=["i-0ffffffffffffffff"]) == ("InvalidInstanceID.NotFound", 400)
    assert failure(ec2.describe_instances, MaxResults=1001) == ("InvalidParameterValue", 400)
    for code, status in [("RequestLimitExceeded", 503), ("UnauthorizedOperation", 403)]:
        aws.control("faults/ec2", "PUT", code)
        assert failure(ec2.describe_instances) == (code, status)
    aws.control("faults", "DELETE")
    aws.control("faults/reject_managed_resources", "PUT")
    assert failure(ec2.describe_instances, IncludeManagedResources=True) == ("UnknownParameter", 400)


def test_roles_are_assumed(aws, tmp_path, monkeypatch):
    instance = aws.launch(1, account=OTHER_ACCOUNT)
    sts = aws.client("sts")
    assert sts.get_caller_identity()["Account"] == ACCOUNT
    credentials = sts.assume_role(RoleArn=ROLE, RoleSessionName="sie", DurationSeconds=900)["Credentials"]
    assert 800 < credentials["Expiration"].timestamp() - time.time() <= 900
    other = {"key": credentials["AccessKeyId"], "secret": credentials["SecretAccessKey"], "token": credentials["SessionToken"]}
    assert aws.client("sts", **other).get_caller_identity()["Account"] == OTHER_ACCOUNT
    assert ids([aws.client("ec2", **other).describe_instances()]) == [instance]
    assert failure(sts.assume_role, RoleArn="arn:aws:iam::1:role/unknown", RoleSessionName="sie") == ("AccessDenied", 403)

    # botocore's own chain of credentials exchanges the token of a service account.
    token = pathlib.Path(tmp_path, "token")
    token.write_text("simulated-web-identity-token")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(token))
    monkeypatch.setenv("AWS_ROLE_ARN", f"arn:aws:iam::{ACCOUNT}:role/sie")
    monkeypatch.setenv("AWS_ENDPOINT_URL", aws.url)
    identity = boto3.Session(region_name=REGION).client("sts").get_caller_identity()
    assert identity["Arn"].startswith(f"arn:aws:sts::{ACCOUNT}:assumed-role/sie/")


def test_credentials_of_pods_and_instances_are_accepted(aws, tmp_path, monkeypatch):
    token = pathlib.Path(tmp_path, "token")
    token.write_text("simulated-pod-identity-token")
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{aws.url}/v1/credentials")
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", str(token))
    monkeypatch.setenv("AWS_ENDPOINT_URL", aws.url)
    assert boto3.Session(region_name=REGION).client("sts").get_caller_identity()["Account"] == ACCOUNT
    monkeypatch.delenv("AWS_CONTAINER_CREDENTIALS_FULL_URI")
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", aws.url)
    assert boto3.Session(region_name=REGION).client("sts").get_caller_identity()["Account"] == ACCOUNT


def test_wrong_signatures_clocks_and_expired_credentials_are_rejected(aws, sqs):
    wrong = {"secret": "wrong"}
    assert failure(aws.client("ec2", **wrong).describe_instances) == ("AuthFailure", 401)
    assert failure(aws.client("sts", **wrong).get_caller_identity) == ("SignatureDoesNotMatch", 403)
    assert failure(aws.client("sqs", **wrong).receive_message, QueueUrl=sqs.queue_url)[1] == 403

    credentials = aws.client("sts").assume_role(RoleArn=ROLE, RoleSessionName="sie", DurationSeconds=900)["Credentials"]
    other = {"key": credentials["AccessKeyId"], "secret": credentials["SecretAccessKey"], "token": credentials["SessionToken"]}
    aws.control("clock", "PUT", "200")
    aws.client("ec2", **other).describe_instances()
    aws.control("clock", "PUT", "3600")
    assert failure(aws.client("ec2").describe_instances) == ("RequestExpired", 400)
