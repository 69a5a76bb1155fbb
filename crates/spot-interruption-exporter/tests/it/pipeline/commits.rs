//! Commits of the durable state.

use super::*;

/// The leases expire while the disk is full, so the message is redelivered many times.
#[tokio::test(start_paused = true)]
async fn counts_once_when_the_disk_is_full_for_longer_than_the_window() {
    let (disk, window) = (Disk::default(), 2 * SECOND);
    let running = Running::start(window, &Service::empty(), Some(&disk));
    running.list(vec![spot_node(1)]).await;
    disk.set_full(true);
    for _ in 0..20 {
        running.interrupt(1).await;
        sleep(SECOND).await;
    }
    assert_eq!((running.counted(), running.mailbox.take().len()), (0, 0));
    disk.set_full(false);
    sleep(11 * SECOND).await;
    assert_eq!(running.counted(), 1);
    assert!(running.mailbox.take().iter().all(|(_, acknowledged)| *acknowledged));

    // The window begins when the count is committed.
    running.list(vec![spot_node(3)]).await;
    sleep(SECOND).await;
    disk.set_full(true);
    running.interrupt(3).await;
    sleep(5 * SECOND).await;
    disk.set_full(false);
    while running.counted() < 2 {
        settle().await;
    }
    sleep(window - 50 * MILLISECOND).await;
    running.interrupt(3).await;
    sleep(100 * MILLISECOND).await;
    assert_eq!(running.counted(), 2);
    sleep(window).await;
    running.interrupt(3).await;
    sleep(100 * MILLISECOND).await;
    assert_eq!(running.counted(), 3, "after the window");
}

#[tokio::test(start_paused = true)]
async fn bounds_uncommitted_messages_and_stops_quickly_with_a_full_disk() {
    let disk = Disk::default();
    disk.set_full(true);
    let running = Running::start(SECOND, &Service::empty(), Some(&disk));
    let mut sent = 0;
    loop {
        let message = Input::Message {
            queue: Queue::Interruptions,
            id: sent.to_string(),
            data: "no log entry".into(),
            attempts: None,
            token: running.token("x"),
        };
        if timeout(60 * SECOND, running.inputs.send(message)).await.is_err() {
            break;
        }
        sent += 1;
        assert!(sent < 60_000, "the number of uncommitted messages is not bounded");
    }
    // This includes the messages of the first failed batch and those in the channel.
    assert!(sent > 50_000, "{sent}");
    let began = Instant::now();
    let Running { inputs, task, mailbox, .. } = running;
    drop(inputs);
    task.await.unwrap();
    assert!(began.elapsed() < SECOND, "{:?}", began.elapsed());
    assert_eq!(mailbox.count(true), 0);
    assert!(mailbox.count(false) >= sent, "all messages are returned");
}

#[tokio::test(start_paused = true)]
async fn commits_many_messages_in_few_batches() {
    let disk = Disk::default();
    let running = Running::start(SECOND, &Service::empty(), Some(&disk));
    running.list((1..=200).map(spot_node).collect()).await;
    sleep(SECOND).await;
    disk.attempts();
    for number in 1..=200 {
        running.interrupt(number).await;
        advance(MILLISECOND).await;
        settle().await;
    }
    sleep(SECOND).await;
    assert_eq!(running.counted(), 200);
    let commits = disk.attempts();
    assert!(commits.len() <= 25, "{} commits in 0.4 s", commits.len());
    assert!(commits.windows(2).all(|pair| pair[1].0 - pair[0].0 >= 20 * MILLISECOND));
}

#[tokio::test(start_paused = true)]
async fn retries_failed_commits_with_backoff() {
    let disk = Disk::default();
    let running = Running::start(SECOND, &Service::empty(), Some(&disk));
    running.list(vec![spot_node(1), spot_node(2)]).await;
    sleep(SECOND).await;
    let pauses = |attempts: Vec<(Instant, u64)>| -> Vec<Duration> {
        attempts.windows(2).map(|pair| pair[1].0 - pair[0].0).collect()
    };
    disk.attempts();
    disk.set_full(true);
    running.interrupt(1).await;
    sleep(60 * SECOND).await;
    let failed = pauses(disk.attempts());
    assert!((6..=12).contains(&failed.len()), "{failed:?}");
    assert!(failed[0] <= SECOND / 2 && failed.iter().all(|pause| *pause <= 10 * SECOND), "{failed:?}");
    assert!(failed.last().unwrap() >= &(5 * SECOND), "{failed:?}");
    disk.set_full(false);
    sleep(10 * SECOND).await;
    assert_eq!(running.counted(), 1);
    disk.attempts();
    disk.set_full(true);
    running.interrupt(2).await;
    sleep(3 * SECOND).await;
    let failed = pauses(disk.attempts());
    assert!(failed[0] <= SECOND / 2, "the backoff is reset: {failed:?}");
}
