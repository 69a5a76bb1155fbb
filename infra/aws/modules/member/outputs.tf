output "reader_role_arn" {
  description = "The role that the exporter assumes. The central account's `exporter_config` contains it in `aws.role_arns`."
  value       = aws_iam_role.reader.arn
}

output "forwarder_role_arn" {
  description = "The role with which EventBridge sends to the central account, for the policy of a customer managed key."
  value       = aws_iam_role.forwarder.arn
}

output "rule_arns" {
  description = "ARNs of the rules by region."
  value       = { for region, rule in aws_cloudwatch_event_rule.events : region => rule.arn }
}

output "dead_letter_queue_urls" {
  description = "URLs of the dead-letter queues by region."
  value       = { for region, queue in aws_sqs_queue.dead_letter : region => queue.url }
}
