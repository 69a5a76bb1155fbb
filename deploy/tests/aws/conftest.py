import json
import os
import pathlib
import socket
import subprocess
import time
import urllib.error
import urllib.request

import boto3
import pytest

ACCOUNT = "123456789012"
REGION = "eu-central-1"
QUEUE = "sie-interruption-queue"
TIMEOUT = 60


def until(what, condition):
    """Waits until the condition returns a value that counts as true, and returns it."""
    deadline = time.monotonic() + TIMEOUT
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.1)
    raise AssertionError(f"not within {TIMEOUT} s: {what}")


def get(url):
    try:
        with urllib.request.urlopen(url, timeout=10) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return None, ""


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Moto:
    """A running moto server."""

    def __init__(self, directory):
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        log = (directory / "moto.log").open("w")
        command = [os.environ["AWS_TESTS_MOTO"], "-H", "127.0.0.1", "-p", str(port)]
        self.process = subprocess.Popen(command, stdout=log, stderr=log)
        until("moto responds", lambda: get(f"{self.url}/moto-api/data.json")[0] == 200)

    def client(self, service, credentials=None):
        keys = credentials or {"AccessKeyId": "test", "SecretAccessKey": "test", "SessionToken": None}
        return boto3.client(
            service,
            region_name=REGION,
            endpoint_url=self.url,
            aws_access_key_id=keys["AccessKeyId"],
            aws_secret_access_key=keys["SecretAccessKey"],
            aws_session_token=keys["SessionToken"],
        )


class Exporter:
    """A running exporter."""

    def __init__(self, directory, moto, queue_url, **variables):
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        environment = {
            "SIE_AWS__QUEUE_URLS": queue_url,
            "SIE_AWS__EC2_ENDPOINT": moto.url,
            "SIE_AWS__STS_ENDPOINT": moto.url,
            "SIE_PROMETHEUS__ADDRESS": f"127.0.0.1:{port}",
            "AWS_REGION": REGION,
            **variables,
        }
        self.log = directory / f"exporter-{port}.log"
        log = self.log.open("w")
        self.process = subprocess.Popen([os.environ["AWS_TESTS_EXPORTER"]], env=environment, stdout=log, stderr=log)
        until("the exporter responds", lambda: get(f"{self.url}/health")[0] == 200)

    def ready(self):
        return get(f"{self.url}/ready")[1]

    def metrics(self):
        return get(f"{self.url}/metrics")[1]

    def value(self, series):
        for line in self.metrics().splitlines():
            name, _, value = line.rpartition(" ")
            if name == series:
                return float(value)
        return None

    def counts(self, series, count):
        until(f"{series} is {count}; log: {self.log}", lambda: self.value(series) == count)


@pytest.fixture(scope="session")
def directory(tmp_path_factory):
    return pathlib.Path(tmp_path_factory.mktemp("moto"))


@pytest.fixture(scope="session")
def moto(directory):
    server = Moto(directory)
    yield server
    server.process.kill()


@pytest.fixture
def queue(moto):
    """A new queue: its URL and its ARN."""
    sqs = moto.client("sqs")
    url = sqs.create_queue(QueueName=f"{QUEUE}-{time.monotonic_ns()}")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    return url, arn


@pytest.fixture
def exporter(directory, moto, queue):
    started = []

    def start(**variables):
        started.append(Exporter(directory, moto, queue[0], **variables))
        return started[-1]

    yield start
    for process in started:
        process.process.kill()


def run_node(ec2, cluster):
    """Runs a spot instance that is a node of a cluster, and returns its id."""
    image = ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
    tags = [{"Key": "eks:cluster-name", "Value": cluster}, {"Key": "eks:nodegroup-name", "Value": "workers"}]
    response = ec2.run_instances(
        ImageId=image,
        InstanceType="m5.large",
        MinCount=1,
        MaxCount=1,
        InstanceMarketOptions={"MarketType": "spot"},
        TagSpecifications=[{"ResourceType": "instance", "Tags": tags}],
    )
    return response["Instances"][0]["InstanceId"]


def warning(instance, detail_type="EC2 Spot Instance Interruption Warning", account=ACCOUNT):
    """The event as EventBridge delivers it."""
    return json.dumps(
        {
            "version": "0",
            "id": f"event-{instance}",
            "detail-type": detail_type,
            "source": "aws.ec2",
            "account": account,
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "region": REGION,
            "resources": [f"arn:aws:ec2:{REGION}b:instance/{instance}"],
            "detail": {"instance-id": instance, "instance-action": "terminate"},
        }
    )
