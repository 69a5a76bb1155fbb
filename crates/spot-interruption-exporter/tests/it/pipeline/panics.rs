//! Panics in a part of the pipeline.

use super::*;

/// Whether the task ended by a panic, as whoever supervises it sees.
async fn has_panicked(running: Running) -> bool {
    let Running { task, inputs, .. } = running;
    let ended = timeout(10 * SECOND, task).await.expect("it ends by itself");
    drop(inputs);
    ended.is_err_and(|error| error.is_panic())
}

#[tokio::test(start_paused = true)]
async fn a_defect_ends_the_pipeline() {
    let service = Service::new(|_| panic!("a defect"));
    let running = Running::start(10 * SECOND, &service, None);
    running.list(Vec::new()).await;
    running.interrupt(1).await;
    assert!(has_panicked(running).await, "of a look-up");

    let disk = Disk::default();
    disk.0.lock().unwrap().broken = true;
    let running = Running::start(10 * SECOND, &Service::empty(), Some(&disk));
    running.list(vec![spot_node(1)]).await;
    running.interrupt(1).await;
    assert!(has_panicked(running).await, "of a commit");
}
