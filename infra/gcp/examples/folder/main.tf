# Sinks at a folder cover every project in it, including later ones. The exporter finds these projects with Cloud
# Asset Inventory and lists the instances of each. Topics and identity are in a separate project.

module "spot_interruption_exporter" {
  source = "../.."

  project       = "acme-monitoring"
  folder_id     = "123456789012"
  workload_pool = "acme-platform.svc.id.goog" # the cluster that runs the exporter

  # The custom role is created in the folder's organisation, because folders cannot have custom roles. Without this
  # line the exporter gets roles/compute.viewer and roles/cloudasset.viewer at the folder.
  custom_role_organization_id = "210987654321"

  # Only projects with this label.
  discover_query = "labels.env:prod"

  labels = {
    team = "platform"
  }
}

output "writer_identities" {
  description = "Who the sinks publish as."
  value       = module.spot_interruption_exporter.writer_identities
}

output "helm_values" {
  description = "terraform output -raw helm_values > values.yaml"
  value       = module.spot_interruption_exporter.helm_values
}
