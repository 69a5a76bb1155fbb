# A member account: its rules send events to the queues of the central account, and the exporter may list its instances.
#
# EventBridge sends to a queue of another account directly, in the same region, with a role of the rule's account
# (docs.aws.amazon.com/eventbridge/latest/userguide/eb-service-cross-account.html, since 2025). No event bus is needed in
# between, so the central account's bus stays closed.

data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

locals {
  account_id = data.aws_caller_identity.current.account_id
  partition  = data.aws_partition.current.partition

  # infra/aws/modules/settings uses the same names.
  rule_name        = "${var.prefix}-interruption-rule"
  dead_letter_name = "${var.prefix}-dead-letter-queue"
  reader_name      = "${var.prefix}-reader"
  forwarder_name   = "${var.prefix}-forwarder"

  exporter_account_id = split(":", var.exporter_role_arn)[4]
  dead_letter_regions = var.dead_letter ? var.queue_arns : {}

  tags = merge({ app = "spot-interruption-exporter" }, var.tags)
}

resource "aws_cloudwatch_event_rule" "events" {
  for_each = var.queue_arns

  region        = each.key
  name          = local.rule_name
  description   = "Interruptions and launches of spot instances, for the spot-interruption-exporter in account ${local.exporter_account_id}."
  event_pattern = jsonencode(jsondecode(file("${path.module}/../../event_pattern.json")))
  tags          = local.tags
}

resource "aws_cloudwatch_event_target" "events" {
  for_each = var.queue_arns

  region    = each.key
  rule      = aws_cloudwatch_event_rule.events[each.key].name
  target_id = "spot-interruption-exporter"
  arn       = each.value
  role_arn  = aws_iam_role.forwarder.arn

  retry_policy {
    maximum_event_age_in_seconds = var.maximum_event_age_seconds
    maximum_retry_attempts       = var.maximum_retry_attempts
  }

  dynamic "dead_letter_config" {
    for_each = var.dead_letter ? [aws_sqs_queue.dead_letter[each.key].arn] : []

    content {
      arn = dead_letter_config.value
    }
  }

  # Without the permission, an event becomes a dead letter without a retry.
  depends_on = [aws_iam_role_policy.forwarder, aws_sqs_queue_policy.dead_letter]

  # A rule cannot be deleted while it has a target.
  lifecycle {
    replace_triggered_by = [aws_cloudwatch_event_rule.events[each.key].id]
  }
}

# EventBridge sends with this role. Only rules of this account can use it, because a role cannot be passed to a service by
# another account.

resource "aws_iam_role" "forwarder" {
  name                 = local.forwarder_name
  description          = "EventBridge sends spot instance events to the queues of the spot interruption exporter."
  permissions_boundary = var.permissions_boundary_arn
  tags                 = local.tags

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "events.amazonaws.com" }
      Action    = "sts:AssumeRole"
    }]
  })
}

resource "aws_iam_role_policy" "forwarder" {
  name = "spot-interruption-exporter"
  role = aws_iam_role.forwarder.name

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [{
        Sid      = "SendToQueues"
        Effect   = "Allow"
        Action   = ["sqs:SendMessage"]
        Resource = [for region in sort(keys(var.queue_arns)) : var.queue_arns[region]]
      }],
      length(var.kms_key_arns) == 0 ? [] : [{
        Sid      = "EncryptMessages"
        Effect   = "Allow"
        Action   = ["kms:GenerateDataKey", "kms:Decrypt"]
        Resource = [for region in sort(keys(var.kms_key_arns)) : var.kms_key_arns[region]]
      }],
    )
  })

  lifecycle {
    replace_triggered_by = [aws_iam_role.forwarder.id]
  }
}

# The exporter assumes this role.

resource "aws_iam_role" "reader" {
  name                 = local.reader_name
  description          = "The spot interruption exporter of account ${local.exporter_account_id} lists EC2 instances."
  permissions_boundary = var.permissions_boundary_arn
  tags                 = local.tags

  # The exporter's role is named in the condition. As the principal it would be stored by its internal id, and a role of the
  # same name that is created again would be rejected. EKS Pod Identity passes on session tags, which require sts:TagSession.
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { AWS = "arn:${local.partition}:iam::${local.exporter_account_id}:root" }
      Action    = ["sts:AssumeRole", "sts:TagSession"]
      Condition = { ArnEquals = { "aws:PrincipalArn" = var.exporter_role_arn } }
    }]
  })
}

resource "aws_iam_role_policy" "reader" {
  name = "spot-interruption-exporter"
  role = aws_iam_role.reader.name

  # EC2 does not support a restriction to certain instances.
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid      = "ListInstances"
      Effect   = "Allow"
      Action   = "ec2:DescribeInstances"
      Resource = "*"
    }]
  })

  lifecycle {
    replace_triggered_by = [aws_iam_role.reader.id]
  }
}

# The dead-letter queue is in the rule's account and region, so EventBridge's access to it does not depend on the central account.

resource "aws_sqs_queue" "dead_letter" {
  for_each = local.dead_letter_regions

  region                    = each.key
  name                      = local.dead_letter_name
  message_retention_seconds = 1209600
  sqs_managed_sse_enabled   = true
  tags                      = local.tags
}

resource "aws_sqs_queue_policy" "dead_letter" {
  for_each = local.dead_letter_regions

  region    = each.key
  queue_url = aws_sqs_queue.dead_letter[each.key].url

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "SendByRule"
        Effect    = "Allow"
        Principal = { Service = "events.amazonaws.com" }
        Action    = "sqs:SendMessage"
        Resource  = "arn:${local.partition}:sqs:${each.key}:${local.account_id}:${local.dead_letter_name}"
        Condition = { ArnEquals = { "aws:SourceArn" = "arn:${local.partition}:events:${each.key}:${local.account_id}:rule/${local.rule_name}" } }
      },
      {
        Sid       = "DenyWithoutTls"
        Effect    = "Deny"
        Principal = "*"
        Action    = "sqs:*"
        Resource  = "arn:${local.partition}:sqs:${each.key}:${local.account_id}:${local.dead_letter_name}"
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      },
    ]
  })
}
