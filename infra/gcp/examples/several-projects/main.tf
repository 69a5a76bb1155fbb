# Three projects: two sinks, a custom role and a grant in each. Topics and identity are in one of them.

module "spot_interruption_exporter" {
  source = "../.."

  project            = "acme-platform"
  monitored_projects = ["acme-platform", "acme-shop-prod", "acme-search-prod"]
}

output "helm_values" {
  description = "terraform output -raw helm_values > values.yaml"
  value       = module.spot_interruption_exporter.helm_values
}
