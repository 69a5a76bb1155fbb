# terraform -chdir=infra/aws/modules/settings test

variables {
  account_id = "123456789012"
  partition  = "aws"
  dns_suffix = "amazonaws.com"

  regions = ["eu-central-1"]
  prefix  = "sie"
  tags    = {}

  member_accounts = []

  message_retention_seconds  = 1209600
  visibility_timeout_seconds = 120
  maximum_event_age_seconds  = 86400
  maximum_retry_attempts     = 185
  dead_letter                = true
  kms_key_arns               = {}

  identity                             = "irsa"
  role_name                            = null
  permissions_boundary_arn             = null
  oidc_provider_arn                    = "arn:aws:iam::123456789012:oidc-provider/oidc.eks.eu-central-1.amazonaws.com/id/0A1B"
  cluster_name                         = null
  cluster_region                       = null
  kubernetes_service_account_namespace = "spot-interruption-exporter"
  kubernetes_service_account_name      = "spot-interruption-exporter-sa"

  alarm_message_age_seconds = 600
  alarm_actions             = {}
}

run "published_names" {
  command = plan

  assert {
    condition     = output.queue_name == "sie-interruption-queue" && output.rule_name == "sie-interruption-rule" && output.dead_letter_name == "sie-dead-letter-queue"
    error_message = "Queue, rule and dead-letter queue have these names."
  }

  assert {
    condition = (
      output.regions["eu-central-1"].queue_url == "https://sqs.eu-central-1.amazonaws.com/123456789012/sie-interruption-queue"
      && output.regions["eu-central-1"].queue_arn == "arn:aws:sqs:eu-central-1:123456789012:sie-interruption-queue"
      && output.regions["eu-central-1"].rule_arn == "arn:aws:events:eu-central-1:123456789012:rule/sie-interruption-rule"
    )
    error_message = "The queue has this URL, and queue and rule have these ARNs."
  }

  assert {
    condition     = output.role_name == "spot-interruption-exporter" && output.role_arn == "arn:aws:iam::123456789012:role/spot-interruption-exporter"
    error_message = "The role has this name."
  }

  assert {
    condition     = output.tags == { app = "spot-interruption-exporter" }
    error_message = "Tags are set."
  }
}

run "another_prefix_separates_all_resources" {
  command = plan

  variables {
    prefix          = "sie-trial"
    member_accounts = ["210987654321"]
    tags            = { team = "platform", app = "sie" }
  }

  assert {
    condition     = alltrue([for name in [output.queue_name, output.dead_letter_name, output.rule_name, output.role_name] : startswith(name, "sie-trial-")])
    error_message = "All names have the prefix."
  }

  assert {
    condition     = join(" ", output.member_role_arns) == "arn:aws:iam::210987654321:role/sie-trial-reader"
    error_message = "Names in member accounts have the prefix."
  }

  assert {
    condition     = output.tags == { team = "platform", app = "sie" }
    error_message = "The caller's tags override the default tags."
  }
}

run "longest_prefix" {
  command = plan

  variables {
    prefix = "a2345678901234567890"
  }

  assert {
    condition     = length(output.queue_name) <= 80 && length(output.rule_name) <= 64 && length(output.role_name) <= 64
    error_message = "Every derived name is within its length limit."
  }
}

run "configuration_of_one_region" {
  command = plan

  assert {
    condition     = yamldecode(output.exporter_config) == { aws = { queue_urls = ["https://sqs.eu-central-1.amazonaws.com/123456789012/sie-interruption-queue"] } }
    error_message = "The exporter needs only the URL of the queue."
  }

  assert {
    condition = (
      yamldecode(output.helm_values).config == yamldecode(output.exporter_config)
      && yamldecode(output.helm_values).serviceAccount.name == "spot-interruption-exporter-sa"
      && yamldecode(output.helm_values).serviceAccount.annotations == { "eks.amazonaws.com/role-arn" = "arn:aws:iam::123456789012:role/spot-interruption-exporter" }
      && yamldecode(output.helm_values).namespaceOverride == "spot-interruption-exporter"
    )
    error_message = "The service account is annotated with the role, and is in the role's namespace."
  }
}

run "several_regions_and_accounts" {
  command = plan

  variables {
    regions         = ["us-east-1", "eu-central-1"]
    member_accounts = ["321098765432", "210987654321"]
  }

  assert {
    condition = yamldecode(output.exporter_config) == { aws = {
      queue_urls = [
        "https://sqs.eu-central-1.amazonaws.com/123456789012/sie-interruption-queue",
        "https://sqs.us-east-1.amazonaws.com/123456789012/sie-interruption-queue",
      ]
      role_arns = ["arn:aws:iam::210987654321:role/sie-reader", "arn:aws:iam::321098765432:role/sie-reader"]
    } }
    error_message = "The exporter receives from a queue in each region and assumes a role in each account."
  }
}

run "pod_identity" {
  command = plan

  variables {
    identity          = "pod_identity"
    oidc_provider_arn = null
    cluster_name      = "platform"
  }

  assert {
    condition     = !can(yamldecode(output.helm_values).serviceAccount.annotations)
    error_message = "EKS Pod Identity needs no annotation."
  }

  assert {
    condition     = output.pod_identity.cluster_name == "platform" && output.pod_identity.namespace == "spot-interruption-exporter" && output.pod_identity.service_account == "spot-interruption-exporter-sa"
    error_message = "The association is that of the service account."
  }
}

run "no_identity" {
  command = plan

  variables {
    identity          = "none"
    oidc_provider_arn = null
  }

  assert {
    condition     = output.role_arn == null && output.trust_policy == null && !can(yamldecode(output.helm_values).serviceAccount.annotations)
    error_message = "There is no role."
  }
}

run "china" {
  command = plan

  variables {
    partition  = "aws-cn"
    dns_suffix = "amazonaws.com.cn"
    regions    = ["cn-north-1"]
  }

  assert {
    condition     = output.regions["cn-north-1"].queue_url == "https://sqs.cn-north-1.amazonaws.com.cn/123456789012/sie-interruption-queue" && startswith(output.role_arn, "arn:aws-cn:iam::")
    error_message = "Names are those of the partition."
  }
}
