variable "endpoint" {
  description = "Where Spacelift reaches spacelift-promex from the internet, with its path: https://promex.example.com/webhook."
  type        = string

  validation {
    condition     = can(regex("^https?://[^/\\s]+/\\S*$", var.endpoint))
    error_message = "The endpoint must be a URL with a path, such as https://promex.example.com/webhook."
  }
}

variable "secret" {
  description = "What Spacelift signs with: the same as in spacelift-promex's --webhook.secret-file."
  type        = string
  sensitive   = true
  ephemeral   = true

  validation {
    condition     = length(var.secret) >= 16
    error_message = "The secret must have at least 16 characters. Make one with: openssl rand -hex 32"
  }
}

variable "secret_version" {
  description = "Another value sends the secret to Spacelift again, as after a rotation."
  type        = string
  default     = "1"
}

variable "space_id" {
  description = "The space whose runs are delivered, and those of the spaces that inherit from it."
  type        = string
  default     = "root"
}
