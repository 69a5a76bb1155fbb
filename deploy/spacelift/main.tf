# Delivers state changes of runs to spacelift-promex; see README.md.

resource "spacelift_named_webhook" "spacelift_promex" {
  name     = "spacelift-promex"
  space_id = var.space_id
  endpoint = var.endpoint
  enabled  = true

  secret_wo         = var.secret
  secret_wo_version = var.secret_version

  # While spacelift-promex restarts, a proxy in front of it answers with 502 or 503.
  retry_on_failure = true

  # The policy selects the webhook by this label.
  labels = ["spacelift-promex"]
}

# The policy applies to the space without being attached to stacks.
resource "spacelift_policy" "spacelift_promex" {
  name        = "spacelift-promex"
  description = "Delivers state changes of runs to spacelift-promex, without secrets."
  type        = "NOTIFICATION"
  space_id    = var.space_id
  body        = file("${path.module}/policy.rego")
}
