terraform {
  # Required for write-only arguments, which are not stored in the state.
  required_version = ">= 1.11"

  required_providers {
    spacelift = {
      source  = "spacelift-io/spacelift"
      version = "~> 1.0"
    }
  }
}
