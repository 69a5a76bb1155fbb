"""Tests of the evaluator: matching, not matching and rejected queries."""

import unittest

from logging_query import QueryError, matches, parse

ENTRY = {
    "logName": "projects/p/logs/cloudaudit.googleapis.com%2Factivity",
    "severity": "NOTICE",
    "resource": {"type": "gce_instance", "labels": {"zone": "europe-west1-c"}},
    "operation": {"first": True},
    "labels": {"compute.googleapis.com/root_trigger_id": "t"},
    "protoPayload": {
        "methodName": "v1.compute.instances.insert",
        "status": {"code": 7},
        "request": {"labels": [{"key": "team", "value": "shop"}, {"key": "goog-k8s-cluster-name", "value": "c"}]},
        "empty": [],
    },
}

TRUE = [
    'resource.type="gce_instance"',
    'resource.type = "GCE_Instance"',
    "resource.type=gce_instance",
    'protoPayload.methodName:"instances.insert"',
    'protoPayload.methodName!="v1.compute.instances.delete"',
    r'protoPayload.methodName=~"^(v1|beta)\.compute\."',
    'protoPayload.methodName!~"COMPUTE"',
    "protoPayload.status.code=7",
    # Any element of a list can match.
    'protoPayload.request.labels.key="goog-k8s-cluster-name"',
    'protoPayload.request.labels.key="team"',
    'protoPayload.request.labels.key!="team"',
    # Presence and absence.
    "protoPayload.request:*",
    "NOT protoPayload.response:*",
    "NOT protoPayload.empty:*",
    'NOT protoPayload.response.id="1"',
    "-protoPayload.response:*",
    # Fields that every entry has.
    "operation.first=true",
    "operation.last=false",
    'NOT operation.last="true"',
    # Functions, quoted segments, comments.
    'log_id("cloudaudit.googleapis.com/activity")',
    'labels."compute.googleapis.com/root_trigger_id"="t"',
    '-- first\nseverity="NOTICE" -- then\n-- last',
    'protoPayload.methodName=~"a--b" OR severity="NOTICE"',
    # Alternatives as a value.
    'severity=("INFO" OR "NOTICE")',
    'severity=("NOTICE")',
    'severity:("NO" AND "TICE")',
    # Adjacent terms are combined with AND.
    'severity="NOTICE" resource.type="gce_instance"',
    'severity="NOTICE"\n(severity="INFO" OR severity="NOTICE")',
    # NOT before OR before AND.
    'severity="NOTICE" OR severity="INFO" AND severity="NOTICE"',
    'severity="INFO" OR NOT severity="INFO" AND severity="NOTICE"',
]

FALSE = [
    'resource.type="gce_disk"',
    'protoPayload.methodName=~"^compute"',
    'protoPayload.methodName=~"INSERT"',
    'protoPayload.request.labels.key="goog-k8s"',
    'protoPayload.request.labels="team"',
    'protoPayload.response.id="1"',
    # Not the opposite of "=": a missing field does not differ.
    'protoPayload.response.id!="1"',
    'protoPayload.request.instanceProperties.labels.key="goog-k8s-cluster-name"',
    "operation.last=true",
    'log_id("cloudaudit.googleapis.com/system_event")',
    'log_id("activity")',
    'severity="NOTICE" AND NOT resource.type="gce_instance"',
    'NOT (severity="NOTICE" OR severity="INFO")',
    'severity="NOTICE" severity="INFO"',
    'severity=("INFO" OR "DEBUG")',
    # As (a) AND (b OR c); with AND before OR it would be true.
    'severity="INFO" AND severity="INFO" OR severity="NOTICE"',
]

REFUSED = [
    "",
    'resource.type="gce_instance',
    "resource.type=",
    'resource.type="a" AND',
    'AND resource.type="a"',
    '(resource.type="a"',
    'resource.type="a")',
    'resourceType="gce_instance"',
    'resource.type="a" and resource.type="b"',
    'log_name("x")',
    'severity>="ERROR"',
    '"anything at all"',
    "protoPayload.request",
]


class Evaluator(unittest.TestCase):
    def test_true(self):
        for query in TRUE:
            with self.subTest(query):
                self.assertTrue(matches(query, ENTRY))

    def test_false(self):
        for query in FALSE:
            with self.subTest(query):
                self.assertFalse(matches(query, ENTRY))

    def test_rejected(self):
        for query in REFUSED:
            with self.subTest(query):
                self.assertRaises(QueryError, parse, query)

    def test_empty_entry(self):
        self.assertTrue(matches('NOT severity="NOTICE" AND operation.first=false', {}))


if __name__ == "__main__":
    unittest.main()
