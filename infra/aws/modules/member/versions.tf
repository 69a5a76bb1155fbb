terraform {
  required_version = ">= 1.5"

  required_providers {
    # Since version 6, resources have the argument `region`, so one provider serves several regions.
    aws = {
      source  = "hashicorp/aws"
      version = ">= 6.0, < 7.0"
    }
  }
}
