# Configuration of the exporter.

locals {
  # Full names, because project_name can be another project.
  exporter_config = merge(
    {
      project_name = local.project_name
    },
    var.pubsub ? {
      pubsub = {
        for event in keys(local.events) :
        "instance_${event}_subscription_name" => "projects/${var.project}/subscriptions/${local.events[event].subscription}"
      }
    } : {},
    length(local.gcp_config) > 0 ? { gcp = local.gcp_config } : {},
    length(local.interruption_methods) > 1 ? { interruption_methods = local.interruption_methods } : {},
  )

  # Projects that are listed in addition to project_name, which the exporter always adds.
  gcp_config = merge(
    length(local.listed_projects) > 1 ? { projects = sort(local.monitored_projects) } : {},
    local.discover ? { discover = "${local.sink_parent}s/${coalesce(var.folder_id, var.organization_id)}" } : {},
    local.discover && var.discover_query != null ? { discover_query = var.discover_query } : {},
  )

  helm_values = {
    # Null removes the default subscription names of the chart.
    config = merge(local.exporter_config, var.pubsub ? {} : { pubsub = null })
    serviceAccount = merge(
      {
        create = true
        name   = var.kubernetes_service_account_name
      },
      local.service_account_email == null ? {} : {
        annotations = { "iam.gke.io/gcp-service-account" = local.service_account_email }
      },
    )
    # Workload identity is granted only for this namespace.
    namespaceOverride = var.kubernetes_service_account_namespace
  }
}
