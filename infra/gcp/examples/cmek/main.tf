# Messages are encrypted with a customer-managed key and stored in only one region.

resource "google_kms_key_ring" "pubsub" {
  project  = "acme-security"
  name     = "pubsub"
  location = "europe-west1"
}

resource "google_kms_crypto_key" "pubsub" {
  name            = "spot-interruption-exporter"
  key_ring        = google_kms_key_ring.pubsub.id
  rotation_period = "7776000s" # 90 days

  lifecycle {
    # The queue of messages cannot be read without this permission.
    prevent_destroy = true
  }
}

module "spot_interruption_exporter" {
  source = "../.."

  project                 = "acme-prod"
  kms_key_name            = google_kms_crypto_key.pubsub.id
  grant_kms_access        = true
  message_storage_regions = ["europe-west1"]
}

output "helm_values" {
  description = "terraform output -raw helm_values > values.yaml"
  value       = module.spot_interruption_exporter.helm_values
}
