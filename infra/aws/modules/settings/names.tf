# All names and ARNs.

locals {
  queue_name       = "${var.prefix}-interruption-queue"
  dead_letter_name = "${var.prefix}-dead-letter-queue"
  rule_name        = "${var.prefix}-interruption-rule"

  # The ARNs are composed here, and not taken from the resources, so that policies and values are known when planning.
  regions = {
    for region in var.regions : region => {
      queue_url       = "https://sqs.${region}.${var.dns_suffix}/${var.account_id}/${local.queue_name}"
      queue_arn       = "arn:${var.partition}:sqs:${region}:${var.account_id}:${local.queue_name}"
      dead_letter_arn = "arn:${var.partition}:sqs:${region}:${var.account_id}:${local.dead_letter_name}"
      rule_arn        = "arn:${var.partition}:events:${region}:${var.account_id}:rule/${local.rule_name}"
      # Known when planning, even if the key is created in the same apply.
      customer_key = contains(keys(var.kms_key_arns), region)
      kms_key_arn  = lookup(var.kms_key_arns, region, null)
    }
  }

  # modules/member uses the same names.
  member_reader_arns    = [for account in sort(var.member_accounts) : "arn:${var.partition}:iam::${account}:role/${var.prefix}-reader"]
  member_forwarder_arns = [for account in sort(var.member_accounts) : "arn:${var.partition}:iam::${account}:role/${var.prefix}-forwarder"]
  member_root_arns      = [for account in sort(var.member_accounts) : "arn:${var.partition}:iam::${account}:root"]

  role_name = coalesce(
    var.role_name,
    var.prefix == "sie" ? "spot-interruption-exporter" : "${var.prefix}-exporter",
  )
  role_arn = var.identity == "none" ? null : "arn:${var.partition}:iam::${var.account_id}:role/${local.role_name}"

  tags = merge({ app = "spot-interruption-exporter" }, var.tags)
}
