//! Panics in a part of the pipeline.

use super::*;

/// Returns whether the task of the pipeline panicked.
async fn has_panicked(running: Running) -> bool {
    let Running { task, inputs, .. } = running;
    let ended = timeout(10 * SECOND, task).await.expect("the task stops");
    drop(inputs);
    ended.is_err_and(|error| error.is_panic())
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_a_lookup_or_commit_stops_the_pipeline() {
    let service = Service::new(|_| panic!("a panic for the test"));
    let running = Running::start(10 * SECOND, &service, None);
    running.list(Vec::new()).await;
    running.interrupt(1).await;
    assert!(has_panicked(running).await, "in a lookup");

    let disk = Disk::default();
    disk.0.lock().unwrap().broken = true;
    let running = Running::start(10 * SECOND, &Service::empty(), Some(&disk));
    running.list(vec![spot_node(1)]).await;
    running.interrupt(1).await;
    assert!(has_panicked(running).await, "in a commit");
}
