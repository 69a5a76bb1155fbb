output "topics" {
  description = "Topics by kind of event (`interruption`, `creation`), as `projects/P/topics/T`."
  value       = { for event, topic in google_pubsub_topic.events : event => topic.id }
}

output "subscriptions" {
  description = "Subscriptions by kind of event, as `projects/P/subscriptions/S`."
  value       = { for event, subscription in google_pubsub_subscription.events : event => subscription.id }
}

output "dead_letter_topic" {
  description = "The dead-letter topic, or null."
  value       = one(google_pubsub_topic.dead_letter[*].id)
}

output "dead_letter_subscription" {
  description = "The dead-letter topic's subscription, or null."
  value       = one(google_pubsub_subscription.dead_letter[*].id)
}

output "filters" {
  description = "The sinks' filters by kind of event, in the query language of Cloud Logging."
  value       = { for event, settings in module.settings.events : event => settings.filter }
}

output "writer_identities" {
  description = "Identities of the sinks, by `EVENT/PROJECT`, `EVENT/folder` or `EVENT/organization`."
  value       = { for key, writer in local.writers : key => writer.member }
}

output "service_account_email" {
  description = "E-mail address of the Google service account, or null with `identity = \"principal\"`."
  value       = one(google_service_account.exporter[*].email)
}

output "exporter_member" {
  description = "The exporter as an IAM member, for additional grants."
  value       = local.exporter_member
}

output "exporter_config" {
  description = "Required content of the exporter's configuration file, as YAML."
  value       = module.settings.exporter_config

  precondition {
    condition     = var.pubsub || !var.alert_policies
    error_message = "alert_policies monitors the two subscriptions, which do not exist with pubsub = false."
  }
}

output "helm_values" {
  description = "Values for the exporter's Helm chart, as YAML: `terraform output -raw helm_values > values.yaml`."
  value       = module.settings.helm_values
}
