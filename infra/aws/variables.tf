# Inputs of the module. They are not used directly: settings.tf passes them to modules/settings,
# which checks them, and the resources use only its outputs.

variable "regions" {
  description = "Regions whose spot instances are counted, for instance `[\"eu-central-1\"]`. Each gets a queue and a rule, because a rule's target must be in the rule's region."
  type        = set(string)
}

variable "prefix" {
  description = "Prefix of all names. A different prefix creates a second, independent set of resources in the same account."
  type        = string
  default     = "sie"
}

variable "tags" {
  description = "Tags for all resources that support them, in addition to `app = spot-interruption-exporter`."
  type        = map(string)
  default     = {}
}

variable "member_accounts" {
  description = "Ids of further accounts whose spot instances are counted. Their rules may send to the queues, and the exporter may assume the role that [modules/member](modules/member) creates in each of them."
  type        = set(string)
  default     = []
}

# Retention and delivery

variable "message_retention_seconds" {
  description = "How long a queue keeps messages that were not deleted: the longest outage of the exporter without loss. 60 to 1209600 (14 days, the longest that SQS supports)."
  type        = number
  default     = 1209600
}

variable "visibility_timeout_seconds" {
  description = "Seconds before SQS redelivers a message that was received and not deleted, 30 to 43200. Only a default: the exporter sets its own timeout with each request."
  type        = number
  default     = 120
}

variable "maximum_event_age_seconds" {
  description = "How long EventBridge retries to send an event to the queue, 60 to 86400."
  type        = number
  default     = 86400
}

variable "maximum_retry_attempts" {
  description = "How often EventBridge retries to send an event to the queue, 0 to 185."
  type        = number
  default     = 185
}

variable "dead_letter" {
  description = "Keep events that EventBridge could not send to the queue in a dead-letter queue. Otherwise they are dropped."
  type        = bool
  default     = true
}

variable "kms_key_arns" {
  description = "Customer managed KMS keys of the queues, by region: every region or none. EventBridge must be allowed to use the keys by their policies, see [examples/customer-key](examples/customer-key/main.tf). Empty means keys that SQS manages (SSE-SQS)."
  type        = map(string)
  default     = {}
}

# Identity of the exporter

variable "identity" {
  description = "How the exporter's pod gets its credentials. `irsa`: a role for the service account, by the cluster's OIDC provider (`oidc_provider_arn`). `pod_identity`: a role for the service account, by EKS Pod Identity (`cluster_name`). `none`: no role is created; attach `exporter_policy` to an identity of your own."
  type        = string
}

variable "role_name" {
  description = "Name of the exporter's role. Null means `spot-interruption-exporter`, or `PREFIX-exporter` with a prefix other than `sie`."
  type        = string
  default     = null
}

variable "permissions_boundary_arn" {
  description = "Permissions boundary of the exporter's role."
  type        = string
  default     = null
}

variable "oidc_provider_arn" {
  description = "With `identity = \"irsa\"`: the IAM OIDC provider of the cluster that the exporter runs in, `arn:aws:iam::ACCOUNT:oidc-provider/oidc.eks.REGION.amazonaws.com/id/ID`."
  type        = string
  default     = null
}

variable "cluster_name" {
  description = "With `identity = \"pod_identity\"`: the EKS cluster that the exporter runs in. It needs the add-on `eks-pod-identity-agent`."
  type        = string
  default     = null
}

variable "cluster_region" {
  description = "With `identity = \"pod_identity\"`: the cluster's region. Null means the provider's region."
  type        = string
  default     = null
}

variable "kubernetes_service_account_namespace" {
  description = "Namespace of the exporter's Kubernetes service account."
  type        = string
  default     = "spot-interruption-exporter"
}

variable "kubernetes_service_account_name" {
  description = "Name of the exporter's Kubernetes service account."
  type        = string
  default     = "spot-interruption-exporter-sa"
}

# Alarms

variable "alarms" {
  description = "Create CloudWatch alarms: for messages that wait too long in a queue, and for any dead letter. They work while Prometheus and the exporter are down."
  type        = bool
  default     = false
}

variable "alarm_message_age_seconds" {
  description = "Age of the oldest message in a queue at which the alarm goes off, 60 to 86400."
  type        = number
  default     = 600
}

variable "alarm_actions" {
  description = "What the alarms notify, by region: ARNs of SNS topics in that region. Without an action, alarms are only visible in the console."
  type        = map(set(string))
  default     = {}
}
