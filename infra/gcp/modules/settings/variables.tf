# The same inputs as in the root module, with their checks but without defaults: the root module
# defines the defaults.

variable "project" {
  type     = string
  nullable = false

  validation {
    condition     = can(regex("^([a-z0-9.-]+:)?[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project))
    error_message = "project must be a project id (6 to 30 lower-case letters, digits and hyphens), not a number or a display name."
  }
}

variable "prefix" {
  type     = string
  nullable = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,18}[a-z0-9]$", var.prefix)) && !startswith(var.prefix, "goog")
    error_message = "prefix must have 2 to 20 lower-case letters, digits and hyphens, start with a letter, not end with a hyphen and not start with \"goog\", which Pub/Sub reserves."
  }
}

variable "labels" {
  type     = map(string)
  nullable = false

  validation {
    condition     = alltrue([for key in keys(var.labels) : can(regex("^[a-z][a-z0-9_-]{0,62}$", key))])
    error_message = "labels: a key has at most 63 lower-case letters, digits, hyphens and underscores and starts with a letter."
  }

  validation {
    condition     = alltrue([for value in values(var.labels) : can(regex("^[a-z0-9_-]{0,63}$", value))])
    error_message = "labels: a value has at most 63 lower-case letters, digits, hyphens and underscores."
  }

  validation {
    condition     = length(var.labels) <= 60
    error_message = "labels: at most 60, because a resource can have 64 and Google and this module add some."
  }
}

variable "pubsub" {
  type     = bool
  nullable = false
}

variable "monitored_projects" {
  type     = set(string)
  nullable = false

  validation {
    condition     = alltrue([for project in var.monitored_projects : can(regex("^([a-z0-9.-]+:)?[a-z][a-z0-9-]{4,28}[a-z0-9]$", project))])
    error_message = "monitored_projects must be project ids, not numbers or display names."
  }
}

variable "folder_id" {
  type = string

  validation {
    condition     = var.folder_id == null || can(regex("^[0-9]+$", var.folder_id))
    error_message = "folder_id must be digits only, without \"folders/\"."
  }
}

variable "organization_id" {
  type = string

  validation {
    condition     = var.organization_id == null || can(regex("^[0-9]+$", var.organization_id))
    error_message = "organization_id must be digits only, without \"organizations/\"."
  }
}

variable "discover" {
  type     = bool
  nullable = false
}

variable "discover_query" {
  type = string

  validation {
    # A null must not reach trimspace(), hence the conditional rather than "||".
    condition     = var.discover_query == null ? true : trimspace(var.discover_query) != ""
    error_message = "discover_query must be a search query of Cloud Asset Inventory such as labels.env:prod, or null."
  }
}

variable "project_name" {
  type = string

  validation {
    condition     = var.project_name == null || can(regex("^([a-z0-9.-]+:)?[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project_name))
    error_message = "project_name must be a project id, not a number or a display name."
  }
}

variable "extra_interruption_methods" {
  type     = list(string)
  nullable = false

  validation {
    # The value must not terminate the quoted string that it is inserted into.
    condition     = alltrue([for method in var.extra_interruption_methods : can(regex("^[A-Za-z][A-Za-z0-9_]*([.][A-Za-z][A-Za-z0-9_]*)+$", method))])
    error_message = "extra_interruption_methods must be audit-log method names such as compute.instances.hostError."
  }
}

variable "bulk_insert_name_pattern" {
  type = string

  validation {
    # A null must not reach length() or regex(), hence the conditional rather than "||".
    condition     = var.bulk_insert_name_pattern == null ? true : length(var.bulk_insert_name_pattern) > 0 && can(regexall(var.bulk_insert_name_pattern, ""))
    error_message = "bulk_insert_name_pattern must be a regular expression in RE2 syntax, or null."
  }

  validation {
    condition     = var.bulk_insert_name_pattern == null ? true : !can(regex("[\"\\\\\\n\\r]", var.bulk_insert_name_pattern))
    error_message = "bulk_insert_name_pattern must have no quotation mark, backslash or line break; instance names need none."
  }
}

variable "message_retention_duration" {
  type     = string
  nullable = false

  validation {
    condition = (
      can(regex("^[0-9]+s$", var.message_retention_duration))
      && try(tonumber(trimsuffix(var.message_retention_duration, "s")) >= 600, false)
      && try(tonumber(trimsuffix(var.message_retention_duration, "s")) <= 2678400, false)
    )
    error_message = "message_retention_duration must be whole seconds from 600s to 2678400s, for instance 604800s."
  }
}

variable "ack_deadline_seconds" {
  type     = number
  nullable = false

  validation {
    condition     = var.ack_deadline_seconds >= 10 && var.ack_deadline_seconds <= 600 && floor(var.ack_deadline_seconds) == var.ack_deadline_seconds
    error_message = "ack_deadline_seconds must be a whole number from 10 to 600."
  }
}

variable "retry_minimum_backoff" {
  type     = string
  nullable = false

  validation {
    condition     = can(regex("^[0-9]+s$", var.retry_minimum_backoff)) && try(tonumber(trimsuffix(var.retry_minimum_backoff, "s")) <= 600, false)
    error_message = "retry_minimum_backoff must be whole seconds from 0s to 600s."
  }
}

variable "retry_maximum_backoff" {
  type     = string
  nullable = false

  validation {
    condition     = can(regex("^[0-9]+s$", var.retry_maximum_backoff)) && try(tonumber(trimsuffix(var.retry_maximum_backoff, "s")) <= 600, false)
    error_message = "retry_maximum_backoff must be whole seconds from 0s to 600s."
  }
}

variable "max_delivery_attempts" {
  type     = number
  nullable = false

  validation {
    condition     = var.max_delivery_attempts >= 5 && var.max_delivery_attempts <= 100 && floor(var.max_delivery_attempts) == var.max_delivery_attempts
    error_message = "max_delivery_attempts must be a whole number from 5 to 100."
  }
}

variable "message_storage_regions" {
  type     = set(string)
  nullable = false

  validation {
    condition     = alltrue([for region in var.message_storage_regions : can(regex("^[a-z]+-[a-z]+[0-9]+$", region))])
    error_message = "message_storage_regions must be regions such as europe-west1, not zones or multi-regions."
  }
}

variable "kms_key_name" {
  type = string

  validation {
    condition     = var.kms_key_name == null || can(regex("^projects/[^/]+/locations/[^/]+/keyRings/[^/]+/cryptoKeys/[^/]+$", var.kms_key_name))
    error_message = "kms_key_name must be projects/P/locations/L/keyRings/R/cryptoKeys/K, without a key version."
  }
}

variable "identity" {
  type     = string
  nullable = false

  validation {
    condition     = contains(["service_account", "principal"], var.identity)
    error_message = "identity must be \"service_account\" or \"principal\"."
  }
}

variable "service_account_id" {
  type = string

  validation {
    condition     = var.service_account_id == null || can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.service_account_id))
    error_message = "service_account_id must have 6 to 30 lower-case letters, digits and hyphens, start with a letter and not end with a hyphen."
  }
}

variable "kubernetes_service_account_namespace" {
  type     = string
  nullable = false

  validation {
    condition     = can(regex("^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$", var.kubernetes_service_account_namespace))
    error_message = "kubernetes_service_account_namespace must be a Kubernetes namespace (a DNS label)."
  }
}

variable "kubernetes_service_account_name" {
  type     = string
  nullable = false

  validation {
    condition     = length(var.kubernetes_service_account_name) <= 253 && can(regex("^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$", var.kubernetes_service_account_name))
    error_message = "kubernetes_service_account_name must be the name of a Kubernetes service account (a DNS subdomain)."
  }
}

variable "workload_pool" {
  type = string

  validation {
    condition     = var.workload_pool == null || can(regex("^([a-z0-9.-]+:)?[a-z][a-z0-9-]{4,28}[a-z0-9][.]svc[.]id[.]goog$", var.workload_pool))
    error_message = "workload_pool must be PROJECT_ID.svc.id.goog."
  }
}

variable "compute_role" {
  type = string

  validation {
    condition     = var.compute_role == null || can(regex("^(roles/[A-Za-z0-9.]+|(projects|organizations)/[^/]+/roles/[A-Za-z0-9_.]+)$", var.compute_role))
    error_message = "compute_role must be roles/R, organizations/N/roles/R or projects/P/roles/R."
  }
}

variable "custom_role_organization_id" {
  type = string

  validation {
    condition     = var.custom_role_organization_id == null || can(regex("^[0-9]+$", var.custom_role_organization_id))
    error_message = "custom_role_organization_id must be digits only, without \"organizations/\"."
  }
}

variable "asset_role" {
  type = string

  validation {
    condition     = var.asset_role == null || can(regex("^(roles/[A-Za-z0-9.]+|organizations/[^/]+/roles/[A-Za-z0-9_.]+)$", var.asset_role))
    error_message = "asset_role must be roles/R or organizations/N/roles/R: it is granted at a folder or an organisation."
  }
}

variable "project_numbers" {
  type     = map(string)
  nullable = false

  validation {
    condition     = alltrue([for number in values(var.project_numbers) : can(regex("^[0-9]+$", number))])
    error_message = "project_numbers must map project ids to numbers, digits only."
  }
}

variable "alert_unacked_age" {
  type     = string
  nullable = false

  validation {
    condition = (
      can(regex("^[0-9]+s$", var.alert_unacked_age))
      && try(tonumber(trimsuffix(var.alert_unacked_age, "s")) >= 60, false)
      && try(tonumber(trimsuffix(var.alert_unacked_age, "s")) <= 86400, false)
    )
    error_message = "alert_unacked_age must be whole seconds from 60s to 86400s, for instance 600s."
  }
}

variable "alert_notification_channels" {
  type     = set(string)
  nullable = false

  validation {
    condition     = alltrue([for channel in var.alert_notification_channels : can(regex("^projects/[^/]+/notificationChannels/[^/]+$", channel))])
    error_message = "alert_notification_channels must be projects/P/notificationChannels/N."
  }
}
