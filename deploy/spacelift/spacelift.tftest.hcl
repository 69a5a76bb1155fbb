# Planned and applied against made-up answers; infra/tests/run calls it.

mock_provider "spacelift" {}

variables {
  endpoint = "https://promex.example.com/webhook"
  secret   = "0123456789abcdef"
}

run "plan" {
  command = plan

  assert {
    condition     = spacelift_policy.spacelift_promex.type == "NOTIFICATION"
    error_message = "Other types of policies are not asked about runs that change."
  }

  assert {
    condition     = contains(spacelift_named_webhook.spacelift_promex.labels, "spacelift-promex") && strcontains(spacelift_policy.spacelift_promex.body, "name := \"spacelift-promex\"")
    error_message = "The policy looks for another label than the webhook has."
  }

  assert {
    condition     = spacelift_policy.spacelift_promex.space_id == spacelift_named_webhook.spacelift_promex.space_id
    error_message = "The policy and the webhook are in different spaces."
  }
}

run "apply" {
}

run "an_endpoint_without_a_path" {
  command = plan

  variables {
    endpoint = "https://promex.example.com"
  }

  expect_failures = [var.endpoint]
}

run "a_short_secret" {
  command = plan

  variables {
    secret = "short"
  }

  expect_failures = [var.secret]
}
