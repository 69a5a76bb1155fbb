# One region. The exporter gets its role by EKS Pod Identity: an association in the cluster instead of an annotation of the
# service account. The cluster needs the add-on eks-pod-identity-agent.

provider "aws" {
  region = "eu-central-1"
}

module "spot_interruption_exporter" {
  source = "../.."

  regions      = ["eu-central-1"]
  identity     = "pod_identity"
  cluster_name = "platform"
}

output "helm_values" {
  description = "terraform output -raw helm_values > values.yaml"
  value       = module.spot_interruption_exporter.helm_values
}
