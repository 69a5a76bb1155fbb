# This module has no provider, so it can be tested without a network.
terraform {
  required_version = ">= 1.5"
}
