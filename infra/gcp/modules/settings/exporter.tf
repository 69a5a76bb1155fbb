# What the exporter must be told.

locals {
  # Full names, so that they hold wherever project_name points.
  exporter_config = merge(
    {
      # It lists the instances of one project. With a single project watched from
      # another one, that is the one watched.
      project_name = length(local.monitored_projects) == 1 ? one(local.monitored_projects) : var.project
      pubsub = {
        for event in keys(local.events) :
        "instance_${event}_subscription_name" => "projects/${var.project}/subscriptions/${local.events[event].subscription}"
      }
    },
    length(local.interruption_methods) > 1 ? { interruption_methods = local.interruption_methods } : {},
  )

  helm_values = {
    config = local.exporter_config
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
