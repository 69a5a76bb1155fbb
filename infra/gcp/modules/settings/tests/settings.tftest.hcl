# terraform -chdir=infra/gcp/modules/settings test

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

run "published_names" {
  command = plan

  assert {
    condition     = output.events.interruption.topic == "sie-interruption-topic" && output.events.creation.topic == "sie-creation-topic"
    error_message = "Topics have these names."
  }

  assert {
    condition     = output.events.interruption.subscription == "sie-interruption-subscription" && output.events.creation.subscription == "sie-creation-subscription"
    error_message = "Subscriptions have these names."
  }

  assert {
    condition     = output.events.interruption.sink == "sie-interruption-sink" && output.events.creation.sink == "sie-creation-sink"
    error_message = "Sinks have these names."
  }

  assert {
    condition     = output.dead_letter.topic == "sie-dead-letter-topic" && output.dead_letter.subscription == "sie-dead-letter-subscription"
    error_message = "Dead-letter resources have these names."
  }

  assert {
    condition     = output.service_account_email == "spot-interruption-exporter@acme-prod.iam.gserviceaccount.com"
    error_message = "The service account has this name."
  }

  assert {
    condition     = output.workload_identity_member == "serviceAccount:acme-prod.svc.id.goog[spot-interruption-exporter/spot-interruption-exporter-sa]"
    error_message = "Workload identity is granted."
  }

  assert {
    condition     = output.labels == { app = "spot-interruption-exporter" }
    error_message = "Labels are set."
  }

  assert {
    condition     = output.sink_parent == "project" && sort(keys(output.project_sinks)) == tolist(["creation/acme-prod", "interruption/acme-prod"])
    error_message = "The project has one sink for each kind of event."
  }
}

run "another_prefix_separates_all_resources" {
  command = plan

  variables {
    prefix = "sie-trial"
    labels = { team = "platform", app = "sie" }
  }

  assert {
    condition = alltrue([
      for event in output.events : alltrue([for name in [event.topic, event.subscription, event.sink] : startswith(name, "sie-trial-")])
    ])
    error_message = "Names of topics, subscriptions and sinks have the prefix."
  }

  assert {
    condition     = startswith(output.dead_letter.topic, "sie-trial-") && startswith(output.dead_letter.subscription, "sie-trial-")
    error_message = "Names of dead-letter resources have the prefix."
  }

  assert {
    condition     = output.service_account_id == "sie-trial-exporter"
    error_message = "The name of the service account has the prefix."
  }

  assert {
    condition     = output.compute_role_id == "sie_trial_instance_reader"
    error_message = "A role id has underscores instead of hyphens."
  }

  assert {
    condition     = output.labels == { team = "platform", app = "sie" }
    error_message = "The caller's labels override the default labels."
  }
}

run "longest_and_shortest_prefix" {
  command = plan

  variables {
    prefix = "a2345678901234567890"
  }

  assert {
    condition     = length(output.service_account_id) <= 30 && length(output.events.interruption.sink) <= 100 && length(output.compute_role_id) <= 64
    error_message = "Every derived name is within its length limit."
  }
}

run "projects_monitored_from_another" {
  command = plan

  variables {
    monitored_projects = ["acme-shop", "acme-search"]
  }

  assert {
    condition = sort(keys(output.project_sinks)) == tolist([
      "creation/acme-search", "creation/acme-shop", "interruption/acme-search", "interruption/acme-shop",
    ])
    error_message = "Each monitored project has two sinks."
  }

  assert {
    condition     = yamldecode(output.exporter_config).project_name == "acme-prod"
    error_message = "With several projects, the state belongs to the exporter's project."
  }

  assert {
    condition     = yamldecode(output.exporter_config).gcp == { projects = ["acme-search", "acme-shop"] }
    error_message = "The monitored projects are listed; the exporter adds its project."
  }

  assert {
    condition     = output.listed_projects == toset(["acme-prod", "acme-search", "acme-shop"])
    error_message = "Access is granted in all listed projects."
  }
}

run "project_name_stays_when_projects_are_added" {
  command = plan

  variables {
    monitored_projects = ["acme-shop", "acme-search"]
    project_name       = "acme-shop"
  }

  assert {
    condition     = yamldecode(output.exporter_config).project_name == "acme-shop" && yamldecode(output.exporter_config).gcp.projects == ["acme-search", "acme-shop"]
    error_message = "The state belongs to the first project."
  }

  assert {
    condition     = output.listed_projects == toset(["acme-search", "acme-shop"])
    error_message = "Nothing is granted in the project of the topics."
  }
}

run "one_project_monitored_from_another" {
  command = plan

  variables {
    monitored_projects = ["acme-shop"]
  }

  assert {
    condition     = yamldecode(output.exporter_config).project_name == "acme-shop"
    error_message = "The exporter lists the instances of the monitored project."
  }

  assert {
    condition     = yamldecode(output.exporter_config).pubsub.instance_creation_subscription_name == "projects/acme-prod/subscriptions/sie-creation-subscription"
    error_message = "The subscriptions are in the project of the topics."
  }

  assert {
    condition     = !can(yamldecode(output.exporter_config).gcp)
    error_message = "One project requires no list."
  }
}

run "folder" {
  command = plan

  variables {
    folder_id = "123"
  }

  assert {
    condition     = output.sink_parent == "folder" && length(output.project_sinks) == 0
    error_message = "Sinks exist only at the folder, because otherwise each event would arrive twice."
  }

  assert {
    condition     = yamldecode(output.exporter_config).gcp == { discover = "folders/123" } && yamldecode(output.exporter_config).project_name == "acme-prod"
    error_message = "The exporter finds the projects."
  }

  assert {
    condition     = output.discover && output.custom_role_organization_id == null && output.quota_project == "acme-prod"
    error_message = "The organisation is unknown, so no custom role is created."
  }
}

run "folder_with_its_organization" {
  command = plan

  variables {
    folder_id                   = "123"
    custom_role_organization_id = "456"
    discover_query              = "labels.env:prod"
    monitored_projects          = ["acme-shop", "acme-search"]
  }

  assert {
    condition     = output.custom_role_organization_id == "456"
    error_message = "The role is created in the organisation."
  }

  assert {
    condition = yamldecode(output.helm_values).config.gcp == {
      projects       = ["acme-search", "acme-shop"]
      discover       = "folders/123"
      discover_query = "labels.env:prod"
    }
    error_message = "The named projects are listed in addition to the discovered ones."
  }
}

run "folder_without_discovery" {
  command = plan

  variables {
    folder_id          = "123"
    discover           = false
    monitored_projects = ["acme-prod", "acme-search"]
  }

  assert {
    condition     = yamldecode(output.exporter_config).gcp == { projects = ["acme-prod", "acme-search"] } && !output.discover && output.custom_role_organization_id == null
    error_message = "Only the named projects are listed."
  }
}

run "organization" {
  command = plan

  variables {
    organization_id = "123"
  }

  assert {
    condition     = output.sink_parent == "organization" && length(output.project_sinks) == 0
    error_message = "Sinks exist only at the organisation, because otherwise each event would arrive twice."
  }

  assert {
    condition     = yamldecode(output.exporter_config).gcp == { discover = "organizations/123" } && output.custom_role_organization_id == "123"
    error_message = "The exporter finds the projects with a role of the organisation."
  }
}

run "organization_with_a_custom_role" {
  command = plan

  variables {
    organization_id = "123"
    compute_role    = "organizations/123/roles/instance_reader"
  }

  assert {
    condition     = output.discover && output.custom_role_organization_id == null
    error_message = "No role is created."
  }
}

run "without_pubsub" {
  command = plan

  variables {
    pubsub             = false
    monitored_projects = ["acme-prod", "acme-shop"]
  }

  assert {
    condition     = length(output.events) == 0 && length(output.project_sinks) == 0
    error_message = "No topic, subscription or sink is configured."
  }

  assert {
    condition     = yamldecode(output.exporter_config) == { project_name = "acme-prod", gcp = { projects = ["acme-prod", "acme-shop"] } }
    error_message = "The configuration file contains no subscription."
  }

  assert {
    condition     = contains(keys(yamldecode(output.helm_values).config), "pubsub") && yamldecode(output.helm_values).config.pubsub == null
    error_message = "The chart's default subscriptions are removed."
  }
}

run "configuration_of_the_exporter" {
  command = plan

  assert {
    condition = yamldecode(output.exporter_config) == {
      project_name = "acme-prod"
      pubsub = {
        instance_interruption_subscription_name = "projects/acme-prod/subscriptions/sie-interruption-subscription"
        instance_creation_subscription_name     = "projects/acme-prod/subscriptions/sie-creation-subscription"
      }
    }
    error_message = "The configuration file has this content."
  }

  assert {
    condition = yamldecode(output.helm_values) == {
      config            = yamldecode(output.exporter_config)
      namespaceOverride = "spot-interruption-exporter"
      serviceAccount = {
        create      = true
        name        = "spot-interruption-exporter-sa"
        annotations = { "iam.gke.io/gcp-service-account" = "spot-interruption-exporter@acme-prod.iam.gserviceaccount.com" }
      }
    }
    error_message = "The chart's values have this content."
  }
}

run "extra_methods_reach_sink_and_exporter" {
  command = plan

  variables {
    extra_interruption_methods = ["compute.instances.hostError", "compute.instances.preempted"]
  }

  assert {
    condition     = yamldecode(output.exporter_config).interruption_methods == ["compute.instances.preempted", "compute.instances.hostError"]
    error_message = "Methods are unique, and the published one is first."
  }

  assert {
    condition     = strcontains(output.events.interruption.filter, "(\"compute.instances.preempted\" OR \"compute.instances.hostError\")")
    error_message = "The filter contains both methods."
  }
}

run "direct_principal" {
  command = plan

  variables {
    identity      = "principal"
    workload_pool = "acme-platform.svc.id.goog"
  }

  assert {
    condition     = output.service_account_email == null && !can(yamldecode(output.helm_values).serviceAccount.annotations)
    error_message = "Without a Google service account there is no annotation."
  }

  assert {
    condition     = output.workload_pool_project == "acme-platform" && output.quota_project == "acme-platform"
    error_message = "Requests use the quota of the pool's project."
  }

  assert {
    condition     = format(output.principal_format, "42") == "principal://iam.googleapis.com/projects/42/locations/global/workloadIdentityPools/acme-platform.svc.id.goog/subject/ns/spot-interruption-exporter/sa/spot-interruption-exporter-sa"
    error_message = "The member is the principal."
  }

  assert {
    condition     = format(output.pubsub_agent_format, "42") == "serviceAccount:service-42@gcp-sa-pubsub.iam.gserviceaccount.com"
    error_message = "The member is Pub/Sub's service agent."
  }
}

run "domain_scoped_project" {
  command = plan

  variables {
    project = "example.com:acme-prod"
  }

  assert {
    condition     = output.service_account_email == "spot-interruption-exporter@acme-prod.example.com.iam.gserviceaccount.com"
    error_message = "Accounts of a domain-scoped project have the reversed parts of its id."
  }
}
