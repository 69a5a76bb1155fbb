variable "queue_arns" {
  description = "Queues of the central account by region, its output `queue_arns`. Each of these regions gets a rule."
  type        = map(string)
  nullable    = false

  validation {
    condition     = length(var.queue_arns) > 0 && alltrue([for region in keys(var.queue_arns) : can(regex("^[a-z]{2,}(-[a-z]+)+-[0-9]+$", region))])
    error_message = "queue_arns must have at least one region such as eu-central-1."
  }

  validation {
    condition     = alltrue([for region, arn in var.queue_arns : can(regex("^arn:[a-z-]+:sqs:${region}:[0-9]{12}:[A-Za-z0-9_-]+$", arn))])
    error_message = "queue_arns must be ARNs of queues by region: a rule's target must be in the rule's region."
  }
}

variable "exporter_role_arn" {
  description = "The exporter's role in the central account, its output `role_arn`: it may assume the role that is created here."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^arn:[a-z-]+:iam::[0-9]{12}:(role|user)/", var.exporter_role_arn))
    error_message = "exporter_role_arn must be the ARN of a role, arn:aws:iam::ACCOUNT:role/NAME."
  }
}

variable "prefix" {
  description = "Prefix of all names: the same as in the central account, which refers to these names."
  type        = string
  default     = "sie"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,18}[a-z0-9]$", var.prefix))
    error_message = "prefix must have 2 to 20 lower-case letters, digits and hyphens, start with a letter and not end with a hyphen."
  }
}

variable "tags" {
  description = "Tags for all resources that support them, in addition to `app = spot-interruption-exporter`."
  type        = map(string)
  default     = {}
  nullable    = false
}

variable "kms_key_arns" {
  description = "Customer managed KMS keys of the queues in the central account, by region. Their policies must allow the role `PREFIX-forwarder` of this account `kms:GenerateDataKey` and `kms:Decrypt`."
  type        = map(string)
  default     = {}
  nullable    = false
}

variable "maximum_event_age_seconds" {
  description = "How long EventBridge retries to send an event to the queue, 60 to 86400."
  type        = number
  default     = 86400
  nullable    = false

  validation {
    condition     = var.maximum_event_age_seconds >= 60 && var.maximum_event_age_seconds <= 86400 && floor(var.maximum_event_age_seconds) == var.maximum_event_age_seconds
    error_message = "maximum_event_age_seconds must be a whole number from 60 to 86400."
  }
}

variable "maximum_retry_attempts" {
  description = "How often EventBridge retries to send an event to the queue, 0 to 185."
  type        = number
  default     = 185
  nullable    = false

  validation {
    condition     = var.maximum_retry_attempts >= 0 && var.maximum_retry_attempts <= 185 && floor(var.maximum_retry_attempts) == var.maximum_retry_attempts
    error_message = "maximum_retry_attempts must be a whole number from 0 to 185."
  }
}

variable "dead_letter" {
  description = "Keep events that EventBridge could not send to the central account in a dead-letter queue of this account. Otherwise they are dropped."
  type        = bool
  default     = true
  nullable    = false
}

variable "permissions_boundary_arn" {
  description = "Permissions boundary of both roles."
  type        = string
  default     = null
}
