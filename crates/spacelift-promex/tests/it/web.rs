//! `--web.config.file`: who gets in and who does not. How, is for the common crate's tests to say.

use sandbox::spacelift::Spacelift;

use super::support::Exporter;

#[tokio::test]
async fn the_doors_are_locked() {
    let api = Spacelift::builder().start().await.unwrap();
    harness::check_doors(async |config| {
        let config = config.to_str().unwrap();
        Exporter::ready(&api, &["--web.config.file", config]).await.into_inner()
    })
    .await;
}
