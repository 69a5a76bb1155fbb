# Inputs of the module. They are not used directly: settings.tf passes them to modules/settings,
# which checks them, and the resources use only its outputs.

variable "project" {
  description = "Project that holds the topics, the subscriptions and the exporter's service account. By default also the project whose instances are listed."
  type        = string
}

variable "prefix" {
  description = "Prefix of all names. A different prefix creates a second, independent set of resources in the same project."
  type        = string
  default     = "sie"
}

variable "labels" {
  description = "Labels for all resources that support them, in addition to `app = spot-interruption-exporter`."
  type        = map(string)
  default     = {}
}

variable "enable_apis" {
  description = "Enable the required APIs in `project`. They stay enabled after a destroy, because others may use them."
  type        = bool
  default     = true
}

variable "pubsub" {
  description = "Create the sinks, topics and subscriptions. If false, only the identity and its read access are created: the exporter then detects interruptions by Compute Engine's operations, half a minute later than with Pub/Sub."
  type        = bool
  default     = true
}

# Log entries

variable "monitored_projects" {
  description = "Projects whose spot instances are counted; empty means `project`. Each gets two sinks (unless a folder or an organisation is set) and allows the exporter to list its instances. With a folder or an organisation: projects that are listed in addition to those found in it."
  type        = set(string)
  default     = []
}

variable "folder_id" {
  description = "Id of a folder to cover with everything in it: two sinks at the folder instead of two in each monitored project, and permission for the exporter to find and list the projects in it (see `discover`). Digits only, known when planning."
  type        = string
  default     = null
}

variable "organization_id" {
  description = "Id of an organisation to cover, like `folder_id`. Digits only, known when planning; cannot be combined with `folder_id`."
  type        = string
  default     = null
}

variable "discover" {
  description = "With `folder_id` or `organization_id`: grant the exporter read access at that node, so that it finds the projects in it with Cloud Asset Inventory. If false, no access is granted there, and only `monitored_projects` are listed."
  type        = bool
  default     = true
}

variable "discover_query" {
  description = "Search query that restricts which projects are found, for instance `labels.env:prod state:ACTIVE`. Null means all."
  type        = string
  default     = null
}

variable "project_name" {
  description = "The exporter's `project_name`: a project that it always lists, and that its durable state belongs to. With durable state, set it before you add a second project. Null means the monitored project if there is exactly one, else `project`."
  type        = string
  default     = null
}

variable "extra_interruption_methods" {
  description = "Audit log methods that count as interruptions, in addition to `compute.instances.preempted`, for instance `compute.instances.hostError`. The exporter needs the same setting, which `helm_values` and `exporter_config` contain."
  type        = list(string)
  default     = []
}

variable "bulk_insert_name_pattern" {
  description = "Regular expression (RE2) that the whole name of a VM from a bulk insert must match for its entry to be forwarded, for instance `(gke|gk3)-.*`. Such entries have no labels. Null forwards all of them, and the exporter looks up each VM."
  type        = string
  default     = null
}

# Retention and delivery

variable "message_retention_duration" {
  description = "How long a subscription keeps unacknowledged messages: the longest outage without loss. 600s to 2678400s (31 days)."
  type        = string
  default     = "604800s"
}

variable "ack_deadline_seconds" {
  description = "Seconds before Pub/Sub redelivers an unacknowledged message, 10 to 600. The exporter extends it for messages that it holds."
  type        = number
  default     = 60
}

variable "retry_minimum_backoff" {
  description = "Minimum delay before an unacknowledged message is redelivered, 0s to 600s."
  type        = string
  default     = "10s"
}

variable "retry_maximum_backoff" {
  description = "Maximum delay before an unacknowledged message is redelivered, 0s to 600s."
  type        = string
  default     = "300s"
}

variable "dead_letter" {
  description = "Move a message that was not acknowledged after `max_delivery_attempts` deliveries to a dead-letter topic, which has a subscription."
  type        = bool
  default     = true
}

variable "max_delivery_attempts" {
  description = "Delivery attempts before a message becomes a dead letter, 5 to 100."
  type        = number
  default     = 20
}

variable "exactly_once_delivery" {
  description = "Pub/Sub's exactly-once delivery. The exporter recognises duplicates itself and does not need it; it adds latency."
  type        = bool
  default     = false
}

variable "message_storage_regions" {
  description = "Regions in which Pub/Sub may store messages; empty means all regions that the organisation's policy allows."
  type        = set(string)
  default     = []
}

variable "kms_key_name" {
  description = "Cloud KMS key for the topics: `projects/P/locations/L/keyRings/R/cryptoKeys/K`. Null means Google-managed keys."
  type        = string
  default     = null
}

variable "grant_kms_access" {
  description = "Let Pub/Sub's service agent use `kms_key_name`. Leave it off if the owners of the key grant this permission."
  type        = bool
  default     = false
}

# Identity of the exporter

variable "identity" {
  description = "`service_account`: the pod uses a Google service account that this module creates. `principal`: the Kubernetes service account is granted its roles directly and there is no Google service account."
  type        = string
  default     = "service_account"
}

variable "service_account_id" {
  description = "Account id of the Google service account. Null means `spot-interruption-exporter`, or `PREFIX-exporter` with a prefix other than `sie`."
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

variable "workload_pool" {
  description = "Workload identity pool of the cluster that the exporter runs in, `CLUSTER_PROJECT.svc.id.goog`. Null means the pool of `project`."
  type        = string
  default     = null
}

variable "compute_role" {
  description = "Role to grant in each monitored project, and at the folder or organisation, instead of a custom role that lists and gets instances and lists operations: an organisation's role (`organizations/1/roles/r`) or `roles/compute.viewer`. Must be known when planning."
  type        = string
  default     = null
}

variable "custom_role_organization_id" {
  description = "With `folder_id`: the organisation that the folder belongs to. The custom role is created there, because folders cannot have custom roles. Null grants `roles/compute.viewer` and `asset_role` at the folder instead. Digits only, known when planning."
  type        = string
  default     = null
}

variable "asset_role" {
  description = "Role for finding projects, granted at the folder or organisation if no custom role with `cloudasset.assets.searchAllResources` is created there. Null if `compute_role` has that permission."
  type        = string
  default     = "roles/cloudasset.viewer"
}

variable "project_numbers" {
  description = "Project numbers by project id. Missing numbers are looked up, which requires `resourcemanager.projects.get`."
  type        = map(string)
  default     = {}
}

# Alert policies

variable "alert_policies" {
  description = "Create alert policies in Cloud Monitoring: for messages that wait too long in one of the two subscriptions, and for any dead letter. They work while Prometheus and the exporter are down."
  type        = bool
  default     = false
}

variable "alert_unacked_age" {
  description = "Age of the oldest unacknowledged message at which the alert policy opens an incident, 60s to 86400s."
  type        = string
  default     = "600s"
}

variable "alert_notification_channels" {
  description = "Cloud Monitoring notification channels of the alert policies: `projects/P/notificationChannels/N`. Without a channel, incidents are only visible in the console."
  type        = set(string)
  default     = []
}
