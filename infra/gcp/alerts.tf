# Optional alert policies in Cloud Monitoring, which work without Prometheus. The alerts in deploy/rules require a
# Prometheus that scrapes the exporter.

resource "google_monitoring_alert_policy" "oldest_unacked_message" {
  for_each = var.alert_policies ? module.settings.events : {}

  project      = module.settings.project
  display_name = "Spot interruption exporter: ${each.value.subscription} is not read"
  combiner     = "OR"
  user_labels  = module.settings.labels

  conditions {
    display_name = "A message waits longer than ${var.alert_unacked_age}"

    condition_threshold {
      filter = join(" AND ", [
        "resource.type = \"pubsub_subscription\"",
        "resource.labels.subscription_id = \"${each.value.subscription}\"",
        "metric.type = \"pubsub.googleapis.com/subscription/oldest_unacked_message_age\"",
      ])
      comparison      = "COMPARISON_GT"
      threshold_value = module.settings.alerts.unacked_seconds
      duration        = "0s"

      aggregations {
        alignment_period   = "60s"
        per_series_aligner = "ALIGN_MAX"
      }
    }
  }

  documentation {
    mime_type = "text/markdown"
    content   = <<-EOT
      The exporter does not acknowledge what arrives in `${each.value.subscription}`. Nothing is lost for
      ${var.message_retention_duration}, but interruptions are not counted meanwhile. Ask the exporter's `/ready` what is
      missing, and look at its log; a subscription without a consumer at all means that its pod is not running.
    EOT
  }

  notification_channels = module.settings.alerts.notification_channels

  depends_on = [google_project_service.needed]
}

resource "google_monitoring_alert_policy" "dead_letters" {
  count = var.alert_policies && local.dead_letter ? 1 : 0

  project      = module.settings.project
  display_name = "Spot interruption exporter: ${module.settings.dead_letter.subscription} has messages"
  combiner     = "OR"
  user_labels  = module.settings.labels

  conditions {
    display_name = "A message could not be processed"

    condition_threshold {
      filter = join(" AND ", [
        "resource.type = \"pubsub_subscription\"",
        "resource.labels.subscription_id = \"${module.settings.dead_letter.subscription}\"",
        "metric.type = \"pubsub.googleapis.com/subscription/num_undelivered_messages\"",
      ])
      comparison      = "COMPARISON_GT"
      threshold_value = 0
      duration        = "0s"

      aggregations {
        alignment_period   = "60s"
        per_series_aligner = "ALIGN_MAX"
      }
    }
  }

  documentation {
    mime_type = "text/markdown"
    content   = <<-EOT
      Messages were delivered ${module.settings.dead_letter.max_delivery_attempts} times without being acknowledged. The
      exporter acknowledges what it cannot read, so each is worth a look:
      `gcloud pubsub subscriptions pull ${module.settings.dead_letter.subscription} --project=${module.settings.project} --limit=5`
    EOT
  }

  notification_channels = module.settings.alerts.notification_channels

  depends_on = [google_project_service.needed]
}
