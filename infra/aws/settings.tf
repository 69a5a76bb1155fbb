# Converts the inputs to validated settings. modules/settings contains all checks, names and policies.

module "settings" {
  source = "./modules/settings"

  account_id = local.account_id
  partition  = local.partition
  dns_suffix = local.dns_suffix

  regions = var.regions
  prefix  = var.prefix
  tags    = var.tags

  member_accounts = var.member_accounts

  message_retention_seconds  = var.message_retention_seconds
  visibility_timeout_seconds = var.visibility_timeout_seconds
  maximum_event_age_seconds  = var.maximum_event_age_seconds
  maximum_retry_attempts     = var.maximum_retry_attempts
  dead_letter                = var.dead_letter
  kms_key_arns               = var.kms_key_arns

  identity                             = var.identity
  role_name                            = var.role_name
  permissions_boundary_arn             = var.permissions_boundary_arn
  oidc_provider_arn                    = var.oidc_provider_arn
  cluster_name                         = var.cluster_name
  cluster_region                       = var.cluster_region
  kubernetes_service_account_namespace = var.kubernetes_service_account_namespace
  kubernetes_service_account_name      = var.kubernetes_service_account_name

  alarm_message_age_seconds = var.alarm_message_age_seconds
  alarm_actions             = var.alarm_actions
}
