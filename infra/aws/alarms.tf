# Optional alarms in CloudWatch, which work without Prometheus. The alerts in deploy/rules require a Prometheus that scrapes
# the exporter.

resource "aws_cloudwatch_metric_alarm" "oldest_message" {
  for_each = var.alarms ? module.settings.regions : {}

  region              = each.key
  alarm_name          = "${module.settings.queue_name}-not-read"
  alarm_description   = <<-EOT
    The spot interruption exporter does not delete what arrives in ${module.settings.queue_name}. Nothing is lost for
    ${module.settings.delivery.message_retention_seconds} seconds, but interruptions are not counted meanwhile. The exporter's
    /ready and its log show the reason; if nothing receives from the queue at all, its pod is not running.
  EOT
  namespace           = "AWS/SQS"
  metric_name         = "ApproximateAgeOfOldestMessage"
  dimensions          = { QueueName = module.settings.queue_name }
  statistic           = "Maximum"
  period              = 60
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = module.settings.alarms.message_age_seconds
  # SQS reports nothing for a queue that has been empty for some hours.
  treat_missing_data = "notBreaching"
  alarm_actions      = module.settings.alarms.actions[each.key]
  ok_actions         = module.settings.alarms.actions[each.key]
  tags               = module.settings.tags
}

resource "aws_cloudwatch_metric_alarm" "dead_letters" {
  for_each = var.alarms && module.settings.dead_letter ? module.settings.regions : {}

  region              = each.key
  alarm_name          = "${module.settings.dead_letter_name}-has-messages"
  alarm_description   = <<-EOT
    EventBridge could not send events to ${module.settings.queue_name}. The attribute ERROR_CODE of the messages in
    ${module.settings.dead_letter_name} is the reason.
  EOT
  namespace           = "AWS/SQS"
  metric_name         = "ApproximateNumberOfMessagesVisible"
  dimensions          = { QueueName = module.settings.dead_letter_name }
  statistic           = "Maximum"
  period              = 60
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  treat_missing_data  = "notBreaching"
  alarm_actions       = module.settings.alarms.actions[each.key]
  ok_actions          = module.settings.alarms.actions[each.key]
  tags                = module.settings.tags
}
