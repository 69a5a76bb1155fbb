//! `--web.config.file` is enforced. The details are tested in the common crate.

use sandbox::spacelift::Spacelift;

use super::support::Exporter;

#[tokio::test]
async fn rejects_unauthenticated_requests() {
    let api = Spacelift::builder().start().await.unwrap();
    harness::check_access_control(async |config| {
        let config = config.to_str().unwrap();
        Exporter::ready(&api, &["--web.config.file", config]).await.into_inner()
    })
    .await;
}
