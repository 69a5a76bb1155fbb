# An organisation: the sinks, the custom role and its grant are created at the organisation.

module "spot_interruption_exporter" {
  source = "../.."

  project         = "acme-monitoring"
  organization_id = "123456789012"
  workload_pool   = "acme-platform.svc.id.goog"
}

output "helm_values" {
  description = "terraform output -raw helm_values > values.yaml"
  value       = module.spot_interruption_exporter.helm_values
}
