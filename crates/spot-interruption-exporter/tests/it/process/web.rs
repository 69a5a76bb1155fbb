//! `web.config_file`: requests without credentials are rejected. The crate `exporter-common` tests the details.

use super::services::Services;

#[tokio::test]
async fn rejects_unauthenticated_requests() {
    let services = Services::sandbox().await;
    harness::check_access_control(async |config| {
        services.exporter(&[("SIE_WEB__CONFIG_FILE", config.to_str().unwrap())]).await
    })
    .await;
}
