# Three accounts: the queues and the exporter are in the central account, clusters also in two member accounts. A provider
# for each account; Terraform cannot create providers by for_each.

provider "aws" {
  region = "eu-central-1"
}

provider "aws" {
  alias  = "shop"
  region = "eu-central-1"

  assume_role {
    role_arn = "arn:aws:iam::210987654321:role/terraform"
  }
}

provider "aws" {
  alias  = "search"
  region = "eu-central-1"

  assume_role {
    role_arn = "arn:aws:iam::321098765432:role/terraform"
  }
}

module "spot_interruption_exporter" {
  source = "../.."

  regions         = ["eu-central-1", "eu-west-1"]
  member_accounts = ["210987654321", "321098765432"]

  identity     = "pod_identity"
  cluster_name = "platform"
}

module "shop" {
  source    = "../../modules/member"
  providers = { aws = aws.shop }

  queue_arns        = module.spot_interruption_exporter.queue_arns
  exporter_role_arn = module.spot_interruption_exporter.role_arn
}

module "search" {
  source    = "../../modules/member"
  providers = { aws = aws.search }

  queue_arns        = module.spot_interruption_exporter.queue_arns
  exporter_role_arn = module.spot_interruption_exporter.role_arn
}

output "helm_values" {
  description = "terraform output -raw helm_values > values.yaml"
  value       = module.spot_interruption_exporter.helm_values
}
