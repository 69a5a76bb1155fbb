# No provider on purpose: everything in here can be tested without a network.
terraform {
  required_version = ">= 1.5"
}
