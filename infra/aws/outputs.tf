output "queue_urls" {
  description = "URLs of the queues by region."
  value       = { for region, queue in aws_sqs_queue.events : region => queue.url }
}

output "queue_arns" {
  description = "ARNs of the queues by region, the input `queue_arns` of [modules/member](modules/member)."
  value       = { for region, names in module.settings.regions : region => names.queue_arn }

  depends_on = [aws_sqs_queue_policy.events]
}

output "dead_letter_queue_urls" {
  description = "URLs of the dead-letter queues by region."
  value       = { for region, queue in aws_sqs_queue.dead_letter : region => queue.url }
}

output "rule_arns" {
  description = "ARNs of the rules by region."
  value       = { for region, rule in aws_cloudwatch_event_rule.events : region => rule.arn }
}

output "event_pattern" {
  description = "The rules' event pattern, as JSON."
  value       = module.settings.event_pattern
}

output "role_arn" {
  description = "ARN of the exporter's role, or null with `identity = \"none\"`."
  value       = one(aws_iam_role.exporter[*].arn)
}

output "exporter_policy" {
  description = "The exporter's permissions as a policy, as JSON; for an identity of your own."
  value       = module.settings.exporter_policy
}

output "member_role_arns" {
  description = "Roles in the member accounts that the exporter assumes."
  value       = module.settings.member_role_arns
}

output "exporter_config" {
  description = "Required content of the exporter's configuration file, as YAML."
  value       = module.settings.exporter_config
}

output "helm_values" {
  description = "Values for the exporter's Helm chart, as YAML: `terraform output -raw helm_values > values.yaml`."
  value       = module.settings.helm_values
}
