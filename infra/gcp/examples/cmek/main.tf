# Messages encrypted with a key of one's own and stored in one region only.

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
    # Messages that wait cannot be read without it.
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
