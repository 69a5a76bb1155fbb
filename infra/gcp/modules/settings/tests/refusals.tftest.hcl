# Rejected inputs, each with the variable that rejects it.

variables {
  project = "acme-prod"
  prefix  = "sie"
  labels  = {}
  pubsub  = true

  monitored_projects         = []
  folder_id                  = null
  organization_id            = null
  discover                   = true
  discover_query             = null
  project_name               = null
  extra_interruption_methods = []
  bulk_insert_name_pattern   = null

  message_retention_duration = "604800s"
  ack_deadline_seconds       = 60
  retry_minimum_backoff      = "10s"
  retry_maximum_backoff      = "300s"
  max_delivery_attempts      = 20
  message_storage_regions    = []
  kms_key_name               = null

  identity                             = "service_account"
  service_account_id                   = null
  kubernetes_service_account_namespace = "spot-interruption-exporter"
  kubernetes_service_account_name      = "spot-interruption-exporter-sa"
  workload_pool                        = null
  compute_role                         = null
  custom_role_organization_id          = null
  asset_role                           = "roles/cloudasset.viewer"
  project_numbers                      = {}

  alert_unacked_age           = "600s"
  alert_notification_channels = []
}

run "project_number" {
  command = plan

  variables {
    project = "123456789012"
  }

  expect_failures = [var.project]
}

run "project_display_name" {
  command = plan

  variables {
    project = "Acme Production"
  }

  expect_failures = [var.project]
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

run "prefix_goog" {
  command = plan

  variables {
    prefix = "google"
  }

  expect_failures = [var.prefix]
}

run "label_key" {
  command = plan

  variables {
    labels = { Team = "platform" }
  }

  expect_failures = [var.labels]
}

run "label_value" {
  command = plan

  variables {
    labels = { team = "Platform Team" }
  }

  expect_failures = [var.labels]
}

run "label_value_too_long" {
  command = plan

  variables {
    labels = { team = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" }
  }

  expect_failures = [var.labels]
}

run "monitored_project_number" {
  command = plan

  variables {
    monitored_projects = ["123456789012"]
  }

  expect_failures = [var.monitored_projects]
}

run "folder_with_kind" {
  command = plan

  variables {
    folder_id = "folders/123"
  }

  expect_failures = [var.folder_id]
}

run "organization_with_kind" {
  command = plan

  variables {
    organization_id = "organizations/123"
  }

  expect_failures = [var.organization_id]
}

run "method_that_ends_its_string" {
  command = plan

  variables {
    extra_interruption_methods = ["compute.instances.preempted\") OR (resource.type=\"gce_disk"]
  }

  expect_failures = [var.extra_interruption_methods]
}

run "method_without_service" {
  command = plan

  variables {
    extra_interruption_methods = ["preempted"]
  }

  expect_failures = [var.extra_interruption_methods]
}

run "name_pattern_not_a_regular_expression" {
  command = plan

  variables {
    bulk_insert_name_pattern = "(gke"
  }

  expect_failures = [var.bulk_insert_name_pattern]
}

run "name_pattern_empty" {
  command = plan

  variables {
    bulk_insert_name_pattern = ""
  }

  expect_failures = [var.bulk_insert_name_pattern]
}

run "name_pattern_that_ends_its_string" {
  command = plan

  variables {
    bulk_insert_name_pattern = "gke\" OR \"a"
  }

  expect_failures = [var.bulk_insert_name_pattern]
}

run "retention_too_short" {
  command = plan

  variables {
    message_retention_duration = "599s"
  }

  expect_failures = [var.message_retention_duration]
}

run "retention_too_long" {
  command = plan

  variables {
    message_retention_duration = "2678401s"
  }

  expect_failures = [var.message_retention_duration]
}

run "retention_without_unit" {
  command = plan

  variables {
    message_retention_duration = "604800"
  }

  expect_failures = [var.message_retention_duration]
}

run "retention_other_unit" {
  command = plan

  variables {
    message_retention_duration = "7d"
  }

  expect_failures = [var.message_retention_duration]
}

run "ack_deadline_too_short" {
  command = plan

  variables {
    ack_deadline_seconds = 9
  }

  expect_failures = [var.ack_deadline_seconds]
}

run "ack_deadline_too_long" {
  command = plan

  variables {
    ack_deadline_seconds = 601
  }

  expect_failures = [var.ack_deadline_seconds]
}

run "ack_deadline_fraction" {
  command = plan

  variables {
    ack_deadline_seconds = 60.5
  }

  expect_failures = [var.ack_deadline_seconds]
}

run "minimum_backoff_too_long" {
  command = plan

  variables {
    retry_minimum_backoff = "601s"
  }

  expect_failures = [var.retry_minimum_backoff]
}

run "maximum_backoff_other_unit" {
  command = plan

  variables {
    retry_maximum_backoff = "5m"
  }

  expect_failures = [var.retry_maximum_backoff]
}

run "delivery_attempts_too_few" {
  command = plan

  variables {
    max_delivery_attempts = 4
  }

  expect_failures = [var.max_delivery_attempts]
}

run "delivery_attempts_too_many" {
  command = plan

  variables {
    max_delivery_attempts = 101
  }

  expect_failures = [var.max_delivery_attempts]
}

run "storage_zone" {
  command = plan

  variables {
    message_storage_regions = ["europe-west1-b"]
  }

  expect_failures = [var.message_storage_regions]
}

run "storage_multi_region" {
  command = plan

  variables {
    message_storage_regions = ["eu"]
  }

  expect_failures = [var.message_storage_regions]
}

run "key_version" {
  command = plan

  variables {
    kms_key_name = "projects/p/locations/l/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1"
  }

  expect_failures = [var.kms_key_name]
}

run "identity_unknown" {
  command = plan

  variables {
    identity = "key_file"
  }

  expect_failures = [var.identity]
}

run "service_account_too_short" {
  command = plan

  variables {
    service_account_id = "sie"
  }

  expect_failures = [var.service_account_id]
}

run "namespace_with_dot" {
  command = plan

  variables {
    kubernetes_service_account_namespace = "a.b"
  }

  expect_failures = [var.kubernetes_service_account_namespace]
}

run "kubernetes_name_upper_case" {
  command = plan

  variables {
    kubernetes_service_account_name = "SIE"
  }

  expect_failures = [var.kubernetes_service_account_name]
}

run "pool_without_suffix" {
  command = plan

  variables {
    workload_pool = "acme-prod"
  }

  expect_failures = [var.workload_pool]
}

run "role_without_kind" {
  command = plan

  variables {
    compute_role = "compute.viewer"
  }

  expect_failures = [var.compute_role]
}

run "project_number_not_a_number" {
  command = plan

  variables {
    project_numbers = { acme-prod = "acme-prod" }
  }

  expect_failures = [var.project_numbers]
}

run "discover_query_empty" {
  command = plan

  variables {
    discover_query = " "
  }

  expect_failures = [var.discover_query]
}

run "discover_query_without_a_folder" {
  command = plan

  variables {
    discover_query = "labels.env:prod"
  }

  expect_failures = [output.discover]
}

run "discover_query_without_discovery" {
  command = plan

  variables {
    folder_id      = "1"
    discover       = false
    discover_query = "labels.env:prod"
  }

  expect_failures = [output.discover]
}

run "project_name_as_number" {
  command = plan

  variables {
    project_name = "123456789012"
  }

  expect_failures = [var.project_name]
}

run "custom_role_organization_with_kind" {
  command = plan

  variables {
    folder_id                   = "1"
    custom_role_organization_id = "organizations/2"
  }

  expect_failures = [var.custom_role_organization_id]
}

run "custom_role_organization_without_a_folder" {
  command = plan

  variables {
    organization_id             = "1"
    custom_role_organization_id = "2"
  }

  expect_failures = [output.custom_role_organization_id]
}

run "asset_role_of_a_project" {
  command = plan

  variables {
    asset_role = "projects/acme-prod/roles/finder"
  }

  expect_failures = [var.asset_role]
}

run "compute_role_of_a_project_at_a_folder" {
  command = plan

  variables {
    folder_id    = "1"
    compute_role = "projects/acme-prod/roles/reader"
  }

  expect_failures = [output.compute_role]
}

run "compute_role_of_a_project_without_discovery" {
  command = plan

  variables {
    folder_id    = "1"
    discover     = false
    compute_role = "projects/acme-prod/roles/reader"
  }

  assert {
    condition     = output.compute_role == "projects/acme-prod/roles/reader"
    error_message = "Accepted: it is granted in projects only."
  }
}

run "folder_and_organization" {
  command = plan

  variables {
    folder_id       = "1"
    organization_id = "2"
  }

  expect_failures = [output.sink_parent]
}

run "minimum_backoff_above_maximum" {
  command = plan

  variables {
    retry_minimum_backoff = "300s"
    retry_maximum_backoff = "10s"
  }

  expect_failures = [output.delivery]
}

run "filter_too_long" {
  command = plan

  variables {
    extra_interruption_methods = [for i in range(600) : "compute.instances.someQuiteLongMethodName${i}"]
  }

  expect_failures = [output.events]
}

run "alert_age_too_short" {
  command = plan

  variables {
    alert_unacked_age = "59s"
  }

  expect_failures = [var.alert_unacked_age]
}

run "alert_age_in_minutes" {
  command = plan

  variables {
    alert_unacked_age = "10m"
  }

  expect_failures = [var.alert_unacked_age]
}

run "notification_channel_by_number" {
  command = plan

  variables {
    alert_notification_channels = ["1234"]
  }

  expect_failures = [var.alert_notification_channels]
}

run "unusual_but_valid" {
  command = plan

  variables {
    prefix                     = "ab"
    labels                     = { "a-b_c" = "" }
    bulk_insert_name_pattern   = "(gke|gk3)-.*"
    message_retention_duration = "600s"
    ack_deadline_seconds       = 600
    retry_minimum_backoff      = "0s"
    retry_maximum_backoff      = "0s"
    max_delivery_attempts      = 100
    message_storage_regions    = ["northamerica-northeast1", "me-central2"]
    kms_key_name               = "projects/p/locations/europe-west1/keyRings/r/cryptoKeys/k"
    compute_role               = "organizations/123/roles/instance_reader"
    extra_interruption_methods = ["compute.instances.hostError"]
  }

  assert {
    condition     = output.kms_key_name != null
    error_message = "Accepted."
  }
}
