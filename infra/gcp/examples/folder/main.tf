# Sinks at a folder see every project below it, those made later too. The topics and the exporter
# live in a project of their own; the exporter lists the instances of one project, `project_name`
# of its configuration, and learns of the others' nodes from their creation events.

module "spot_interruption_exporter" {
  source = "../.."

  project       = "acme-monitoring"
  folder_id     = "123456789012"
  workload_pool = "acme-platform.svc.id.goog" # the cluster that runs the exporter

  # Read access to instances remains a matter of each project.
  monitored_projects = ["acme-shop-prod", "acme-search-prod"]

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
