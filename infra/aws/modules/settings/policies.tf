# All policies. infra/tests evaluates them and the event pattern.

locals {
  event_pattern = jsondecode(file("${path.module}/../../event_pattern.json"))

  queue_policies = {
    for region, names in local.regions : region => jsonencode({
      Version = "2012-10-17"
      Statement = concat(
        [
          {
            Sid       = "SendByRule"
            Effect    = "Allow"
            Principal = { Service = "events.amazonaws.com" }
            Action    = "sqs:SendMessage"
            Resource  = names.queue_arn
            Condition = { ArnEquals = { "aws:SourceArn" = names.rule_arn } }
          },
          merge(local.deny_without_tls, { Resource = names.queue_arn }),
        ],
        # A principal that does not exist would be rejected. A member's role is therefore named in the condition, so that
        # it can be created later, and created again.
        length(var.member_accounts) == 0 ? [] : [
          {
            Sid       = "SendByRulesOfMembers"
            Effect    = "Allow"
            Principal = { AWS = local.member_root_arns }
            Action    = "sqs:SendMessage"
            Resource  = names.queue_arn
            Condition = { ArnEquals = { "aws:PrincipalArn" = local.member_forwarder_arns } }
          },
        ],
      )
    })
  }

  dead_letter_policies = {
    for region, names in local.regions : region => jsonencode({
      Version = "2012-10-17"
      Statement = [
        {
          Sid       = "SendByRule"
          Effect    = "Allow"
          Principal = { Service = "events.amazonaws.com" }
          Action    = "sqs:SendMessage"
          Resource  = names.dead_letter_arn
          Condition = { ArnEquals = { "aws:SourceArn" = names.rule_arn } }
        },
        merge(local.deny_without_tls, { Resource = names.dead_letter_arn }),
      ]
    })
  }

  deny_without_tls = {
    Sid       = "DenyWithoutTls"
    Effect    = "Deny"
    Principal = "*"
    Action    = "sqs:*"
    Condition = { Bool = { "aws:SecureTransport" = "false" } }
  }

  exporter_policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [
        {
          Sid      = "ReceiveFromQueues"
          Effect   = "Allow"
          Action   = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility", "sqs:GetQueueAttributes"]
          Resource = [for region in sort(var.regions) : local.regions[region].queue_arn]
        },
        {
          # EC2 does not support a restriction to certain instances.
          Sid      = "ListInstances"
          Effect   = "Allow"
          Action   = "ec2:DescribeInstances"
          Resource = "*"
        },
      ],
      length(var.kms_key_arns) == 0 ? [] : [
        {
          Sid      = "DecryptMessages"
          Effect   = "Allow"
          Action   = "kms:Decrypt"
          Resource = [for region in sort(keys(var.kms_key_arns)) : var.kms_key_arns[region]]
        },
      ],
      length(var.member_accounts) == 0 ? [] : [
        {
          Sid    = "ListInstancesOfMembers"
          Effect = "Allow"
          # Session tags of EKS Pod Identity are passed on to the role that is assumed next.
          Action   = concat(["sts:AssumeRole"], var.identity == "pod_identity" ? ["sts:TagSession"] : [])
          Resource = local.member_reader_arns
        },
      ],
    )
  })

  # The issuer without its scheme: what follows `oidc-provider/` in the ARN.
  oidc_issuer = var.oidc_provider_arn == null ? null : split(":oidc-provider/", var.oidc_provider_arn)[1]

  trust_policies = {
    irsa = {
      Sid       = "ServiceAccount"
      Effect    = "Allow"
      Principal = { Federated = var.oidc_provider_arn }
      Action    = "sts:AssumeRoleWithWebIdentity"
      Condition = {
        StringEquals = {
          "${coalesce(local.oidc_issuer, "none")}:aud" = "sts.${var.dns_suffix}"
          "${coalesce(local.oidc_issuer, "none")}:sub" = "system:serviceaccount:${var.kubernetes_service_account_namespace}:${var.kubernetes_service_account_name}"
        }
      }
    }
    pod_identity = {
      Sid       = "ServiceAccount"
      Effect    = "Allow"
      Principal = { Service = "pods.eks.amazonaws.com" }
      Action    = ["sts:AssumeRole", "sts:TagSession"]
      # Without it, an association of any service account in the account's clusters could use the role.
      Condition = {
        StringEquals = {
          "aws:RequestTag/eks-cluster-name"           = var.cluster_name
          "aws:RequestTag/kubernetes-namespace"       = var.kubernetes_service_account_namespace
          "aws:RequestTag/kubernetes-service-account" = var.kubernetes_service_account_name
        }
      }
    }
  }

  trust_policy = var.identity == "none" ? null : jsonencode({
    Version   = "2012-10-17"
    Statement = [for identity, statement in local.trust_policies : statement if identity == var.identity]
  })
}
