# No Google service account: the Kubernetes service account is granted the roles directly. A second,
# independent set of resources in the same project has another prefix.

module "production" {
  source = "../.."

  project  = "acme-prod"
  identity = "principal"
}

module "trial" {
  source = "../.."

  project  = "acme-prod"
  prefix   = "sie-trial"
  identity = "principal"

  kubernetes_service_account_namespace = "spot-interruption-exporter-trial"

  # The first set enables them.
  enable_apis = false
}

output "helm_values" {
  description = "For each of the two, as YAML."
  value = {
    production = module.production.helm_values
    trial      = module.trial.helm_values
  }
}
