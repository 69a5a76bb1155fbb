# The identity of the exporter and its permissions: receive from its queues, and list instances.

resource "aws_iam_role" "exporter" {
  count = module.settings.identity == "none" ? 0 : 1

  name                 = module.settings.role_name
  description          = "Receives from the queues of the spot interruption exporter and lists EC2 instances."
  assume_role_policy   = module.settings.trust_policy
  permissions_boundary = module.settings.permissions_boundary_arn
  tags                 = module.settings.tags
}

resource "aws_iam_role_policy" "exporter" {
  count = module.settings.identity == "none" ? 0 : 1

  name   = "spot-interruption-exporter"
  role   = aws_iam_role.exporter[0].name
  policy = module.settings.exporter_policy

  # A role that is created again has no policies.
  lifecycle {
    replace_triggered_by = [aws_iam_role.exporter[0].id]
  }
}

resource "aws_eks_pod_identity_association" "exporter" {
  count = module.settings.identity == "pod_identity" ? 1 : 0

  region          = module.settings.pod_identity.cluster_region
  cluster_name    = module.settings.pod_identity.cluster_name
  namespace       = module.settings.pod_identity.namespace
  service_account = module.settings.pod_identity.service_account
  role_arn        = aws_iam_role.exporter[0].arn
  tags            = module.settings.tags
}
