# Prerequisites in the project: APIs, project number and Pub/Sub service agent.

locals {
  needed_apis = concat(
    [
      "cloudresourcemanager.googleapis.com",
      "compute.googleapis.com",
      "iam.googleapis.com",
      "iamcredentials.googleapis.com",
    ],
    module.settings.pubsub ? ["logging.googleapis.com", "pubsub.googleapis.com"] : [],
    module.settings.discover && module.settings.quota_project == module.settings.project ? ["cloudasset.googleapis.com"] : [],
    var.alert_policies ? ["monitoring.googleapis.com"] : [],
  )
}

resource "google_project_service" "needed" {
  for_each = toset(var.enable_apis ? local.needed_apis : [])

  project = module.settings.project
  service = each.key

  # Others may use the APIs of the project.
  disable_on_destroy = false
}

# Requests of an identity of another project's pool use the quota of that project.
resource "google_project_service" "asset_inventory" {
  count = var.enable_apis && module.settings.discover && module.settings.quota_project != module.settings.project ? 1 : 0

  project            = module.settings.quota_project
  service            = "cloudasset.googleapis.com"
  disable_on_destroy = false
}

locals {
  dead_letter      = var.dead_letter && module.settings.pubsub
  grant_kms_access = var.grant_kms_access && module.settings.pubsub

  # Projects whose number is part of the name of a member.
  numbered_projects = toset(concat(
    local.dead_letter || local.grant_kms_access ? [module.settings.project] : [],
    module.settings.identity == "principal" ? [module.settings.workload_pool_project] : [],
  ))

  project_numbers = merge(
    { for project, data in data.google_project.numbered : project => data.number },
    module.settings.project_numbers,
  )

  # The service agent of Pub/Sub. It is created with the first use of Pub/Sub in a project.
  pubsub_agent = local.dead_letter || local.grant_kms_access ? format(
    module.settings.pubsub_agent_format, local.project_numbers[module.settings.project]
  ) : null
}

# The lookup has no dependencies: a lookup that is deferred until apply would show every dependent
# grant as new in each plan.
data "google_project" "numbered" {
  for_each = setsubtract(local.numbered_projects, keys(module.settings.project_numbers))

  project_id = each.key
}

# A separate variable decides whether the grant is created, because the name of the key may not be
# known before apply.
resource "google_kms_crypto_key_iam_member" "pubsub_agent" {
  count = local.grant_kms_access ? 1 : 0

  crypto_key_id = module.settings.kms_key_name
  role          = "roles/cloudkms.cryptoKeyEncrypterDecrypter"
  member        = local.pubsub_agent

  lifecycle {
    precondition {
      condition     = module.settings.kms_key_name != null
      error_message = "grant_kms_access needs kms_key_name."
    }
  }
}
