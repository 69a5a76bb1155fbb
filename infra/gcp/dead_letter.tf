# The dead-letter topic for messages that cannot be processed. The exporter acknowledges invalid
# messages, so every dead letter should be investigated.

resource "google_pubsub_topic" "dead_letter" {
  count = local.dead_letter ? 1 : 0

  project      = module.settings.project
  name         = module.settings.dead_letter.topic
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

# A topic without a subscription does not keep messages.
resource "google_pubsub_subscription" "dead_letter" {
  count = local.dead_letter ? 1 : 0

  project = module.settings.project
  name    = module.settings.dead_letter.subscription
  topic   = google_pubsub_topic.dead_letter[0].id
  labels  = module.settings.labels

  ack_deadline_seconds       = module.settings.delivery.ack_deadline_seconds
  message_retention_duration = module.settings.delivery.message_retention_duration

  expiration_policy {
    ttl = ""
  }

  lifecycle {
    replace_triggered_by = [google_pubsub_topic.dead_letter[0].id]
  }
}

# Pub/Sub's service agent publishes to the dead-letter topic and acknowledges in the original
# subscription. Without these two grants, messages are not moved, and no error is reported.

resource "google_pubsub_topic_iam_member" "dead_letter_publisher" {
  count = local.dead_letter ? 1 : 0

  project = module.settings.project
  topic   = google_pubsub_topic.dead_letter[0].name
  role    = "roles/pubsub.publisher"
  member  = local.pubsub_agent

  lifecycle {
    replace_triggered_by = [google_pubsub_topic.dead_letter[0].id]
  }
}

resource "google_pubsub_subscription_iam_member" "dead_letter_acknowledger" {
  for_each = local.dead_letter ? module.settings.events : {}

  project      = module.settings.project
  subscription = google_pubsub_subscription.events[each.key].name
  role         = "roles/pubsub.subscriber"
  member       = local.pubsub_agent

  lifecycle {
    replace_triggered_by = [google_pubsub_subscription.events[each.key].id]
  }
}
