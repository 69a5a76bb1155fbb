# Who the exporter is and what it may do: consume and look at two subscriptions, and read instances.

resource "google_service_account" "exporter" {
  count = module.settings.identity == "service_account" ? 1 : 0

  project      = module.settings.project
  account_id   = module.settings.service_account_id
  display_name = "Spot interruption exporter"
  description  = "Consumes its two Pub/Sub subscriptions and reads Compute Engine instances."

  depends_on = [google_project_service.needed]
}

# The Kubernetes service account may act as the Google one.
resource "google_service_account_iam_member" "workload_identity" {
  count = module.settings.identity == "service_account" ? 1 : 0

  service_account_id = google_service_account.exporter[0].name
  role               = "roles/iam.workloadIdentityUser"
  member             = module.settings.workload_identity_member
}

locals {
  exporter_member = (
    module.settings.identity == "service_account"
    ? google_service_account.exporter[0].member
    : format(module.settings.principal_format, local.project_numbers[module.settings.workload_pool_project])
  )
}

resource "google_pubsub_subscription_iam_member" "exporter" {
  for_each = module.settings.events

  project      = module.settings.project
  subscription = google_pubsub_subscription.events[each.key].name
  role         = "roles/pubsub.subscriber"
  member       = local.exporter_member

  lifecycle {
    replace_triggered_by = [google_pubsub_subscription.events[each.key].id]
  }
}

# A subscription whose topic was deleted stays silent: only its description tells, which
# roles/pubsub.subscriber does not let the exporter read (pubsub.subscriptions.get).
resource "google_pubsub_subscription_iam_member" "exporter_viewer" {
  for_each = module.settings.events

  project      = module.settings.project
  subscription = google_pubsub_subscription.events[each.key].name
  role         = "roles/pubsub.viewer"
  member       = local.exporter_member

  lifecycle {
    replace_triggered_by = [google_pubsub_subscription.events[each.key].id]
  }
}

# No predefined role is this narrow: roles/compute.viewer reads every kind of Compute Engine
# resource, serial consoles' output included. The exporter lists instances to know the nodes
# that are there (aggregatedList) and gets single ones that a message names.
resource "google_project_iam_custom_role" "instance_reader" {
  for_each = module.settings.compute_role == null ? module.settings.monitored_projects : toset([])

  project     = each.key
  role_id     = module.settings.compute_role_id
  title       = "Spot interruption exporter: instance reader"
  description = "Lists and reads Compute Engine instances."
  permissions = ["compute.instances.get", "compute.instances.list"]

  depends_on = [google_project_service.needed]
}

resource "google_project_iam_member" "instance_reader" {
  for_each = module.settings.monitored_projects

  project = each.key
  role    = module.settings.compute_role != null ? module.settings.compute_role : google_project_iam_custom_role.instance_reader[each.key].id
  member  = local.exporter_member
}
