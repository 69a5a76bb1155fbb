output "regions" {
  description = "URL and ARN of the queue, ARNs of the dead-letter queue and the rule, and the key, by region."
  value       = local.regions

  precondition {
    condition     = length(var.kms_key_arns) == 0 || toset(keys(var.kms_key_arns)) == var.regions
    error_message = "kms_key_arns must have a key for each of the regions, and for no other region."
  }
}

output "queue_name" {
  value = local.queue_name
}

output "dead_letter_name" {
  value = local.dead_letter_name
}

output "dead_letter" {
  value = var.dead_letter
}

output "rule_name" {
  value = local.rule_name
}

output "tags" {
  value = local.tags
}

output "event_pattern" {
  description = "The rules' pattern, as JSON."
  value       = jsonencode(local.event_pattern)
}

output "queue_policies" {
  description = "Policies of the queues by region, as JSON."
  value       = local.queue_policies
}

output "dead_letter_policies" {
  description = "Policies of the dead-letter queues by region, as JSON."
  value       = local.dead_letter_policies
}

output "delivery" {
  description = "Settings of the queues and of the rules' targets."
  value = {
    message_retention_seconds  = var.message_retention_seconds
    visibility_timeout_seconds = var.visibility_timeout_seconds
    maximum_event_age_seconds  = var.maximum_event_age_seconds
    maximum_retry_attempts     = var.maximum_retry_attempts
  }
}

output "identity" {
  value = var.identity

  precondition {
    condition     = var.identity != "irsa" || var.oidc_provider_arn != null
    error_message = "identity = \"irsa\" requires oidc_provider_arn."
  }

  precondition {
    condition     = var.identity != "pod_identity" || var.cluster_name != null
    error_message = "identity = \"pod_identity\" requires cluster_name."
  }
}

output "role_name" {
  value = local.role_name
}

output "role_arn" {
  description = "Null if no role is created."
  value       = local.role_arn
}

output "permissions_boundary_arn" {
  value = var.permissions_boundary_arn
}

output "trust_policy" {
  description = "Who may use the exporter's role, as JSON; null if no role is created."
  value       = local.trust_policy
}

output "exporter_policy" {
  description = "What the exporter may do, as JSON."
  value       = local.exporter_policy
}

output "member_role_arns" {
  description = "Roles in other accounts that the exporter assumes."
  value       = local.member_reader_arns
}

output "pod_identity" {
  description = "Settings of the association."
  value = {
    cluster_name    = var.cluster_name
    cluster_region  = var.cluster_region
    namespace       = var.kubernetes_service_account_namespace
    service_account = var.kubernetes_service_account_name
  }
}

output "exporter_config" {
  description = "The part of the exporter's configuration file that depends on this module, as YAML."
  value       = yamlencode(local.exporter_config)
}

output "helm_values" {
  description = "Values for the exporter's chart, as YAML."
  value       = yamlencode(local.helm_values)
}

output "alarms" {
  description = "Settings of the alarms: the age in seconds and the actions by region."
  value = {
    message_age_seconds = var.alarm_message_age_seconds
    actions             = { for region in var.regions : region => lookup(var.alarm_actions, region, []) }
  }

  precondition {
    condition     = length(setsubtract(keys(var.alarm_actions), var.regions)) == 0
    error_message = "alarm_actions has a region that is not among regions."
  }
}
