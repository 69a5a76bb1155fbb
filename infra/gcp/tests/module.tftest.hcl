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
    error_message = "The default names are the published names."
  }

  assert {
    condition = alltrue([
      for subscription in concat(values(google_pubsub_subscription.events), google_pubsub_subscription.dead_letter) :
      subscription.expiration_policy[0].ttl == "" && subscription.message_retention_duration == "604800s" && subscription.ack_deadline_seconds == 60
    ])
    error_message = "Every subscription never expires and keeps messages for seven days."
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
    error_message = "Retries and dead letters are configured."
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
    error_message = "Sink, topic and subscription of an event are connected."
  }

  assert {
    condition = alltrue([
      for event in ["interruption", "creation"] :
      google_pubsub_topic_iam_member.writer["${event}/acme-prod"].topic == google_pubsub_topic.events[event].id
      && google_pubsub_topic_iam_member.writer["${event}/acme-prod"].role == "roles/pubsub.publisher"
      && google_pubsub_topic_iam_member.writer["${event}/acme-prod"].member == google_logging_project_sink.events["${event}/acme-prod"].writer_identity
    ])
    error_message = "Each sink can write only to its topic."
  }

  assert {
    condition = length(google_pubsub_subscription_iam_member.exporter) == 2 && alltrue([
      for event, grant in google_pubsub_subscription_iam_member.exporter :
      grant.subscription == google_pubsub_subscription.events[event].name
      && grant.role == "roles/pubsub.subscriber"
      && grant.member == "serviceAccount:spot-interruption-exporter@acme-prod.iam.gserviceaccount.com"
    ])
    error_message = "The exporter can consume its two subscriptions."
  }

  assert {
    condition = length(google_pubsub_subscription_iam_member.exporter_viewer) == 2 && alltrue([
      for event, grant in google_pubsub_subscription_iam_member.exporter_viewer :
      grant.subscription == google_pubsub_subscription.events[event].name
      && grant.role == "roles/pubsub.viewer"
      && grant.member == "serviceAccount:spot-interruption-exporter@acme-prod.iam.gserviceaccount.com"
    ])
    error_message = "The exporter can detect a deleted topic."
  }

  assert {
    condition     = join(" ", keys(google_project_iam_member.instance_reader)) == "acme-prod" && google_project_iam_member.instance_reader["acme-prod"].role == google_project_iam_custom_role.instance_reader["acme-prod"].id
    error_message = "The only grant at a project is the narrow role."
  }

  assert {
    condition     = google_project_iam_custom_role.instance_reader["acme-prod"].permissions == toset(["compute.globalOperations.list", "compute.instances.get", "compute.instances.list", "compute.zoneOperations.list"])
    error_message = "The role can only read instances and operations."
  }

  assert {
    condition = (
      google_service_account_iam_member.workload_identity[0].role == "roles/iam.workloadIdentityUser"
      && google_service_account_iam_member.workload_identity[0].member == "serviceAccount:acme-prod.svc.id.goog[spot-interruption-exporter/spot-interruption-exporter-sa]"
    )
    error_message = "Workload identity is granted."
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
    error_message = "Pub/Sub can move dead letters."
  }

  assert {
    condition     = length(google_project_service.needed) == 6 && alltrue([for api in google_project_service.needed : api.disable_on_destroy == false])
    error_message = "A destroy does not disable the APIs."
  }

  assert {
    condition     = length(google_monitoring_alert_policy.oldest_unacked_message) == 0 && length(google_monitoring_alert_policy.dead_letters) == 0
    error_message = "Alert policies are only created on request."
  }

  assert {
    condition     = length(google_kms_crypto_key_iam_member.pubsub_agent) == 0 && alltrue([for topic in google_pubsub_topic.events : topic.kms_key_name == null && length(topic.message_storage_policy) == 0])
    error_message = "Optional resources are not created by default."
  }

  assert {
    condition     = output.service_account_email == yamldecode(output.helm_values).serviceAccount.annotations["iam.gke.io/gcp-service-account"]
    error_message = "The chart's values contain the service account."
  }

  assert {
    condition     = sort(keys(output.writer_identities)) == tolist(["creation/acme-prod", "interruption/acme-prod"])
    error_message = "The outputs contain the writer identities."
  }
}

run "several_projects" {
  variables {
    monitored_projects = ["acme-shop", "acme-search"]
  }

  assert {
    condition     = length(google_logging_project_sink.events) == 4 && length(google_pubsub_topic_iam_member.writer) == 4
    error_message = "Each project has two sinks with their grants."
  }

  assert {
    condition     = google_logging_project_sink.events["creation/acme-shop"].project == "acme-shop" && google_pubsub_topic.events["creation"].project == "acme-prod"
    error_message = "Sinks are in the monitored projects, topics in the project."
  }

  assert {
    condition     = join(" ", keys(google_project_iam_member.instance_reader)) == "acme-prod acme-search acme-shop" && google_project_iam_custom_role.instance_reader["acme-shop"].project == "acme-shop"
    error_message = "Each project, and the one that the exporter always lists, has a role and a grant."
  }

  assert {
    condition     = length(google_folder_iam_member.exporter) == 0 && length(google_organization_iam_member.exporter) == 0 && length(google_project_iam_member.service_consumer) == 0 && !contains(keys(google_project_service.needed), "cloudasset.googleapis.com")
    error_message = "Nothing is created for finding projects."
  }
}

run "folder" {
  variables {
    folder_id = "4711"
  }

  assert {
    condition     = length(google_logging_project_sink.events) == 0 && length(google_logging_organization_sink.events) == 0 && length(google_logging_folder_sink.events) == 2
    error_message = "Sinks are created only at the folder."
  }

  assert {
    condition = alltrue([
      for event, sink in google_logging_folder_sink.events :
      sink.include_children && sink.folder == "4711" && sink.filter == output.filters[event]
      && google_pubsub_topic_iam_member.writer["${event}/folder"].member == sink.writer_identity
      && google_pubsub_topic_iam_member.writer["${event}/folder"].topic == google_pubsub_topic.events[event].id
    ])
    error_message = "The sinks include child resources and can write."
  }

  assert {
    condition = (
      { for use, grant in google_folder_iam_member.exporter : use => grant.role } == { instances = "roles/compute.viewer", assets = "roles/cloudasset.viewer" }
      && alltrue([for grant in google_folder_iam_member.exporter : grant.folder == "folders/4711" && grant.member == output.exporter_member])
      && length(google_organization_iam_custom_role.instance_reader) == 0
    )
    error_message = "Predefined roles are granted at the folder, which cannot have custom roles."
  }

  assert {
    condition     = google_project_iam_member.instance_reader["acme-prod"].role == google_project_iam_custom_role.instance_reader["acme-prod"].id
    error_message = "The project of the topics can be outside the folder."
  }

  assert {
    condition = (
      contains(keys(google_project_service.needed), "cloudasset.googleapis.com")
      && google_project_iam_member.service_consumer[0].project == "acme-prod"
      && google_project_iam_member.service_consumer[0].role == "roles/serviceusage.serviceUsageConsumer"
      && google_project_iam_member.service_consumer[0].member == output.exporter_member
    )
    error_message = "The exporter can query the asset inventory."
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
    error_message = "One narrow role covers instances and projects."
  }

  assert {
    condition     = { for use, grant in google_folder_iam_member.exporter : use => grant.role } == { instances = google_organization_iam_custom_role.instance_reader[0].id }
    error_message = "The role is the only grant at the folder."
  }

  assert {
    condition     = length(google_project_iam_custom_role.instance_reader) == 0 && google_project_iam_member.instance_reader["acme-prod"].role == google_organization_iam_custom_role.instance_reader[0].id
    error_message = "The same role is granted in the project."
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
    error_message = "Sinks are at the folder, grants in projects."
  }
}

run "organization" {
  variables {
    organization_id = "4711"
  }

  assert {
    condition     = length(google_logging_project_sink.events) == 0 && length(google_logging_folder_sink.events) == 0 && length(google_logging_organization_sink.events) == 2
    error_message = "Sinks are created only at the organisation."
  }

  assert {
    condition = alltrue([
      for event, sink in google_logging_organization_sink.events :
      sink.include_children && sink.org_id == "4711" && google_pubsub_topic_iam_member.writer["${event}/organization"].member == sink.writer_identity
    ])
    error_message = "The sinks include child resources and can write."
  }

  assert {
    condition = (
      google_organization_iam_custom_role.instance_reader[0].org_id == "4711"
      && { for use, grant in google_organization_iam_member.exporter : use => grant.role } == { instances = google_organization_iam_custom_role.instance_reader[0].id }
      && alltrue([for grant in google_organization_iam_member.exporter : grant.org_id == "4711" && grant.member == output.exporter_member])
      && length(google_folder_iam_member.exporter) == 0
    )
    error_message = "One narrow role is created and granted at the organisation."
  }
}

run "organization_with_a_custom_role" {
  variables {
    organization_id = "4711"
    compute_role    = "organizations/4711/roles/instance_reader"
  }

  assert {
    condition = (
      length(google_project_iam_custom_role.instance_reader) == 0 && length(google_organization_iam_custom_role.instance_reader) == 0
      && google_project_iam_member.instance_reader["acme-prod"].role == "organizations/4711/roles/instance_reader"
    )
    error_message = "The given role is used, and no role is created."
  }

  assert {
    condition = { for use, grant in google_organization_iam_member.exporter : use => grant.role } == {
      instances = "organizations/4711/roles/instance_reader"
      assets    = "roles/cloudasset.viewer"
    }
    error_message = "It is unknown that the role can find projects, so another role is granted."
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
    error_message = "There is exactly one grant."
  }
}

run "organization_monitored_by_a_principal_of_another_project" {
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
    error_message = "Requests to the inventory use the quota of the pool's project."
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
    error_message = "No Google service account is created."
  }

  assert {
    condition     = alltrue([for grant in google_pubsub_subscription_iam_member.exporter : grant.member == output.exporter_member])
    error_message = "The principal can use the subscriptions."
  }

  assert {
    condition     = google_project_iam_member.instance_reader["acme-prod"].member == "principal://iam.googleapis.com/projects/42/locations/global/workloadIdentityPools/acme-platform.svc.id.goog/subject/ns/spot-interruption-exporter/sa/spot-interruption-exporter-sa"
    error_message = "The role is granted to the principal."
  }

  assert {
    condition     = join(" ", keys(data.google_project.numbered)) == "acme-prod"
    error_message = "A given project number is not looked up."
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
    error_message = "No dead-letter resources are created."
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
    error_message = "No Pub/Sub resources and no sinks are created."
  }

  assert {
    condition     = !contains(keys(google_project_service.needed), "pubsub.googleapis.com") && !contains(keys(google_project_service.needed), "logging.googleapis.com")
    error_message = "APIs of Pub/Sub and Logging are not enabled."
  }

  assert {
    condition     = length(google_service_account.exporter) == 1 && length(google_project_iam_member.instance_reader) == 1 && length(google_folder_iam_member.exporter) == 2
    error_message = "The identity and its read access are created."
  }

  assert {
    condition     = output.topics == {} && output.subscriptions == {} && output.filters == {} && output.writer_identities == {} && output.dead_letter_topic == null
    error_message = "Outputs contain only existing resources."
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

run "customer_managed_key_and_regions" {
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
    error_message = "Dead letters are configured likewise."
  }

  assert {
    condition     = google_kms_crypto_key_iam_member.pubsub_agent[0].member == "serviceAccount:service-123456789012@gcp-sa-pubsub.iam.gserviceaccount.com"
    error_message = "Pub/Sub can use the key."
  }

  assert {
    condition     = alltrue([for subscription in google_pubsub_subscription.events : subscription.enable_exactly_once_delivery])
    error_message = "Exactly-once delivery is enabled."
  }

  assert {
    condition     = length(google_project_service.needed) == 0
    error_message = "No API is enabled."
  }

  assert {
    condition = alltrue([
      for resource in concat(values(google_pubsub_topic.events), google_pubsub_topic.dead_letter, values(google_pubsub_subscription.events), google_pubsub_subscription.dead_letter) :
      resource.labels["team"] == "platform" && resource.labels["app"] == "spot-interruption-exporter"
    ])
    error_message = "All resources that support labels have them."
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
    error_message = "Each subscription has a policy with the configured age."
  }

  assert {
    condition     = strcontains(google_monitoring_alert_policy.dead_letters[0].conditions[0].condition_threshold[0].filter, "\"${google_pubsub_subscription.dead_letter[0].name}\"") && google_monitoring_alert_policy.dead_letters[0].conditions[0].condition_threshold[0].threshold_value == 0
    error_message = "Dead letters have a policy."
  }

  assert {
    condition     = contains(keys(google_project_service.needed), "monitoring.googleapis.com")
    error_message = "The API of the policies is enabled."
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
    error_message = "No policy is created for missing resources."
  }
}

run "key_access_without_a_key" {
  command = plan

  variables {
    grant_kms_access = true
  }

  expect_failures = [google_kms_crypto_key_iam_member.pubsub_agent]
}
