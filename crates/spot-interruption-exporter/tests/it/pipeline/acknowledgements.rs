//! Acknowledgements and their confirmations.

use super::*;

#[tokio::test(start_paused = true)]
async fn acknowledges_counted_messages_and_not_held_ones() {
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

/// Pub/Sub redelivers a message whose acknowledgement is not confirmed.
#[tokio::test(start_paused = true)]
async fn waits_for_confirmations_before_it_stops() {
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
    assert!(timeout(60 * SECOND, &mut task).await.is_err(), "it stopped before the confirmation");
    confirm.send_replace(true);
    task.await.unwrap();
}

/// An aborted pipeline does not return unconfirmed messages, and their confirmations are still awaited.
#[tokio::test(start_paused = true)]
async fn still_waits_for_confirmations_after_an_abort() {
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
