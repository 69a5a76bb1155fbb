# What the caller writes. Nothing here is used directly: settings.tf hands it all to
# modules/settings, which checks it, and the resources use only what comes back.

variable "project" {
  description = "Project that holds the topics, the subscriptions and the exporter's service account. By default also the one whose instances are watched."
  type        = string
}

variable "prefix" {
  description = "First part of every name made here. Another prefix makes a second, independent set in the same project."
  type        = string
  default     = "sie"
}

variable "labels" {
  description = "Labels for everything that can carry them, beside `app = spot-interruption-exporter`."
  type        = map(string)
  default     = {}
}

variable "enable_apis" {
  description = "Enable the APIs that are needed in `project`. They stay enabled after a destroy, as others may rely on them."
  type        = bool
  default     = true
}

variable "pubsub" {
  description = "Make the sinks, topics and subscriptions. False makes only the identity and its read access: the exporter then learns of interruptions from Compute Engine's own operations, half a minute later than from Pub/Sub."
  type        = bool
  default     = true
}

# Which log entries

variable "monitored_projects" {
  description = "Projects whose spot instances are watched; empty means `project`. Each gets its two sinks (unless a folder or an organisation is given) and lets the exporter list its instances. With a folder or an organisation: projects that are listed beside those found below it."
  type        = set(string)
  default     = []
}

variable "folder_id" {
  description = "Watch a whole folder, with everything below it: two sinks at the folder instead of two in each monitored project, and the exporter may find and list the projects below it (see `discover`). Digits only, known when planning."
  type        = string
  default     = null
}

variable "organization_id" {
  description = "The same for a whole organisation. Digits only, known when planning; not together with `folder_id`."
  type        = string
  default     = null
}

variable "discover" {
  description = "With `folder_id` or `organization_id`: grant the exporter read access at that node and let it find the projects there by Cloud Asset Inventory. False leaves access to the projects' owners: only `monitored_projects` are listed."
  type        = bool
  default     = true
}

variable "discover_query" {
  description = "Search query that narrows which projects are found, for instance `labels.env:prod state:ACTIVE`. Null means all."
  type        = string
  default     = null
}

variable "project_name" {
  description = "The exporter's `project_name`: a project that it always lists, and the one that its durable state belongs to. Set it before a set-up with durable state watches more projects. Null means the monitored project where there is just one, else `project`."
  type        = string
  default     = null
}

variable "extra_interruption_methods" {
  description = "Audit-log methods that count as interruptions beside `compute.instances.preempted`, for instance `compute.instances.hostError`. The exporter must be told the same; `helm_values` and `exporter_config` do so."
  type        = list(string)
  default     = []
}

variable "bulk_insert_name_pattern" {
  description = "Regular expression (RE2) that the whole name of a VM from a bulk insert must match for its entry to be forwarded, for instance `(gke|gk3)-.*`. Such entries carry no labels. Null forwards them all, and the exporter asks Compute Engine about each."
  type        = string
  default     = null
}

# How they are kept

variable "message_retention_duration" {
  description = "How long a subscription keeps what the exporter has not acknowledged: the longest outage that loses nothing. 600s to 2678400s (31 days)."
  type        = string
  default     = "604800s"
}

variable "ack_deadline_seconds" {
  description = "Time to acknowledge before Pub/Sub delivers again, 10 to 600. The exporter extends it for messages that it holds."
  type        = number
  default     = 60
}

variable "retry_minimum_backoff" {
  description = "Least delay before a message that was not acknowledged is delivered again, 0s to 600s."
  type        = string
  default     = "10s"
}

variable "retry_maximum_backoff" {
  description = "Greatest delay before a message that was not acknowledged is delivered again, 0s to 600s."
  type        = string
  default     = "300s"
}

variable "dead_letter" {
  description = "Move a message that was delivered `max_delivery_attempts` times in vain to a dead-letter topic with a subscription of its own."
  type        = bool
  default     = true
}

variable "max_delivery_attempts" {
  description = "Deliveries before a message is a dead letter, 5 to 100."
  type        = number
  default     = 20
}

variable "exactly_once_delivery" {
  description = "Pub/Sub's exactly-once delivery. The exporter recognises duplicates itself and does not need it; it adds latency."
  type        = bool
  default     = false
}

variable "message_storage_regions" {
  description = "Regions in which Pub/Sub may store messages; empty means wherever the organisation's policy allows."
  type        = set(string)
  default     = []
}

variable "kms_key_name" {
  description = "Cloud KMS key for the topics: `projects/P/locations/L/keyRings/R/cryptoKeys/K`. Null means Google's own keys."
  type        = string
  default     = null
}

variable "grant_kms_access" {
  description = "Let Pub/Sub's service agent use `kms_key_name`. Leave it off where the key's owners grant that themselves."
  type        = bool
  default     = false
}

# Who reads them

variable "identity" {
  description = "`service_account`: the pod acts as a Google service account made here. `principal`: the Kubernetes service account is granted its roles directly and there is no Google service account."
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
  description = "Role to grant in each monitored project, and at the folder or organisation, in place of a custom role that lists and gets instances and lists operations: an organisation's own role (`organizations/1/roles/r`) or `roles/compute.viewer`. Must be known when planning."
  type        = string
  default     = null
}

variable "custom_role_organization_id" {
  description = "With `folder_id`: the organisation that the folder belongs to. The custom role is made there, since a folder has no custom roles. Null grants `roles/compute.viewer` and `asset_role` at the folder instead. Digits only, known when planning."
  type        = string
  default     = null
}

variable "asset_role" {
  description = "Role for finding projects, granted at the folder or organisation where no custom role with `cloudasset.assets.searchAllResources` is made there. Null where `compute_role` has that permission."
  type        = string
  default     = "roles/cloudasset.viewer"
}

variable "project_numbers" {
  description = "Numbers of projects by their ids. A number that is needed and not given here is looked up, which takes `resourcemanager.projects.get`."
  type        = map(string)
  default     = {}
}

# Who is told when nobody reads them

variable "alert_policies" {
  description = "Make alert policies in Cloud Monitoring: a message that waits too long in one of the two subscriptions, and any dead letter. They work while Prometheus and the exporter are both down."
  type        = bool
  default     = false
}

variable "alert_unacked_age" {
  description = "Age of the oldest unacknowledged message at which the alert policy opens an incident, 60s to 86400s."
  type        = string
  default     = "600s"
}

variable "alert_notification_channels" {
  description = "Cloud Monitoring notification channels of the alert policies: `projects/P/notificationChannels/N`. Without one an incident shows in the console only."
  type        = set(string)
  default     = []
}
