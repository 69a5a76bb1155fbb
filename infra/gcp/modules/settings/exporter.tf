# What the exporter must be told.

locals {
  # Full names, so that they hold wherever project_name points.
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

  # Which projects are listed beside project_name, if any. The exporter adds project_name itself.
  gcp_config = merge(
    length(local.listed_projects) > 1 ? { projects = sort(local.monitored_projects) } : {},
    local.discover ? { discover = "${local.sink_parent}s/${coalesce(var.folder_id, var.organization_id)}" } : {},
    local.discover && var.discover_query != null ? { discover_query = var.discover_query } : {},
  )

  helm_values = {
    # Null takes the chart's own subscription names away.
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
    # Workload identity holds for this namespace only.
    namespaceOverride = var.kubernetes_service_account_namespace
  }
}
