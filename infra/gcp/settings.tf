# Converts the inputs to validated settings. modules/settings contains all checks and all names.

module "settings" {
  source = "./modules/settings"

  project = var.project
  prefix  = var.prefix
  labels  = var.labels
  pubsub  = var.pubsub

  monitored_projects         = var.monitored_projects
  folder_id                  = var.folder_id
  organization_id            = var.organization_id
  discover                   = var.discover
  discover_query             = var.discover_query
  project_name               = var.project_name
  extra_interruption_methods = var.extra_interruption_methods
  bulk_insert_name_pattern   = var.bulk_insert_name_pattern

  message_retention_duration = var.message_retention_duration
  ack_deadline_seconds       = var.ack_deadline_seconds
  retry_minimum_backoff      = var.retry_minimum_backoff
  retry_maximum_backoff      = var.retry_maximum_backoff
  max_delivery_attempts      = var.max_delivery_attempts
  message_storage_regions    = var.message_storage_regions
  kms_key_name               = var.kms_key_name

  identity                             = var.identity
  service_account_id                   = var.service_account_id
  kubernetes_service_account_namespace = var.kubernetes_service_account_namespace
  kubernetes_service_account_name      = var.kubernetes_service_account_name
  workload_pool                        = var.workload_pool
  compute_role                         = var.compute_role
  custom_role_organization_id          = var.custom_role_organization_id
  asset_role                           = var.asset_role
  project_numbers                      = var.project_numbers

  alert_unacked_age           = var.alert_unacked_age
  alert_notification_channels = var.alert_notification_channels
}
