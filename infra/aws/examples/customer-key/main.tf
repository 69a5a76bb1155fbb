# Messages are encrypted with a customer managed key. EventBridge must be allowed to use it by the key's policy. The key that
# AWS manages for SQS (alias/aws/sqs) does not work, because its policy cannot be changed.

provider "aws" {
  region = "eu-central-1"
}

data "aws_caller_identity" "current" {}

resource "aws_kms_key" "queue" {
  description         = "Queue of the spot-interruption-exporter"
  enable_key_rotation = true

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "Account"
        Effect    = "Allow"
        Principal = { AWS = "arn:aws:iam::${data.aws_caller_identity.current.account_id}:root" }
        Action    = "kms:*"
        Resource  = "*"
      },
      {
        Sid       = "EventBridge"
        Effect    = "Allow"
        Principal = { Service = "events.amazonaws.com" }
        Action    = ["kms:GenerateDataKey", "kms:Decrypt"]
        Resource  = "*"
      },
    ]
  })

  lifecycle {
    # The messages in the queue cannot be read without this key.
    prevent_destroy = true
  }
}

module "spot_interruption_exporter" {
  source = "../.."

  regions      = ["eu-central-1"]
  kms_key_arns = { eu-central-1 = aws_kms_key.queue.arn }

  identity     = "pod_identity"
  cluster_name = "platform"
}

output "helm_values" {
  description = "terraform output -raw helm_values > values.yaml"
  value       = module.spot_interruption_exporter.helm_values
}
