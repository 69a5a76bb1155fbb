# One region. The exporter runs in an EKS cluster and gets its role by the cluster's OIDC provider (IAM roles for service
# accounts). The chart annotates the service account with the role.

provider "aws" {
  region = "eu-central-1"
}

module "spot_interruption_exporter" {
  source = "../.."

  regions           = ["eu-central-1"]
  identity          = "irsa"
  oidc_provider_arn = var.oidc_provider_arn
}

variable "oidc_provider_arn" {
  description = "IAM OIDC provider of the cluster that the exporter runs in, such as module.eks.oidc_provider_arn."
  type        = string
}

output "helm_values" {
  description = "terraform output -raw helm_values > values.yaml"
  value       = module.spot_interruption_exporter.helm_values
}
