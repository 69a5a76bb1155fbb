output "project" {
  value = var.project
}

output "pubsub" {
  description = "Whether events are received from Pub/Sub."
  value       = var.pubsub
}

output "labels" {
  value = local.labels
}

output "events" {
  description = "Topic, subscription, sink with its description, and filter, by kind of event."
  value       = local.events

  precondition {
    condition     = alltrue([for event in local.events : length(event.filter) <= 20000])
    error_message = "A filter has more than the 20000 characters that Cloud Logging allows; shorten extra_interruption_methods."
  }
}

output "monitored_projects" {
  value = local.monitored_projects
}

output "listed_projects" {
  description = "Projects in which the exporter can read instances: the monitored ones and its `project_name`."
  value       = local.listed_projects
}

output "discover" {
  description = "Whether the exporter discovers the projects of the folder or organisation."
  value       = local.discover

  precondition {
    condition     = var.discover_query == null || local.discover
    error_message = "discover_query needs folder_id or organization_id, and discover."
  }
}

output "quota_project" {
  description = "Project whose quota is used for requests to Cloud Asset Inventory; the API must be enabled there."
  value       = local.quota_project
}

output "sink_parent" {
  description = "\"project\", \"folder\" or \"organization\"."
  value       = local.sink_parent

  precondition {
    condition     = var.folder_id == null || var.organization_id == null
    error_message = "folder_id and organization_id cannot be combined: the sinks of an organisation already cover every folder."
  }
}

output "project_sinks" {
  description = "By \"EVENT/PROJECT\"; empty when the sinks are at a folder or an organisation."
  value       = local.project_sinks
}

output "folder_id" {
  value = var.folder_id
}

output "organization_id" {
  value = var.organization_id
}

output "dead_letter" {
  value = {
    topic                 = "${var.prefix}-dead-letter-topic"
    subscription          = "${var.prefix}-dead-letter-subscription"
    max_delivery_attempts = var.max_delivery_attempts
  }
}

output "delivery" {
  value = {
    message_retention_duration = var.message_retention_duration
    ack_deadline_seconds       = var.ack_deadline_seconds
    minimum_backoff            = var.retry_minimum_backoff
    maximum_backoff            = var.retry_maximum_backoff
  }

  precondition {
    condition     = tonumber(trimsuffix(var.retry_minimum_backoff, "s")) <= tonumber(trimsuffix(var.retry_maximum_backoff, "s"))
    error_message = "retry_minimum_backoff must not exceed retry_maximum_backoff."
  }
}

output "message_storage_regions" {
  value = sort(var.message_storage_regions)
}

output "kms_key_name" {
  value = var.kms_key_name
}

output "identity" {
  value = var.identity
}

output "service_account_id" {
  value = local.service_account_id
}

output "service_account_email" {
  value = local.service_account_email
}

output "workload_identity_member" {
  description = "The Kubernetes service account as the member that can impersonate the Google service account."
  value       = "serviceAccount:${local.workload_pool}[${var.kubernetes_service_account_namespace}/${var.kubernetes_service_account_name}]"
}

output "workload_pool_project" {
  description = "Project whose number is inserted into `principal_format`."
  value       = local.workload_pool_project
}

output "principal_format" {
  description = "The Kubernetes service account as the member that is granted roles directly; %s is the number of the pool's project."
  value       = "principal://iam.googleapis.com/projects/%s/locations/global/workloadIdentityPools/${local.workload_pool}/subject/ns/${var.kubernetes_service_account_namespace}/sa/${var.kubernetes_service_account_name}"
}

output "pubsub_agent_format" {
  description = "Pub/Sub's service agent; %s is the number of `project`."
  value       = "serviceAccount:service-%s@gcp-sa-pubsub.iam.gserviceaccount.com"
}

output "project_numbers" {
  value = var.project_numbers
}

output "compute_role" {
  description = "Null if a custom role is created."
  value       = var.compute_role

  precondition {
    condition     = !local.discover || var.compute_role == null ? true : !startswith(var.compute_role, "projects/")
    error_message = "compute_role: a project's role cannot be granted at a folder or an organisation; give roles/R or organizations/N/roles/R, or discover = false."
  }
}

output "custom_role_organization_id" {
  description = "Organisation in which the custom role is created; null if none is created."
  value       = local.custom_role_organization_id

  precondition {
    condition     = var.custom_role_organization_id == null || var.folder_id != null
    error_message = "custom_role_organization_id requires folder_id; with organization_id the custom role is created in that organisation."
  }
}

output "asset_role" {
  description = "Role for finding projects; null if another role has the permission."
  value       = var.asset_role
}

output "compute_role_id" {
  value = local.compute_role_id
}

output "exporter_config" {
  description = "The part of the exporter's configuration file that depends on this module, as YAML."
  value       = yamlencode(local.exporter_config)
}

output "helm_values" {
  description = "Values for the exporter's chart, as YAML."
  value       = yamlencode(local.helm_values)
}

output "alerts" {
  description = "Settings of the alert policies: the age in seconds and the notification channels."
  value = {
    unacked_seconds       = tonumber(trimsuffix(var.alert_unacked_age, "s"))
    notification_channels = var.alert_notification_channels
  }
}
