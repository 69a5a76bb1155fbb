# infra/tests/run runs these tests with a stand-in for the provider. With the provider: terraform -chdir=infra/aws test

mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = {
      account_id = "123456789012"
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
  regions           = ["eu-central-1"]
  identity          = "irsa"
  oidc_provider_arn = "arn:aws:iam::123456789012:oidc-provider/oidc.eks.eu-central-1.amazonaws.com/id/0A1B"
}

run "one_region" {
  assert {
    condition = (
      aws_sqs_queue.events["eu-central-1"].name == "sie-interruption-queue"
      && aws_sqs_queue.events["eu-central-1"].region == "eu-central-1"
      && aws_sqs_queue.events["eu-central-1"].message_retention_seconds == 1209600
      && aws_sqs_queue.events["eu-central-1"].visibility_timeout_seconds == 120
      && aws_sqs_queue.events["eu-central-1"].receive_wait_time_seconds == 20
      && aws_sqs_queue.events["eu-central-1"].sqs_managed_sse_enabled
      && aws_sqs_queue.events["eu-central-1"].kms_master_key_id == null
    )
    error_message = "The queue keeps messages for 14 days and is encrypted with a key that SQS manages."
  }

  # Messages that the exporter holds back would be moved away and never counted.
  assert {
    condition     = alltrue([for queue in concat(values(aws_sqs_queue.events), values(aws_sqs_queue.dead_letter)) : queue.redrive_policy == null])
    error_message = "No queue has a redrive policy."
  }

  assert {
    condition = (
      aws_sqs_queue_policy.events["eu-central-1"].queue_url == aws_sqs_queue.events["eu-central-1"].url
      && aws_sqs_queue_policy.dead_letter["eu-central-1"].queue_url == aws_sqs_queue.dead_letter["eu-central-1"].url
    )
    error_message = "Both queues have a policy."
  }

  assert {
    condition = (
      aws_cloudwatch_event_target.events["eu-central-1"].rule == aws_cloudwatch_event_rule.events["eu-central-1"].name
      && aws_cloudwatch_event_target.events["eu-central-1"].arn == aws_sqs_queue.events["eu-central-1"].arn
      && aws_cloudwatch_event_target.events["eu-central-1"].dead_letter_config[0].arn == aws_sqs_queue.dead_letter["eu-central-1"].arn
      && aws_cloudwatch_event_target.events["eu-central-1"].retry_policy[0].maximum_event_age_in_seconds == 86400
      && aws_cloudwatch_event_target.events["eu-central-1"].retry_policy[0].maximum_retry_attempts == 185
    )
    error_message = "The rule sends to the queue, and what cannot be sent becomes a dead letter of the target."
  }

  assert {
    condition     = length(aws_cloudwatch_event_target.events["eu-central-1"].input_transformer) == 0 && aws_cloudwatch_event_target.events["eu-central-1"].input == null && aws_cloudwatch_event_target.events["eu-central-1"].role_arn == null
    error_message = "Events are sent unchanged, and without a role."
  }

  assert {
    condition     = jsondecode(aws_cloudwatch_event_rule.events["eu-central-1"].event_pattern) == jsondecode(file("event_pattern.json")) && output.event_pattern == aws_cloudwatch_event_rule.events["eu-central-1"].event_pattern
    error_message = "The rule has the pattern of the file."
  }

  assert {
    condition = (
      aws_iam_role.exporter[0].name == "spot-interruption-exporter"
      && aws_iam_role_policy.exporter[0].role == "spot-interruption-exporter"
      && aws_iam_role_policy.exporter[0].policy == output.exporter_policy
      && jsondecode(aws_iam_role.exporter[0].assume_role_policy).Statement[0].Action == "sts:AssumeRoleWithWebIdentity"
      && output.role_arn == aws_iam_role.exporter[0].arn
    )
    error_message = "The role has the policy and is used by a web identity."
  }

  assert {
    condition     = length(aws_eks_pod_identity_association.exporter) == 0 && length(aws_cloudwatch_metric_alarm.oldest_message) == 0 && length(aws_cloudwatch_metric_alarm.dead_letters) == 0
    error_message = "Nothing else is created."
  }

  assert {
    condition     = alltrue([for output in [output.queue_urls, output.queue_arns, output.dead_letter_queue_urls, output.rule_arns] : join(" ", keys(output)) == "eu-central-1"])
    error_message = "Outputs are by region."
  }
}

run "several_regions" {
  variables {
    regions = ["eu-central-1", "us-east-1"]
    tags    = { team = "platform" }
  }

  assert {
    condition = alltrue([
      for resources in [aws_sqs_queue.events, aws_sqs_queue.dead_letter, aws_sqs_queue_policy.events, aws_sqs_queue_policy.dead_letter, aws_cloudwatch_event_rule.events, aws_cloudwatch_event_target.events] :
      join(" ", keys(resources)) == "eu-central-1 us-east-1" && alltrue([for region, resource in resources : resource.region == region])
    ])
    error_message = "Each region has all resources, in that region."
  }

  assert {
    condition = alltrue([
      for resource in concat(values(aws_sqs_queue.events), values(aws_sqs_queue.dead_letter), values(aws_cloudwatch_event_rule.events), aws_iam_role.exporter) :
      resource.tags["team"] == "platform" && resource.tags["app"] == "spot-interruption-exporter"
    ])
    error_message = "All resources that support tags have them."
  }
}

run "customer_key" {
  variables {
    kms_key_arns              = { eu-central-1 = "arn:aws:kms:eu-central-1:123456789012:key/1" }
    message_retention_seconds = 345600
  }

  assert {
    condition = alltrue([
      for queue in [aws_sqs_queue.events["eu-central-1"], aws_sqs_queue.dead_letter["eu-central-1"]] :
      queue.kms_master_key_id == "arn:aws:kms:eu-central-1:123456789012:key/1" && queue.sqs_managed_sse_enabled == null
    ])
    error_message = "Both queues use the key."
  }

  assert {
    condition     = aws_sqs_queue.events["eu-central-1"].message_retention_seconds == 345600 && aws_sqs_queue.dead_letter["eu-central-1"].message_retention_seconds == 1209600
    error_message = "Dead letters are always kept for 14 days."
  }
}

run "pod_identity" {
  variables {
    identity          = "pod_identity"
    oidc_provider_arn = null
    cluster_name      = "platform"
    cluster_region    = "eu-west-1"

    permissions_boundary_arn = "arn:aws:iam::123456789012:policy/boundary"
  }

  assert {
    condition = (
      aws_eks_pod_identity_association.exporter[0].cluster_name == "platform"
      && aws_eks_pod_identity_association.exporter[0].region == "eu-west-1"
      && aws_eks_pod_identity_association.exporter[0].namespace == "spot-interruption-exporter"
      && aws_eks_pod_identity_association.exporter[0].service_account == "spot-interruption-exporter-sa"
      && aws_eks_pod_identity_association.exporter[0].role_arn == aws_iam_role.exporter[0].arn
    )
    error_message = "The service account is associated with the role."
  }

  assert {
    condition     = jsondecode(aws_iam_role.exporter[0].assume_role_policy).Statement[0].Principal.Service == "pods.eks.amazonaws.com" && aws_iam_role.exporter[0].permissions_boundary == "arn:aws:iam::123456789012:policy/boundary"
    error_message = "EKS Pod Identity may use the role, which has the boundary."
  }
}

run "no_identity" {
  variables {
    identity          = "none"
    oidc_provider_arn = null
  }

  assert {
    condition     = length(aws_iam_role.exporter) == 0 && length(aws_iam_role_policy.exporter) == 0 && length(aws_eks_pod_identity_association.exporter) == 0 && output.role_arn == null
    error_message = "No role is created."
  }

  assert {
    condition     = strcontains(output.exporter_policy, "ec2:DescribeInstances")
    error_message = "The permissions are an output."
  }
}

run "without_dead_letters" {
  variables {
    dead_letter = false
    alarms      = true
  }

  assert {
    condition = (
      length(aws_sqs_queue.dead_letter) == 0 && length(aws_sqs_queue_policy.dead_letter) == 0 && length(aws_cloudwatch_metric_alarm.dead_letters) == 0
      && length(aws_cloudwatch_event_target.events["eu-central-1"].dead_letter_config) == 0 && output.dead_letter_queue_urls == {}
    )
    error_message = "No dead-letter resources are created."
  }
}

run "alarms" {
  variables {
    regions                   = ["eu-central-1", "us-east-1"]
    alarms                    = true
    alarm_message_age_seconds = 900
    alarm_actions             = { eu-central-1 = ["arn:aws:sns:eu-central-1:123456789012:alerts"] }
  }

  assert {
    condition = alltrue([
      for region, alarm in aws_cloudwatch_metric_alarm.oldest_message :
      alarm.region == region && alarm.dimensions["QueueName"] == aws_sqs_queue.events[region].name && alarm.threshold == 900
      && alarm.metric_name == "ApproximateAgeOfOldestMessage" && alarm.comparison_operator == "GreaterThanThreshold"
    ])
    error_message = "Each queue has an alarm with the configured age."
  }

  assert {
    condition = alltrue([
      for region, alarm in aws_cloudwatch_metric_alarm.dead_letters :
      alarm.region == region && alarm.dimensions["QueueName"] == aws_sqs_queue.dead_letter[region].name && alarm.threshold == 0
    ])
    error_message = "Each dead-letter queue has an alarm."
  }

  assert {
    condition = (
      join(" ", aws_cloudwatch_metric_alarm.oldest_message["eu-central-1"].alarm_actions) == "arn:aws:sns:eu-central-1:123456789012:alerts"
      && length(aws_cloudwatch_metric_alarm.oldest_message["us-east-1"].alarm_actions) == 0
    )
    error_message = "Alarms notify only topics of their region."
  }
}
