//! Acknowledgements and their confirmations.

use super::*;

#[tokio::test(start_paused = true)]
async fn what_is_counted_is_acknowledged_and_what_is_held_is_not() {
    let running = Running::start(10 * SECOND, &Service::empty(), None);
    running.list(vec![spot_node(1)]).await;
    running.interrupt(1).await;
    running.interrupt(2).await;
    settle().await;
    assert_eq!(running.mailbox.take(), [("m1".to_owned(), true)]);
    sleep(GRACE).await;
    assert_eq!(running.mailbox.take(), [("m2".to_owned(), true)]);
    assert_eq!((running.counted(), running.unattributed()), (1, 1));
}

/// What is counted has to stay counted for Pub/Sub, too.
#[tokio::test(start_paused = true)]
async fn the_pipeline_waits_for_confirmations() {
    let running = Running::start(SECOND, &Service::empty(), None);
    running.list(vec![spot_node(1)]).await;
    let (confirm, confirmed) = watch::channel(false);
    let mut token = running.token("m1");
    token.confirmed = Some(confirmed);
    running.send(interruption(1, token)).await;
    settle().await;
    assert_eq!(running.counted(), 1);
    let Running { inputs, mut task, .. } = running;
    drop(inputs);
    assert!(timeout(60 * SECOND, &mut task).await.is_err(), "it is not confirmed");
    confirm.send_replace(true);
    task.await.unwrap();
}

/// Given up, it neither hands back what is not confirmed nor stops waiting for it.
#[tokio::test(start_paused = true)]
async fn a_confirmation_outlives_the_pipeline() {
    let running = Running::start(SECOND, &Service::empty(), None);
    running.list(vec![spot_node(1)]).await;
    let (confirm, confirmed) = watch::channel(false);
    let mut token = running.token("m1");
    token.confirmed = Some(confirmed);
    running.send(interruption(1, token)).await;
    settle().await;
    running.task.abort();
    settle().await;
    assert_eq!(confirm.receiver_count(), 1);
    assert_eq!(running.mailbox.take(), [("m1".to_owned(), true)]);
}
