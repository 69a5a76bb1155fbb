# The resources of a region: rule, target, queue and the queue's policy.

resource "aws_sqs_queue" "events" {
  for_each = module.settings.regions

  region = each.key
  name   = module.settings.queue_name
  tags   = module.settings.tags

  message_retention_seconds  = module.settings.delivery.message_retention_seconds
  visibility_timeout_seconds = module.settings.delivery.visibility_timeout_seconds
  receive_wait_time_seconds  = 20

  # The provider accepts only one of the two.
  sqs_managed_sse_enabled = each.value.customer_key ? null : true
  kms_master_key_id       = each.value.kms_key_arn

  # There is deliberately no redrive_policy. The exporter leaves messages in the queue on purpose while it cannot store or
  # attribute them, for example while its disk is full or EC2 is not reachable. A redrive policy would move them to a
  # dead-letter queue after some deliveries, and they would never be counted.
}

resource "aws_sqs_queue_policy" "events" {
  for_each = module.settings.regions

  region    = each.key
  queue_url = aws_sqs_queue.events[each.key].url
  policy    = module.settings.queue_policies[each.key]
}

resource "aws_cloudwatch_event_rule" "events" {
  for_each = module.settings.regions

  region        = each.key
  name          = module.settings.rule_name
  description   = "Interruptions and launches of spot instances, for the spot-interruption-exporter."
  event_pattern = module.settings.event_pattern
  tags          = module.settings.tags
}

resource "aws_cloudwatch_event_target" "events" {
  for_each = module.settings.regions

  region    = each.key
  rule      = aws_cloudwatch_event_rule.events[each.key].name
  target_id = "spot-interruption-exporter"
  arn       = aws_sqs_queue.events[each.key].arn

  # There is no input transformer: the exporter reads the event as EventBridge sends it. There is no role either, because a
  # queue of the same account grants access by its policy.

  retry_policy {
    maximum_event_age_in_seconds = module.settings.delivery.maximum_event_age_seconds
    maximum_retry_attempts       = module.settings.delivery.maximum_retry_attempts
  }

  dynamic "dead_letter_config" {
    for_each = module.settings.dead_letter ? [aws_sqs_queue.dead_letter[each.key].arn] : []

    content {
      arn = dead_letter_config.value
    }
  }

  # EventBridge sends nothing to a queue whose policy is missing: the event becomes a dead letter without a retry.
  depends_on = [aws_sqs_queue_policy.events, aws_sqs_queue_policy.dead_letter]

  # A rule cannot be deleted while it has a target.
  lifecycle {
    replace_triggered_by = [aws_cloudwatch_event_rule.events[each.key].id]
  }
}
