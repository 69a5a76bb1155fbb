# Only the identity and its read access: no sinks, topics or subscriptions. The exporter learns of interruptions from Compute
# Engine's own operations. Taking the line away later adds Pub/Sub, by which they come within seconds.

module "spot_interruption_exporter" {
  source = "../.."

  project = "acme-prod"
  pubsub  = false
}

output "helm_values" {
  description = "terraform output -raw helm_values > values.yaml"
  value       = module.spot_interruption_exporter.helm_values
}
