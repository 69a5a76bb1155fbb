# Configuration of the exporter.

locals {
  exporter_config = {
    aws = merge(
      { queue_urls = [for region in sort(var.regions) : local.regions[region].queue_url] },
      length(var.member_accounts) > 0 ? { role_arns = local.member_reader_arns } : {},
    )
  }

  helm_values = {
    config = local.exporter_config
    serviceAccount = merge(
      {
        create = true
        name   = var.kubernetes_service_account_name
      },
      var.identity == "irsa" ? { annotations = { "eks.amazonaws.com/role-arn" = local.role_arn } } : {},
    )
    # The role can be used only from this namespace.
    namespaceOverride = var.kubernetes_service_account_namespace
  }
}
