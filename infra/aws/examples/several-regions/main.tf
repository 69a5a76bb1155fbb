# Three regions: a queue and a rule in each, with one provider. One exporter receives from all of them. The alarms of a
# region notify a topic of that region.

provider "aws" {
  region = "eu-central-1"
}

module "spot_interruption_exporter" {
  source = "../.."

  regions      = ["eu-central-1", "eu-west-1", "us-east-1"]
  identity     = "pod_identity"
  cluster_name = "platform"

  alarms = true
  alarm_actions = {
    eu-central-1 = ["arn:aws:sns:eu-central-1:123456789012:alerts"]
  }

  tags = {
    team = "platform"
  }
}

output "helm_values" {
  description = "terraform output -raw helm_values > values.yaml"
  value       = module.spot_interruption_exporter.helm_values
}
