mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = {
      account_id = "210987654321"
    }
  }

  mock_data "aws_partition" {
    defaults = {
      partition  = "aws"
      dns_suffix = "amazonaws.com"
    }
  }
}

variables {
  queue_arns = {
    eu-central-1 = "arn:aws:sqs:eu-central-1:123456789012:sie-interruption-queue"
    us-east-1    = "arn:aws:sqs:us-east-1:123456789012:sie-interruption-queue"
  }
  exporter_role_arn = "arn:aws:iam::123456789012:role/spot-interruption-exporter"
}

run "defaults" {
  assert {
    condition = alltrue([
      for region, target in aws_cloudwatch_event_target.events :
      target.region == region
      && target.rule == "sie-interruption-rule"
      && target.arn == "arn:aws:sqs:${region}:123456789012:sie-interruption-queue"
      && target.role_arn == aws_iam_role.forwarder.arn
      && target.dead_letter_config[0].arn == aws_sqs_queue.dead_letter[region].arn
      && target.input == null && length(target.input_transformer) == 0
    ])
    error_message = "The rule of each region sends to the central queue of the same region, with the role."
  }

  assert {
    condition     = alltrue([for region, rule in aws_cloudwatch_event_rule.events : rule.region == region && jsondecode(rule.event_pattern) == jsondecode(file("../../event_pattern.json"))])
    error_message = "The pattern is that of the central account."
  }

  assert {
    condition = (
      aws_iam_role.forwarder.name == "sie-forwarder"
      && jsondecode(aws_iam_role.forwarder.assume_role_policy).Statement[0].Principal == { Service = "events.amazonaws.com" }
      && jsondecode(aws_iam_role_policy.forwarder.policy).Statement == [{
        Sid      = "SendToQueues"
        Effect   = "Allow"
        Action   = ["sqs:SendMessage"]
        Resource = [for arn in values(var.queue_arns) : arn]
      }]
    )
    error_message = "The forwarder may only send to the queues."
  }

  assert {
    condition = (
      aws_iam_role.reader.name == "sie-reader"
      && jsondecode(aws_iam_role.reader.assume_role_policy).Statement[0].Principal == { AWS = "arn:aws:iam::123456789012:root" }
      && jsondecode(aws_iam_role.reader.assume_role_policy).Statement[0].Condition == { ArnEquals = { "aws:PrincipalArn" = "arn:aws:iam::123456789012:role/spot-interruption-exporter" } }
      && jsondecode(aws_iam_role_policy.reader.policy).Statement == [{
        Sid      = "ListInstances"
        Effect   = "Allow"
        Action   = "ec2:DescribeInstances"
        Resource = "*"
      }]
    )
    error_message = "Only the exporter may assume the reader, which may only list instances."
  }

  assert {
    condition = alltrue([
      for region, policy in aws_sqs_queue_policy.dead_letter :
      jsondecode(policy.policy).Statement[0].Condition.ArnEquals["aws:SourceArn"] == "arn:aws:events:${region}:210987654321:rule/sie-interruption-rule"
      && jsondecode(policy.policy).Statement[1].Effect == "Deny"
    ])
    error_message = "Only the rule may send to the dead-letter queue."
  }
}

run "other_settings" {
  variables {
    prefix                   = "sie-trial"
    dead_letter              = false
    kms_key_arns             = { eu-central-1 = "arn:aws:kms:eu-central-1:123456789012:key/1" }
    permissions_boundary_arn = "arn:aws:iam::210987654321:policy/boundary"
    tags                     = { team = "platform" }
  }

  assert {
    condition     = alltrue([for name in [aws_iam_role.reader.name, aws_iam_role.forwarder.name, aws_cloudwatch_event_rule.events["us-east-1"].name] : startswith(name, "sie-trial-")])
    error_message = "All names have the prefix."
  }

  assert {
    condition     = length(aws_sqs_queue.dead_letter) == 0 && alltrue([for target in aws_cloudwatch_event_target.events : length(target.dead_letter_config) == 0])
    error_message = "There are no dead letters."
  }

  assert {
    condition     = jsondecode(aws_iam_role_policy.forwarder.policy).Statement[1].Resource == ["arn:aws:kms:eu-central-1:123456789012:key/1"]
    error_message = "The forwarder may use the key."
  }

  assert {
    condition     = alltrue([for role in [aws_iam_role.reader, aws_iam_role.forwarder] : role.permissions_boundary == "arn:aws:iam::210987654321:policy/boundary" && role.tags["team"] == "platform" && role.tags["app"] == "spot-interruption-exporter"])
    error_message = "Both roles have the boundary and the tags."
  }
}

run "queue_of_another_region" {
  command = plan

  variables {
    queue_arns = { eu-west-1 = "arn:aws:sqs:eu-central-1:123456789012:sie-interruption-queue" }
  }

  expect_failures = [var.queue_arns]
}

run "url_of_a_queue" {
  command = plan

  variables {
    queue_arns = { eu-central-1 = "https://sqs.eu-central-1.amazonaws.com/123456789012/sie-interruption-queue" }
  }

  expect_failures = [var.queue_arns]
}

run "no_queue" {
  command = plan

  variables {
    queue_arns = {}
  }

  expect_failures = [var.queue_arns]
}

run "exporter_role_by_its_name" {
  command = plan

  variables {
    exporter_role_arn = "spot-interruption-exporter"
  }

  expect_failures = [var.exporter_role_arn]
}

run "invalid_prefix" {
  command = plan

  variables {
    prefix = "SIE"
  }

  expect_failures = [var.prefix]
}

run "event_age_too_long" {
  command = plan

  variables {
    maximum_event_age_seconds = 86401
  }

  expect_failures = [var.maximum_event_age_seconds]
}

run "too_many_retries" {
  command = plan

  variables {
    maximum_retry_attempts = 186
  }

  expect_failures = [var.maximum_retry_attempts]
}
