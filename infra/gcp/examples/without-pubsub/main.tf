# Only the identity and its read access: no sinks, topics or subscriptions. The exporter detects interruptions by Compute
# Engine's operations. Removing the line adds Pub/Sub, with which interruptions arrive within seconds.

module "spot_interruption_exporter" {
  source = "../.."

  project = "acme-prod"
  pubsub  = false
}

output "helm_values" {
  description = "terraform output -raw helm_values > values.yaml"
  value       = module.spot_interruption_exporter.helm_values
}
