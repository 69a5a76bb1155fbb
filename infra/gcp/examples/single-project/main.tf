# One project with all defaults.

module "spot_interruption_exporter" {
  source = "../.."

  project = var.project
}

variable "project" {
  description = "Project of the GKE clusters."
  type        = string
}

output "helm_values" {
  description = "terraform output -raw helm_values > values.yaml"
  value       = module.spot_interruption_exporter.helm_values
}
