# All names and members.

locals {
  # Without Pub/Sub, no events are configured.
  events = var.pubsub ? local.named_events : {}

  named_events = {
    interruption = {
      topic        = "${var.prefix}-interruption-topic"
      subscription = "${var.prefix}-interruption-subscription"
      sink         = "${var.prefix}-interruption-sink"
      description  = "Interruptions of spot instances, for the spot-interruption-exporter."
      filter       = chomp(local.interruption_filter)
    }
    creation = {
      topic        = "${var.prefix}-creation-topic"
      subscription = "${var.prefix}-creation-subscription"
      sink         = "${var.prefix}-creation-sink"
      description  = "Creations of GKE nodes, for the spot-interruption-exporter."
      filter       = chomp(local.creation_filter)
    }
  }

  monitored_projects = length(var.monitored_projects) > 0 ? var.monitored_projects : toset([var.project])

  # The exporter always lists this project, and its durable state belongs to it.
  project_name = coalesce(
    var.project_name,
    length(local.monitored_projects) == 1 ? one(local.monitored_projects) : var.project,
  )

  # Projects in which the exporter is granted read access, in addition to access at a folder or an organisation.
  listed_projects = setunion(local.monitored_projects, [local.project_name])

  # Sinks exist at only one level, because otherwise each event would arrive twice.
  sink_parent = (
    var.organization_id != null ? "organization"
    : var.folder_id != null ? "folder"
    : "project"
  )

  project_sinks = {
    for pair in setproduct(keys(local.events), local.sink_parent == "project" ? local.monitored_projects : toset([])) :
    "${pair[0]}/${pair[1]}" => { event = pair[0], project = pair[1] }
  }

  discover = var.discover && local.sink_parent != "project"

  # Custom roles exist in projects and in organisations, not in folders.
  custom_role_organization_id = (
    local.discover && var.compute_role == null
    ? try(coalesce(var.organization_id, var.custom_role_organization_id), null)
    : null
  )

  # Requests to Cloud Asset Inventory use the quota of the project of the identity.
  quota_project = var.identity == "principal" ? local.workload_pool_project : var.project

  # Role ids cannot contain hyphens. The prefix distinguishes several sets of resources in a project or an organisation.
  compute_role_id = "${replace(var.prefix, "-", "_")}_instance_reader"

  service_account_id = coalesce(
    var.service_account_id,
    var.prefix == "sie" ? "spot-interruption-exporter" : "${var.prefix}-exporter",
  )

  # example.com:project owns accounts under project.example.com.
  service_account_domain = "${join(".", reverse(split(":", var.project)))}.iam.gserviceaccount.com"
  service_account_email  = var.identity == "service_account" ? "${local.service_account_id}@${local.service_account_domain}" : null

  workload_pool         = coalesce(var.workload_pool, "${var.project}.svc.id.goog")
  workload_pool_project = trimsuffix(local.workload_pool, ".svc.id.goog")

  labels = merge({ app = "spot-interruption-exporter" }, var.labels)
}
