# The sinks' filters, in the query language of Cloud Logging. The comments go with them: whoever
# finds the sink in the console can read what it is for. infra/tests evaluates them on sample entries.

locals {
  interruption_methods = distinct(concat(["compute.instances.preempted"], var.extra_interruption_methods))

  interruption_filter = <<-EOT
    -- A running instance was taken away. Compute Engine itself says so, hence the system_event log.
    log_id("cloudaudit.googleapis.com/system_event")
    AND resource.type="gce_instance"
    AND protoPayload.methodName=${local.any_of.interruption}
  EOT

  # The resource type is left open in the first half: a bulk request names no instance and
  # is logged for an "audited_resource".
  creation_filter = <<-EOT
    -- GKE nodes that come into being. First the requests, for one node or for many: they carry the
    -- cluster's label, and only the first entry of an operation holds its request. Then the instances
    -- that a bulk request made: their entries have an id but no labels, so that it cannot be told
    -- here whether they are nodes. Every operation has one last entry. Last, what creations failed by,
    -- such as a lack of spot capacity: their last entry repeats nothing of the request.
    log_id("cloudaudit.googleapis.com/activity")
    AND protoPayload.serviceName="compute.googleapis.com"
    AND (
      (
        protoPayload.methodName=${local.any_of.creation}
        AND (
          protoPayload.request.labels.key="goog-k8s-cluster-name"
          OR protoPayload.request.instanceProperties.labels.key="goog-k8s-cluster-name"
        )
      )
      OR (
        protoPayload.methodName=${local.any_of.bulk_creation}
        AND resource.type="gce_instance"
        AND operation.last=true${local.bulk_insert_name_condition}
      )
      OR (
        protoPayload.methodName=${local.any_of.creation}
        AND protoPayload.status.code:*
      )
    )
  EOT

  bulk_insert_name_condition = (
    var.bulk_insert_name_pattern == null ? ""
    : "\n    AND protoPayload.resourceName=~\"/instances/(${var.bulk_insert_name_pattern})$\""
  )

  bulk_creation_methods = [
    for method in setproduct(["v1", "beta"], ["instances.bulkInsert", "regionInstances.bulkInsert"]) :
    "${method[0]}.compute.${method[1]}"
  ]

  creation_methods = concat(
    ["v1.compute.instances.insert", "beta.compute.instances.insert"],
    local.bulk_creation_methods,
  )

  # ("a" OR "b"), as the right side of a comparison.
  any_of = {
    for name, methods in {
      interruption  = local.interruption_methods
      creation      = local.creation_methods
      bulk_creation = local.bulk_creation_methods
    } : name => "(${join(" OR ", formatlist("\"%s\"", methods))})"
  }
}
