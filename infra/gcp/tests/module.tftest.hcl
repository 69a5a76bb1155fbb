# Tests of the module with a mocked provider.
#
# Where the google provider can be downloaded: terraform -chdir=infra/gcp init && terraform -chdir=infra/gcp test
# Otherwise: infra/tests/run, which has a stand-in for the provider.

mock_provider "google" {
  mock_data "google_project" {
    defaults = {
      number = "123456789012"
    }
  }

  mock_resource "google_service_account" {
    defaults = {
      name   = "projects/acme-prod/serviceAccounts/spot-interruption-exporter@acme-prod.iam.gserviceaccount.com"
      email  = "spot-interruption-exporter@acme-prod.iam.gserviceaccount.com"
      member = "serviceAccount:spot-interruption-exporter@acme-prod.iam.gserviceaccount.com"
    }
  }
}

variables {
  project = "acme-prod"
}

run "defaults" {
  assert {
    condition = (
      google_pubsub_topic.events["interruption"].name == "sie-interruption-topic"
      && google_pubsub_topic.events["creation"].name == "sie-creation-topic"
      && google_pubsub_subscription.events["interruption"].name == "sie-interruption-subscription"
      && google_pubsub_subscription.events["creation"].name == "sie-creation-subscription"
    )
    error_message = "The published names."
  }

  assert {
    condition = alltrue([
      for subscription in concat(values(google_pubsub_subscription.events), google_pubsub_subscription.dead_letter) :
      subscription.expiration_policy[0].ttl == "" && subscription.message_retention_duration == "604800s" && subscription.ack_deadline_seconds == 60
    ])
    error_message = "Every subscription stays for ever and keeps messages for seven days."
  }

  assert {
    condition = alltrue([
      for subscription in google_pubsub_subscription.events :
      subscription.retry_policy[0].minimum_backoff == "10s"
      && subscription.retry_policy[0].maximum_backoff == "300s"
      && subscription.dead_letter_policy[0].dead_letter_topic == google_pubsub_topic.dead_letter[0].id
      && subscription.dead_letter_policy[0].max_delivery_attempts == 20
      && subscription.enable_exactly_once_delivery == false
    ])
    error_message = "Retries and dead letters."
  }

  assert {
    condition = alltrue([
      for event in ["interruption", "creation"] :
      google_pubsub_subscription.events[event].topic == google_pubsub_topic.events[event].id
      && google_logging_project_sink.events["${event}/acme-prod"].destination == "pubsub.googleapis.com/${google_pubsub_topic.events[event].id}"
      && google_logging_project_sink.events["${event}/acme-prod"].unique_writer_identity
      && google_logging_project_sink.events["${event}/acme-prod"].filter == output.filters[event]
      && google_logging_project_sink.events["${event}/acme-prod"].description != ""
    ])
    error_message = "Sink, topic and subscription of an event belong together."
  }

  assert {
    condition = alltrue([
      for event in ["interruption", "creation"] :
      google_pubsub_topic_iam_member.writer["${event}/acme-prod"].topic == google_pubsub_topic.events[event].id
      && google_pubsub_topic_iam_member.writer["${event}/acme-prod"].role == "roles/pubsub.publisher"
      && google_pubsub_topic_iam_member.writer["${event}/acme-prod"].member == google_logging_project_sink.events["${event}/acme-prod"].writer_identity
    ])
    error_message = "Each sink may write to its own topic and no other."
  }

  assert {
    condition = length(google_pubsub_subscription_iam_member.exporter) == 2 && alltrue([
      for event, grant in google_pubsub_subscription_iam_member.exporter :
      grant.subscription == google_pubsub_subscription.events[event].name
      && grant.role == "roles/pubsub.subscriber"
      && grant.member == "serviceAccount:spot-interruption-exporter@acme-prod.iam.gserviceaccount.com"
    ])
    error_message = "The exporter consumes its two subscriptions."
  }

  assert {
    condition = length(google_pubsub_subscription_iam_member.exporter_viewer) == 2 && alltrue([
      for event, grant in google_pubsub_subscription_iam_member.exporter_viewer :
      grant.subscription == google_pubsub_subscription.events[event].name
      && grant.role == "roles/pubsub.viewer"
      && grant.member == "serviceAccount:spot-interruption-exporter@acme-prod.iam.gserviceaccount.com"
    ])
    error_message = "The exporter sees whether a topic was deleted."
  }

  assert {
    condition     = join(" ", keys(google_project_iam_member.instance_reader)) == "acme-prod" && google_project_iam_member.instance_reader["acme-prod"].role == google_project_iam_custom_role.instance_reader["acme-prod"].id
    error_message = "The one grant at a project is the narrow role."
  }

  assert {
    condition     = google_project_iam_custom_role.instance_reader["acme-prod"].permissions == toset(["compute.globalOperations.list", "compute.instances.get", "compute.instances.list", "compute.zoneOperations.list"])
    error_message = "Nothing but reading instances and operations."
  }

  assert {
    condition = (
      google_service_account_iam_member.workload_identity[0].role == "roles/iam.workloadIdentityUser"
      && google_service_account_iam_member.workload_identity[0].member == "serviceAccount:acme-prod.svc.id.goog[spot-interruption-exporter/spot-interruption-exporter-sa]"
    )
    error_message = "Workload identity."
  }

  assert {
    condition = (
      google_pubsub_topic_iam_member.dead_letter_publisher[0].member == "serviceAccount:service-123456789012@gcp-sa-pubsub.iam.gserviceaccount.com"
      && google_pubsub_topic_iam_member.dead_letter_publisher[0].topic == "sie-dead-letter-topic"
      && alltrue([for event, grant in google_pubsub_subscription_iam_member.dead_letter_acknowledger :
        grant.subscription == google_pubsub_subscription.events[event].name && grant.member == "serviceAccount:service-123456789012@gcp-sa-pubsub.iam.gserviceaccount.com"
      ])
      && length(google_pubsub_subscription_iam_member.dead_letter_acknowledger) == 2
    )
    error_message = "Pub/Sub may move dead letters."
  }

  assert {
    condition     = length(google_project_service.needed) == 6 && alltrue([for api in google_project_service.needed : api.disable_on_destroy == false])
    error_message = "A destroy leaves the APIs on."
  }

  assert {
    condition     = length(google_monitoring_alert_policy.oldest_unacked_message) == 0 && length(google_monitoring_alert_policy.dead_letters) == 0
    error_message = "No alert policies unless asked for."
  }

  assert {
    condition     = length(google_kms_crypto_key_iam_member.pubsub_agent) == 0 && alltrue([for topic in google_pubsub_topic.events : topic.kms_key_name == null && length(topic.message_storage_policy) == 0])
    error_message = "Nothing of what was not asked for."
  }

  assert {
    condition     = output.service_account_email == yamldecode(output.helm_values).serviceAccount.annotations["iam.gke.io/gcp-service-account"]
    error_message = "The chart is told the account that was made."
  }

  assert {
    condition     = sort(keys(output.writer_identities)) == tolist(["creation/acme-prod", "interruption/acme-prod"])
    error_message = "Writer identities."
  }
}

run "several_projects" {
  variables {
    monitored_projects = ["acme-shop", "acme-search"]
  }

  assert {
    condition     = length(google_logging_project_sink.events) == 4 && length(google_pubsub_topic_iam_member.writer) == 4
    error_message = "Two sinks a project, each with its grant."
  }

  assert {
    condition     = google_logging_project_sink.events["creation/acme-shop"].project == "acme-shop" && google_pubsub_topic.events["creation"].project == "acme-prod"
    error_message = "Sinks there, topics here."
  }

  assert {
    condition     = join(" ", keys(google_project_iam_member.instance_reader)) == "acme-prod acme-search acme-shop" && google_project_iam_custom_role.instance_reader["acme-shop"].project == "acme-shop"
    error_message = "A role and a grant in each, and in the one that the exporter always lists."
  }

  assert {
    condition     = length(google_folder_iam_member.exporter) == 0 && length(google_organization_iam_member.exporter) == 0 && length(google_project_iam_member.service_consumer) == 0 && !contains(keys(google_project_service.needed), "cloudasset.googleapis.com")
    error_message = "Nothing for finding projects."
  }
}

run "folder" {
  variables {
    folder_id = "4711"
  }

  assert {
    condition     = length(google_logging_project_sink.events) == 0 && length(google_logging_organization_sink.events) == 0 && length(google_logging_folder_sink.events) == 2
    error_message = "Sinks at the folder only."
  }

  assert {
    condition = alltrue([
      for event, sink in google_logging_folder_sink.events :
      sink.include_children && sink.folder == "4711" && sink.filter == output.filters[event]
      && google_pubsub_topic_iam_member.writer["${event}/folder"].member == sink.writer_identity
      && google_pubsub_topic_iam_member.writer["${event}/folder"].topic == google_pubsub_topic.events[event].id
    ])
    error_message = "They see what is below and may write."
  }

  assert {
    condition = (
      { for use, grant in google_folder_iam_member.exporter : use => grant.role } == { instances = "roles/compute.viewer", assets = "roles/cloudasset.viewer" }
      && alltrue([for grant in google_folder_iam_member.exporter : grant.folder == "folders/4711" && grant.member == output.exporter_member])
      && length(google_organization_iam_custom_role.instance_reader) == 0
    )
    error_message = "Predefined roles at the folder, where no custom role can be made."
  }

  assert {
    condition     = google_project_iam_member.instance_reader["acme-prod"].role == google_project_iam_custom_role.instance_reader["acme-prod"].id
    error_message = "The project of the topics may be elsewhere."
  }

  assert {
    condition = (
      contains(keys(google_project_service.needed), "cloudasset.googleapis.com")
      && google_project_iam_member.service_consumer[0].project == "acme-prod"
      && google_project_iam_member.service_consumer[0].role == "roles/serviceusage.serviceUsageConsumer"
      && google_project_iam_member.service_consumer[0].member == output.exporter_member
    )
    error_message = "The inventory can be asked."
  }
}

run "folder_with_its_organization" {
  variables {
    folder_id                   = "4711"
    custom_role_organization_id = "42"
  }

  assert {
    condition = (
      google_organization_iam_custom_role.instance_reader[0].org_id == "42"
      && google_organization_iam_custom_role.instance_reader[0].role_id == "sie_instance_reader"
      && google_organization_iam_custom_role.instance_reader[0].permissions == toset(["cloudasset.assets.searchAllResources", "compute.globalOperations.list", "compute.instances.get", "compute.instances.list", "compute.zoneOperations.list"])
    )
    error_message = "One narrow role for instances and projects."
  }

  assert {
    condition     = { for use, grant in google_folder_iam_member.exporter : use => grant.role } == { instances = google_organization_iam_custom_role.instance_reader[0].id }
    error_message = "Granted at the folder, and nothing else there."
  }

  assert {
    condition     = length(google_project_iam_custom_role.instance_reader) == 0 && google_project_iam_member.instance_reader["acme-prod"].role == google_organization_iam_custom_role.instance_reader[0].id
    error_message = "The same role in the project."
  }
}

run "folder_without_discovery" {
  variables {
    folder_id          = "4711"
    discover           = false
    monitored_projects = ["acme-prod", "acme-shop"]
  }

  assert {
    condition = (
      length(google_logging_folder_sink.events) == 2 && length(google_folder_iam_member.exporter) == 0
      && length(google_project_iam_member.service_consumer) == 0 && !contains(keys(google_project_service.needed), "cloudasset.googleapis.com")
      && join(" ", keys(google_project_iam_member.instance_reader)) == "acme-prod acme-shop"
    )
    error_message = "Sinks at the folder, grants in projects."
  }
}

run "organization" {
  variables {
    organization_id = "4711"
  }

  assert {
    condition     = length(google_logging_project_sink.events) == 0 && length(google_logging_folder_sink.events) == 0 && length(google_logging_organization_sink.events) == 2
    error_message = "Sinks at the organisation only."
  }

  assert {
    condition = alltrue([
      for event, sink in google_logging_organization_sink.events :
      sink.include_children && sink.org_id == "4711" && google_pubsub_topic_iam_member.writer["${event}/organization"].member == sink.writer_identity
    ])
    error_message = "They see what is below and may write."
  }

  assert {
    condition = (
      google_organization_iam_custom_role.instance_reader[0].org_id == "4711"
      && { for use, grant in google_organization_iam_member.exporter : use => grant.role } == { instances = google_organization_iam_custom_role.instance_reader[0].id }
      && alltrue([for grant in google_organization_iam_member.exporter : grant.org_id == "4711" && grant.member == output.exporter_member])
      && length(google_folder_iam_member.exporter) == 0
    )
    error_message = "One narrow role, made and granted at the organisation."
  }
}

run "organization_with_a_role_of_its_own" {
  variables {
    organization_id = "4711"
    compute_role    = "organizations/4711/roles/instance_reader"
  }

  assert {
    condition = (
      length(google_project_iam_custom_role.instance_reader) == 0 && length(google_organization_iam_custom_role.instance_reader) == 0
      && google_project_iam_member.instance_reader["acme-prod"].role == "organizations/4711/roles/instance_reader"
    )
    error_message = "The role that was given, and none made."
  }

  assert {
    condition = { for use, grant in google_organization_iam_member.exporter : use => grant.role } == {
      instances = "organizations/4711/roles/instance_reader"
      assets    = "roles/cloudasset.viewer"
    }
    error_message = "Nothing tells that the role finds projects too."
  }
}

run "organization_with_a_role_for_everything" {
  command = plan

  variables {
    organization_id = "4711"
    compute_role    = "organizations/4711/roles/spot"
    asset_role      = null
  }

  assert {
    condition     = { for use, grant in google_organization_iam_member.exporter : use => grant.role } == { instances = "organizations/4711/roles/spot" }
    error_message = "One grant."
  }
}

run "organization_watched_by_a_principal_of_another_project" {
  variables {
    organization_id = "4711"
    identity        = "principal"
    workload_pool   = "acme-platform.svc.id.goog"
    project_numbers = { acme-platform = "42" }
  }

  assert {
    condition = (
      google_project_service.asset_inventory[0].project == "acme-platform"
      && google_project_iam_member.service_consumer[0].project == "acme-platform"
      && !contains(keys(google_project_service.needed), "cloudasset.googleapis.com")
    )
    error_message = "The inventory is asked on behalf of the pool's project."
  }
}

run "direct_principal" {
  variables {
    identity        = "principal"
    workload_pool   = "acme-platform.svc.id.goog"
    project_numbers = { acme-platform = "42" }
  }

  assert {
    condition     = length(google_service_account.exporter) == 0 && length(google_service_account_iam_member.workload_identity) == 0 && output.service_account_email == null
    error_message = "No Google service account."
  }

  assert {
    condition     = alltrue([for grant in google_pubsub_subscription_iam_member.exporter : grant.member == output.exporter_member])
    error_message = "The subscriptions are granted to the principal."
  }

  assert {
    condition     = google_project_iam_member.instance_reader["acme-prod"].member == "principal://iam.googleapis.com/projects/42/locations/global/workloadIdentityPools/acme-platform.svc.id.goog/subject/ns/spot-interruption-exporter/sa/spot-interruption-exporter-sa"
    error_message = "So is the role."
  }

  assert {
    condition     = join(" ", keys(data.google_project.numbered)) == "acme-prod"
    error_message = "What was given is not looked up."
  }
}

run "nothing_to_look_up" {
  variables {
    dead_letter = false
  }

  assert {
    condition     = length(data.google_project.numbered) == 0
    error_message = "No project number is needed."
  }

  assert {
    condition = (
      length(google_pubsub_topic.dead_letter) == 0 && length(google_pubsub_subscription.dead_letter) == 0
      && length(google_pubsub_topic_iam_member.dead_letter_publisher) == 0 && length(google_pubsub_subscription_iam_member.dead_letter_acknowledger) == 0
      && alltrue([for subscription in google_pubsub_subscription.events : length(subscription.dead_letter_policy) == 0])
      && output.dead_letter_topic == null && output.dead_letter_subscription == null
    )
    error_message = "No dead letters."
  }
}

run "without_pubsub" {
  variables {
    pubsub           = false
    folder_id        = "4711"
    grant_kms_access = true
  }

  assert {
    condition = (
      length(google_pubsub_topic.events) == 0 && length(google_pubsub_topic.dead_letter) == 0
      && length(google_pubsub_subscription.events) == 0 && length(google_pubsub_subscription.dead_letter) == 0
      && length(google_logging_project_sink.events) == 0 && length(google_logging_folder_sink.events) == 0
      && length(google_pubsub_topic_iam_member.writer) == 0 && length(google_pubsub_topic_iam_member.dead_letter_publisher) == 0
      && length(google_pubsub_subscription_iam_member.exporter) == 0 && length(google_pubsub_subscription_iam_member.exporter_viewer) == 0
      && length(google_pubsub_subscription_iam_member.dead_letter_acknowledger) == 0 && length(google_kms_crypto_key_iam_member.pubsub_agent) == 0
      && length(data.google_project.numbered) == 0
    )
    error_message = "Nothing of Pub/Sub, and no sink."
  }

  assert {
    condition     = !contains(keys(google_project_service.needed), "pubsub.googleapis.com") && !contains(keys(google_project_service.needed), "logging.googleapis.com")
    error_message = "No API of theirs."
  }

  assert {
    condition     = length(google_service_account.exporter) == 1 && length(google_project_iam_member.instance_reader) == 1 && length(google_folder_iam_member.exporter) == 2
    error_message = "The identity and what it may read."
  }

  assert {
    condition     = output.topics == {} && output.subscriptions == {} && output.filters == {} && output.writer_identities == {} && output.dead_letter_topic == null
    error_message = "Outputs name what is there."
  }
}

run "alert_policies_without_pubsub" {
  command = plan

  variables {
    pubsub         = false
    alert_policies = true
  }

  expect_failures = [output.exporter_config]
}

run "own_key_and_regions" {
  variables {
    kms_key_name            = "projects/acme-security/locations/europe-west1/keyRings/r/cryptoKeys/k"
    grant_kms_access        = true
    message_storage_regions = ["europe-west4", "europe-west1"]
    exactly_once_delivery   = true
    enable_apis             = false
    labels                  = { team = "platform" }
  }

  assert {
    condition = alltrue([
      for topic in concat(values(google_pubsub_topic.events), google_pubsub_topic.dead_letter) :
      topic.kms_key_name == "projects/acme-security/locations/europe-west1/keyRings/r/cryptoKeys/k"
      && toset(topic.message_storage_policy[0].allowed_persistence_regions) == toset(["europe-west1", "europe-west4"])
    ])
    error_message = "Dead letters are no exception."
  }

  assert {
    condition     = google_kms_crypto_key_iam_member.pubsub_agent[0].member == "serviceAccount:service-123456789012@gcp-sa-pubsub.iam.gserviceaccount.com"
    error_message = "Pub/Sub may use the key."
  }

  assert {
    condition     = alltrue([for subscription in google_pubsub_subscription.events : subscription.enable_exactly_once_delivery])
    error_message = "Exactly once."
  }

  assert {
    condition     = length(google_project_service.needed) == 0
    error_message = "No API is touched."
  }

  assert {
    condition = alltrue([
      for resource in concat(values(google_pubsub_topic.events), google_pubsub_topic.dead_letter, values(google_pubsub_subscription.events), google_pubsub_subscription.dead_letter) :
      resource.labels["team"] == "platform" && resource.labels["app"] == "spot-interruption-exporter"
    ])
    error_message = "Labels on everything that can carry them."
  }
}

run "alert_policies" {
  variables {
    alert_policies              = true
    alert_unacked_age           = "900s"
    alert_notification_channels = ["projects/acme-prod/notificationChannels/1"]
  }

  assert {
    condition = length(google_monitoring_alert_policy.oldest_unacked_message) == 2 && alltrue([
      for event, policy in google_monitoring_alert_policy.oldest_unacked_message :
      strcontains(policy.conditions[0].condition_threshold[0].filter, "resource.labels.subscription_id = \"${google_pubsub_subscription.events[event].name}\"")
      && strcontains(policy.conditions[0].condition_threshold[0].filter, "subscription/oldest_unacked_message_age")
      && policy.conditions[0].condition_threshold[0].comparison == "COMPARISON_GT"
      && policy.conditions[0].condition_threshold[0].threshold_value == 900
      && join(" ", policy.notification_channels) == "projects/acme-prod/notificationChannels/1"
    ])
    error_message = "A policy for each subscription, at the age that was asked for."
  }

  assert {
    condition     = strcontains(google_monitoring_alert_policy.dead_letters[0].conditions[0].condition_threshold[0].filter, "\"${google_pubsub_subscription.dead_letter[0].name}\"") && google_monitoring_alert_policy.dead_letters[0].conditions[0].condition_threshold[0].threshold_value == 0
    error_message = "A policy for dead letters."
  }

  assert {
    condition     = contains(keys(google_project_service.needed), "monitoring.googleapis.com")
    error_message = "The API that the policies need."
  }
}

run "alert_policies_without_dead_letters" {
  command = plan

  variables {
    alert_policies = true
    dead_letter    = false
  }

  assert {
    condition     = length(google_monitoring_alert_policy.oldest_unacked_message) == 2 && length(google_monitoring_alert_policy.dead_letters) == 0
    error_message = "No policy about what is not there."
  }
}

run "key_access_without_a_key" {
  command = plan

  variables {
    grant_kms_access = true
  }

  expect_failures = [google_kms_crypto_key_iam_member.pubsub_agent]
}
