# The dead-letter queue of the rule's target, for events that EventBridge could not send to the queue. The messages have the
# attributes RULE_ARN, TARGET_ARN, ERROR_CODE and ERROR_MESSAGE.

resource "aws_sqs_queue" "dead_letter" {
  for_each = module.settings.dead_letter ? module.settings.regions : {}

  region = each.key
  name   = module.settings.dead_letter_name
  tags   = module.settings.tags

  # Independent of message_retention_seconds: there is time to find the cause.
  message_retention_seconds = 1209600

  # The provider accepts only one of the two.
  sqs_managed_sse_enabled = each.value.customer_key ? null : true
  kms_master_key_id       = each.value.kms_key_arn
}

resource "aws_sqs_queue_policy" "dead_letter" {
  for_each = module.settings.dead_letter ? module.settings.regions : {}

  region    = each.key
  queue_url = aws_sqs_queue.dead_letter[each.key].url
  policy    = module.settings.dead_letter_policies[each.key]
}
