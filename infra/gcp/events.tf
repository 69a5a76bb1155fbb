# The resources of an event: log, sink, topic and subscription. One set for interruptions and one
# for creations, with a sink for each monitored project.

resource "google_pubsub_topic" "events" {
  for_each = module.settings.events

  project      = module.settings.project
  name         = each.value.topic
  labels       = module.settings.labels
  kms_key_name = module.settings.kms_key_name

  dynamic "message_storage_policy" {
    for_each = length(module.settings.message_storage_regions) > 0 ? [module.settings.message_storage_regions] : []

    content {
      allowed_persistence_regions = message_storage_policy.value
    }
  }

  depends_on = [
    google_project_service.needed,
    google_kms_crypto_key_iam_member.pubsub_agent,
  ]
}

resource "google_pubsub_subscription" "events" {
  for_each = module.settings.events

  project = module.settings.project
  name    = each.value.subscription
  topic   = google_pubsub_topic.events[each.key].id
  labels  = module.settings.labels

  ack_deadline_seconds         = module.settings.delivery.ack_deadline_seconds
  message_retention_duration   = module.settings.delivery.message_retention_duration
  enable_exactly_once_delivery = var.exactly_once_delivery

  # An empty ttl means that the subscription never expires. By default Pub/Sub deletes a
  # subscription that was not used for 31 days.
  expiration_policy {
    ttl = ""
  }

  retry_policy {
    minimum_backoff = module.settings.delivery.minimum_backoff
    maximum_backoff = module.settings.delivery.maximum_backoff
  }

  dynamic "dead_letter_policy" {
    for_each = google_pubsub_topic.dead_letter

    content {
      dead_letter_topic     = dead_letter_policy.value.id
      max_delivery_attempts = module.settings.dead_letter.max_delivery_attempts
    }
  }

  # A subscription whose topic was deleted receives nothing from a new topic of the same name.
  lifecycle {
    replace_triggered_by = [google_pubsub_topic.events[each.key].id]
  }
}

resource "google_logging_project_sink" "events" {
  for_each = module.settings.project_sinks

  project     = each.value.project
  name        = module.settings.events[each.value.event].sink
  description = module.settings.events[each.value.event].description
  filter      = module.settings.events[each.value.event].filter
  destination = "pubsub.googleapis.com/${google_pubsub_topic.events[each.value.event].id}"

  # The sink has a separate identity, so the grant on the topic applies to no other sink.
  unique_writer_identity = true
}

resource "google_logging_folder_sink" "events" {
  for_each = module.settings.sink_parent == "folder" ? module.settings.events : {}

  folder           = module.settings.folder_id
  name             = each.value.sink
  description      = each.value.description
  filter           = each.value.filter
  destination      = "pubsub.googleapis.com/${google_pubsub_topic.events[each.key].id}"
  include_children = true
}

resource "google_logging_organization_sink" "events" {
  for_each = module.settings.sink_parent == "organization" ? module.settings.events : {}

  org_id           = module.settings.organization_id
  name             = each.value.sink
  description      = each.value.description
  filter           = each.value.filter
  destination      = "pubsub.googleapis.com/${google_pubsub_topic.events[each.key].id}"
  include_children = true
}

locals {
  writers = merge(
    {
      for key, sink in google_logging_project_sink.events :
      key => { event = module.settings.project_sinks[key].event, member = sink.writer_identity }
    },
    {
      for event, sink in google_logging_folder_sink.events :
      "${event}/folder" => { event = event, member = sink.writer_identity }
    },
    {
      for event, sink in google_logging_organization_sink.events :
      "${event}/organization" => { event = event, member = sink.writer_identity }
    },
  )
}

resource "google_pubsub_topic_iam_member" "writer" {
  for_each = local.writers

  project = module.settings.project
  role    = "roles/pubsub.publisher"
  member  = each.value.member

  # Uses the id, because a replaced topic keeps its name but loses its grants: the id is unknown until the topic
  # exists again, so the grant is created again in the same apply. (replace_triggered_by supports only each.key.)
  topic = google_pubsub_topic.events[each.value.event].id
}
