# Rejected inputs, each with the variable or output that rejects it.

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

run "no_region" {
  command = plan

  variables {
    regions = []
  }

  expect_failures = [var.regions]
}

run "availability_zone" {
  command = plan

  variables {
    regions = ["eu-central-1b"]
  }

  expect_failures = [var.regions]
}

run "region_by_its_name" {
  command = plan

  variables {
    regions = ["Frankfurt"]
  }

  expect_failures = [var.regions]
}

run "prefix_too_long" {
  command = plan

  variables {
    prefix = "a23456789012345678901"
  }

  expect_failures = [var.prefix]
}

run "prefix_ends_with_hyphen" {
  command = plan

  variables {
    prefix = "sie-"
  }

  expect_failures = [var.prefix]
}

run "prefix_upper_case" {
  command = plan

  variables {
    prefix = "SIE"
  }

  expect_failures = [var.prefix]
}

run "reserved_tag" {
  command = plan

  variables {
    tags = { "AWS:team" = "platform" }
  }

  expect_failures = [var.tags]
}

run "long_tag" {
  command = plan

  variables {
    tags = { team = join("", [for i in range(257) : "a"]) }
  }

  expect_failures = [var.tags]
}

run "too_many_tags" {
  command = plan

  variables {
    tags = { for i in range(50) : "t${i}" => "v" }
  }

  expect_failures = [var.tags]
}

run "account_with_a_hyphen" {
  command = plan

  variables {
    member_accounts = ["2109-8765-4321"]
  }

  expect_failures = [var.member_accounts]
}

run "account_by_its_arn" {
  command = plan

  variables {
    member_accounts = ["arn:aws:iam::210987654321:root"]
  }

  expect_failures = [var.member_accounts]
}

run "retention_too_short" {
  command = plan

  variables {
    message_retention_seconds = 59
  }

  expect_failures = [var.message_retention_seconds]
}

run "retention_too_long" {
  command = plan

  variables {
    message_retention_seconds = 1209601
  }

  expect_failures = [var.message_retention_seconds]
}

run "retention_in_fractions" {
  command = plan

  variables {
    message_retention_seconds = 60.5
  }

  expect_failures = [var.message_retention_seconds]
}

run "visibility_too_short" {
  command = plan

  variables {
    visibility_timeout_seconds = 29
  }

  expect_failures = [var.visibility_timeout_seconds]
}

run "visibility_too_long" {
  command = plan

  variables {
    visibility_timeout_seconds = 43201
  }

  expect_failures = [var.visibility_timeout_seconds]
}

run "event_age_too_short" {
  command = plan

  variables {
    maximum_event_age_seconds = 59
  }

  expect_failures = [var.maximum_event_age_seconds]
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

run "negative_retries" {
  command = plan

  variables {
    maximum_retry_attempts = -1
  }

  expect_failures = [var.maximum_retry_attempts]
}

run "alias_of_a_key" {
  command = plan

  variables {
    kms_key_arns = { eu-central-1 = "arn:aws:kms:eu-central-1:123456789012:alias/sqs" }
  }

  expect_failures = [var.kms_key_arns]
}

run "id_of_a_key" {
  command = plan

  variables {
    kms_key_arns = { eu-central-1 = "1234abcd-12ab-34cd-56ef-1234567890ab" }
  }

  expect_failures = [var.kms_key_arns]
}

run "region_without_a_key" {
  command = plan

  variables {
    regions      = ["eu-central-1", "eu-west-1"]
    kms_key_arns = { eu-central-1 = "arn:aws:kms:eu-central-1:123456789012:key/1" }
  }

  expect_failures = [output.regions]
}

run "key_of_another_region" {
  command = plan

  variables {
    kms_key_arns = { eu-central-1 = "arn:aws:kms:eu-central-1:123456789012:key/1", eu-west-1 = "arn:aws:kms:eu-west-1:123456789012:key/1" }
  }

  expect_failures = [output.regions]
}

run "unknown_identity" {
  command = plan

  variables {
    identity = "access_key"
  }

  expect_failures = [var.identity]
}

run "irsa_without_a_provider" {
  command = plan

  variables {
    oidc_provider_arn = null
  }

  expect_failures = [output.identity]
}

run "pod_identity_without_a_cluster" {
  command = plan

  variables {
    identity = "pod_identity"
  }

  expect_failures = [output.identity]
}

run "role_with_a_path" {
  command = plan

  variables {
    role_name = "spot/exporter"
  }

  expect_failures = [var.role_name]
}

run "boundary_by_its_name" {
  command = plan

  variables {
    permissions_boundary_arn = "developers"
  }

  expect_failures = [var.permissions_boundary_arn]
}

run "url_of_the_issuer" {
  command = plan

  variables {
    oidc_provider_arn = "https://oidc.eks.eu-central-1.amazonaws.com/id/0A1B"
  }

  expect_failures = [var.oidc_provider_arn]
}

run "arn_of_the_cluster" {
  command = plan

  variables {
    cluster_name = "arn:aws:eks:eu-central-1:123456789012:cluster/platform"
  }

  expect_failures = [var.cluster_name]
}

run "zone_of_the_cluster" {
  command = plan

  variables {
    cluster_region = "eu-central-1b"
  }

  expect_failures = [var.cluster_region]
}

run "invalid_namespace" {
  command = plan

  variables {
    kubernetes_service_account_namespace = "a.b"
  }

  expect_failures = [var.kubernetes_service_account_namespace]
}

run "invalid_service_account" {
  command = plan

  variables {
    kubernetes_service_account_name = "SIE"
  }

  expect_failures = [var.kubernetes_service_account_name]
}

run "alarm_age_too_short" {
  command = plan

  variables {
    alarm_message_age_seconds = 59
  }

  expect_failures = [var.alarm_message_age_seconds]
}

run "alarm_age_too_long" {
  command = plan

  variables {
    alarm_message_age_seconds = 86401
  }

  expect_failures = [var.alarm_message_age_seconds]
}

run "alarm_action_by_its_name" {
  command = plan

  variables {
    alarm_actions = { eu-central-1 = ["alerts"] }
  }

  expect_failures = [var.alarm_actions]
}

run "alarm_action_of_another_region" {
  command = plan

  variables {
    alarm_actions = { us-east-1 = ["arn:aws:sns:us-east-1:123456789012:alerts"] }
  }

  expect_failures = [output.alarms]
}
