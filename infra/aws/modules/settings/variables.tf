# The same inputs as in the root module, with their checks but without defaults: the root module
# defines the defaults. account_id, partition and dns_suffix are those of the provider.

variable "account_id" {
  type     = string
  nullable = false
}

variable "partition" {
  type     = string
  nullable = false
}

variable "dns_suffix" {
  type     = string
  nullable = false
}

variable "regions" {
  type     = set(string)
  nullable = false

  validation {
    condition     = length(var.regions) > 0
    error_message = "regions must have at least one region."
  }

  validation {
    condition     = alltrue([for region in var.regions : can(regex("^[a-z]{2,}(-[a-z]+)+-[0-9]+$", region))])
    error_message = "regions must be regions such as eu-central-1, not availability zones."
  }
}

variable "prefix" {
  type     = string
  nullable = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,18}[a-z0-9]$", var.prefix))
    error_message = "prefix must have 2 to 20 lower-case letters, digits and hyphens, start with a letter and not end with a hyphen."
  }
}

variable "tags" {
  type     = map(string)
  nullable = false

  validation {
    condition     = alltrue([for key in keys(var.tags) : length(key) >= 1 && length(key) <= 128 && !startswith(lower(key), "aws:")])
    error_message = "tags: a key has 1 to 128 characters and does not start with \"aws:\", which AWS reserves."
  }

  validation {
    condition     = alltrue([for value in values(var.tags) : length(value) <= 256])
    error_message = "tags: a value has at most 256 characters."
  }

  validation {
    condition     = length(var.tags) <= 49
    error_message = "tags: at most 49, because a resource can have 50 and this module adds one."
  }
}

variable "member_accounts" {
  type     = set(string)
  nullable = false

  validation {
    condition     = alltrue([for account in var.member_accounts : can(regex("^[0-9]{12}$", account))])
    error_message = "member_accounts must be account ids of 12 digits."
  }
}

variable "message_retention_seconds" {
  type     = number
  nullable = false

  validation {
    condition     = var.message_retention_seconds >= 60 && var.message_retention_seconds <= 1209600 && floor(var.message_retention_seconds) == var.message_retention_seconds
    error_message = "message_retention_seconds must be a whole number from 60 to 1209600."
  }
}

variable "visibility_timeout_seconds" {
  type     = number
  nullable = false

  validation {
    condition     = var.visibility_timeout_seconds >= 30 && var.visibility_timeout_seconds <= 43200 && floor(var.visibility_timeout_seconds) == var.visibility_timeout_seconds
    error_message = "visibility_timeout_seconds must be a whole number from 30 to 43200."
  }
}

variable "maximum_event_age_seconds" {
  type     = number
  nullable = false

  validation {
    condition     = var.maximum_event_age_seconds >= 60 && var.maximum_event_age_seconds <= 86400 && floor(var.maximum_event_age_seconds) == var.maximum_event_age_seconds
    error_message = "maximum_event_age_seconds must be a whole number from 60 to 86400."
  }
}

variable "maximum_retry_attempts" {
  type     = number
  nullable = false

  validation {
    condition     = var.maximum_retry_attempts >= 0 && var.maximum_retry_attempts <= 185 && floor(var.maximum_retry_attempts) == var.maximum_retry_attempts
    error_message = "maximum_retry_attempts must be a whole number from 0 to 185."
  }
}

variable "dead_letter" {
  type     = bool
  nullable = false
}

variable "kms_key_arns" {
  type     = map(string)
  nullable = false

  # The ARN of a key that is created in the same apply is not known yet when planning.
  validation {
    condition     = alltrue([for arn in values(var.kms_key_arns) : can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/", arn))])
    error_message = "kms_key_arns must be ARNs of keys (arn:aws:kms:REGION:ACCOUNT:key/ID), not of aliases: policies cannot refer to an alias."
  }
}

variable "identity" {
  type     = string
  nullable = false

  validation {
    condition     = contains(["irsa", "pod_identity", "none"], var.identity)
    error_message = "identity must be \"irsa\", \"pod_identity\" or \"none\"."
  }
}

variable "role_name" {
  type = string

  validation {
    condition     = var.role_name == null || can(regex("^[A-Za-z0-9+=,.@_-]{1,64}$", var.role_name))
    error_message = "role_name must have 1 to 64 letters, digits and characters of +=,.@_-, without a path."
  }
}

variable "permissions_boundary_arn" {
  type = string

  validation {
    condition     = var.permissions_boundary_arn == null || can(regex("^arn:[a-z-]+:iam::([0-9]{12}|aws):policy/", var.permissions_boundary_arn))
    error_message = "permissions_boundary_arn must be the ARN of a policy, arn:aws:iam::ACCOUNT:policy/NAME."
  }
}

variable "oidc_provider_arn" {
  type = string

  validation {
    condition     = var.oidc_provider_arn == null || can(regex("^arn:[a-z-]+:iam::[0-9]{12}:oidc-provider/[^/]+", var.oidc_provider_arn))
    error_message = "oidc_provider_arn must be the ARN of an IAM OIDC provider, arn:aws:iam::ACCOUNT:oidc-provider/HOST/id/ID, not the issuer's URL."
  }
}

variable "cluster_name" {
  type = string

  validation {
    condition     = var.cluster_name == null || can(regex("^[0-9A-Za-z][A-Za-z0-9_-]{0,99}$", var.cluster_name))
    error_message = "cluster_name must be the name of an EKS cluster, not its ARN."
  }
}

variable "cluster_region" {
  type = string

  validation {
    condition     = var.cluster_region == null || can(regex("^[a-z]{2,}(-[a-z]+)+-[0-9]+$", var.cluster_region))
    error_message = "cluster_region must be a region such as eu-central-1."
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

variable "alarm_message_age_seconds" {
  type     = number
  nullable = false

  validation {
    condition     = var.alarm_message_age_seconds >= 60 && var.alarm_message_age_seconds <= 86400 && floor(var.alarm_message_age_seconds) == var.alarm_message_age_seconds
    error_message = "alarm_message_age_seconds must be a whole number from 60 to 86400."
  }
}

variable "alarm_actions" {
  type     = map(set(string))
  nullable = false

  validation {
    condition     = alltrue(flatten([for actions in values(var.alarm_actions) : [for action in actions : can(regex("^arn:", action))]]))
    error_message = "alarm_actions must be ARNs by region, for instance {eu-central-1 = [\"arn:aws:sns:eu-central-1:123456789012:alerts\"]}."
  }
}
