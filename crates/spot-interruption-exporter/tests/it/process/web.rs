//! `web.config_file`: who gets in and who does not. How, is for the common crate's tests to say.

use super::world::World;

#[tokio::test]
async fn the_doors_are_locked() {
    let world = World::sandbox().await;
    harness::check_doors(async |config| {
        world.exporter(&[("SIE_WEB__CONFIG_FILE", config.to_str().unwrap())]).await
    })
    .await;
}
