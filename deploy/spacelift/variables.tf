variable "endpoint" {
  description = "URL at which Spacelift reaches spacelift-promex from the internet, with its path: https://promex.example.com/webhook."
  type        = string

  validation {
    condition     = can(regex("^https?://[^/\\s]+/\\S*$", var.endpoint))
    error_message = "The endpoint must be a URL with a path, such as https://promex.example.com/webhook."
  }
}

variable "secret" {
  description = "Secret that Spacelift signs webhooks with: the same as in spacelift-promex's --webhook.secret-file."
  type        = string
  sensitive   = true
  ephemeral   = true

  validation {
    condition     = length(var.secret) >= 16
    error_message = "The secret must have at least 16 characters. Create one with: openssl rand -hex 32"
  }
}

variable "secret_version" {
  description = "Change this value to send the secret to Spacelift again, for example after a rotation."
  type        = string
  default     = "1"
}

variable "space_id" {
  description = "Space whose runs are delivered, including runs of spaces that inherit from it."
  type        = string
  default     = "root"
}
