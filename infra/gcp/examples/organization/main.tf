# The same for a whole organisation, with a role of the organisation in place of a custom role
# in each project.

resource "google_organization_iam_custom_role" "instance_reader" {
  org_id      = "123456789012"
  role_id     = "spot_interruption_exporter_instance_reader"
  title       = "Spot interruption exporter: instance reader"
  permissions = ["compute.instances.get", "compute.instances.list"]
}

module "spot_interruption_exporter" {
  source = "../.."

  project         = "acme-monitoring"
  organization_id = "123456789012"
  workload_pool   = "acme-platform.svc.id.goog"

  monitored_projects = ["acme-shop-prod", "acme-search-prod"]
  compute_role       = "organizations/123456789012/roles/${google_organization_iam_custom_role.instance_reader.role_id}"
}

output "helm_values" {
  description = "terraform output -raw helm_values > values.yaml"
  value       = module.spot_interruption_exporter.helm_values
}
