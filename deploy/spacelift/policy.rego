# A notification policy for Spacelift. It sends state changes of runs to each named webhook with the label or
# the id `spacelift-promex`.
#
# The payload contains only the data for the metrics of spacelift-promex. The input also contains the environment of
# runs, values of resources, commit messages, and the session of the creator of a run. Fields that are missing in the
# input are omitted.
#
# Spacelift has rejected `import rego.v1`. This policy has the same meaning in Open Policy Agent before and after 1.0.
package spacelift

import future.keywords.contains
import future.keywords.if
import future.keywords.in

name := "spacelift-promex"

endpoints contains endpoint.id if {
	is_array(input.webhook_endpoints)
	some endpoint in input.webhook_endpoints
	name in endpoint.labels
}

endpoints contains name if {
	is_array(input.webhook_endpoints)
	some endpoint in input.webhook_endpoints
	endpoint.id == name
}

webhook contains {"endpoint_id": id, "payload": payload} if {
	is_object(input.run_updated)
	some id in endpoints
}

# Internal errors are sent with the default payload, which contains no secrets.
webhook contains {"endpoint_id": id} if {
	is_object(input.internal_error)
	some id in endpoints
}

default account := ""

account := input.account.name

updated := input.run_updated

run := object.get(updated, "run", {})

stack := object.get(updated, "stack", {})

payload := object.union(
	picked(updated, {"state", "username", "note"}),
	{
		"account": account,
		"run": object.union(
			picked(run, {"id", "type", "created_at", "updated_at", "drift_detection", "triggered_by"}),
			{"changes": each(run, "changes", {"action", "phase", "moved"})},
		),
		"stack": object.union(
			picked(stack, {"id", "name", "labels"}),
			parts(stack, {"space": {"id", "name"}, "worker_pool": {"id", "name", "public"}}),
		),
		"timing": each(updated, "timing", {"state", "duration"}),
		"policy_receipts": array.concat(
			each(updated, "policy_receipts", {"name", "type", "outcome", "flags"}),
			each(run, "policy_receipts", {"name", "type", "outcome", "flags"}),
		),
		"urls": picked(object.get(updated, "urls", {}), {"run"}),
	},
)

# Returns the fields of an object with one of these names.
picked(from, names) := {field: from[field] | some field in names}

# Returns the same for each object of a list.
each(from, list, names) := [picked(item, names) | is_array(from[list]); some item in from[list]]

# Returns the same for nested objects, if they exist.
parts(from, names) := {part: picked(from[part], fields) | some part, fields in names; from[part]}
