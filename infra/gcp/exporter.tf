# The identity of the exporter and its permissions: consume and view two subscriptions, read instances and, with a
# folder or an organisation, find the projects in it.

resource "google_service_account" "exporter" {
  count = module.settings.identity == "service_account" ? 1 : 0

  project      = module.settings.project
  account_id   = module.settings.service_account_id
  display_name = "Spot interruption exporter"
  description  = module.settings.pubsub ? "Consumes its two Pub/Sub subscriptions and reads Compute Engine instances." : "Reads Compute Engine instances and operations."

  depends_on = [google_project_service.needed]
}

# The Kubernetes service account can impersonate the Google service account.
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

# A subscription whose topic was deleted only shows it in its description, which
# roles/pubsub.subscriber cannot read (pubsub.subscriptions.get).
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
# resource, including the output of serial consoles. The exporter lists instances (aggregatedList)
# for the inventory, gets single instances for lookups, and lists operations for interruptions
# without a message.
locals {
  instance_permissions = [
    "compute.globalOperations.list",
    "compute.instances.get",
    "compute.instances.list",
    "compute.zoneOperations.list",
  ]
  discovery_permissions = ["cloudasset.assets.searchAllResources"]
}

resource "google_project_iam_custom_role" "instance_reader" {
  for_each = (
    module.settings.compute_role == null && module.settings.custom_role_organization_id == null
    ? module.settings.listed_projects
    : toset([])
  )

  project     = each.key
  role_id     = module.settings.compute_role_id
  title       = "Spot interruption exporter: instance reader"
  description = "Lists and reads Compute Engine instances, and lists operations."
  permissions = local.instance_permissions

  depends_on = [google_project_service.needed]
}

resource "google_organization_iam_custom_role" "instance_reader" {
  count = module.settings.custom_role_organization_id == null ? 0 : 1

  org_id      = module.settings.custom_role_organization_id
  role_id     = module.settings.compute_role_id
  title       = "Spot interruption exporter: instance reader"
  description = "Lists and reads Compute Engine instances, lists operations, and finds the projects that have them."
  permissions = concat(local.instance_permissions, local.discovery_permissions)
}

resource "google_project_iam_member" "instance_reader" {
  for_each = module.settings.listed_projects

  project = each.key
  member  = local.exporter_member
  role = (
    module.settings.compute_role != null ? module.settings.compute_role
    : module.settings.custom_role_organization_id != null ? google_organization_iam_custom_role.instance_reader[0].id
    : google_project_iam_custom_role.instance_reader[each.key].id
  )
}

# Read access to every project of a folder or an organisation, including later ones. The keys are known when
# planning; the id of the custom role is not.
locals {
  discovery_roles = (
    !module.settings.discover ? {}
    : module.settings.custom_role_organization_id != null ? { instances = google_organization_iam_custom_role.instance_reader[0].id }
    : {
      for use, role in { instances = coalesce(module.settings.compute_role, "roles/compute.viewer"), assets = module.settings.asset_role } :
      use => role if role != null && (use == "instances" || role != module.settings.compute_role)
    }
  )
}

resource "google_folder_iam_member" "exporter" {
  for_each = module.settings.sink_parent == "folder" ? local.discovery_roles : {}

  folder = "folders/${module.settings.folder_id}"
  role   = each.value
  member = local.exporter_member
}

resource "google_organization_iam_member" "exporter" {
  for_each = module.settings.sink_parent == "organization" ? local.discovery_roles : {}

  org_id = module.settings.organization_id
  role   = each.value
  member = local.exporter_member
}

# Cloud Asset Inventory requires serviceusage.services.use in the project whose quota is used.
resource "google_project_iam_member" "service_consumer" {
  count = module.settings.discover ? 1 : 0

  project = module.settings.quota_project
  role    = "roles/serviceusage.serviceUsageConsumer"
  member  = local.exporter_member
}
