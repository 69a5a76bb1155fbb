//! Held messages that are returned to Pub/Sub when too many are outstanding.

use super::*;

/// A simulated Pub/Sub with its limit of outstanding messages.
struct FakePubSub {
    ready: VecDeque<u64>,
    outstanding: usize,
    deliveries: BTreeMap<u64, Vec<Instant>>,
    attempts: Option<i32>,
}

impl FakePubSub {
    const MOST: usize = 20_000;

    fn new(messages: impl Iterator<Item = u64>, attempts: Option<i32>) -> Self {
        Self { ready: messages.collect(), outstanding: 0, deliveries: BTreeMap::new(), attempts }
    }

    /// Processes acknowledgements and returned messages, then delivers as many messages as the limit allows.
    async fn step(&mut self, running: &Running) {
        for (id, acknowledged) in running.mailbox.take() {
            self.outstanding -= 1;
            if !acknowledged {
                self.ready.push_back(id[1..].parse().unwrap());
            }
        }
        while self.outstanding < Self::MOST
            && let Some(number) = self.ready.pop_front()
        {
            self.outstanding += 1;
            let deliveries = self.deliveries.entry(number).or_default();
            deliveries.push(Instant::now());
            let made = i32::try_from(deliveries.len()).unwrap();
            let mut message = interruption(number, running.token(&format!("m{number}")));
            if let Input::Message { attempts, .. } = &mut message {
                *attempts = self.attempts.map(|most| Attempts { made, max: most });
            }
            running.send(message).await;
        }
        settle().await;
    }
}

#[tokio::test(start_paused = true)]
async fn unknown_instances_do_not_delay_known_nodes() {
    const UNKNOWN: u64 = 25_000;
    const GRACE: Duration = Duration::from_secs(25);
    for attempts in [None, Some(5)] {
        let running = Running::with_grace(GRACE, 600 * SECOND, &Service::empty(), None);
        running.list(vec![spot_node(UNKNOWN + 1)]).await;
        let mut pubsub = FakePubSub::new(1..=UNKNOWN + 1, attempts);
        let began = Instant::now();
        while running.counted() == 0 {
            pubsub.step(&running).await;
            assert!(began.elapsed() < 2 * SECOND, "{} outstanding", pubsub.outstanding);
        }
        while !pubsub.ready.is_empty() || pubsub.outstanding > 0 {
            pubsub.step(&running).await;
            sleep(SECOND / 4).await;
            assert!(began.elapsed() < GRACE + 15 * SECOND, "{} outstanding", pubsub.outstanding);
        }
        assert_eq!((running.counted(), running.unattributed()), (1, UNKNOWN));
        let most = match attempts {
            Some(most) => most as usize / 2,
            None => 6,
        };
        for deliveries in pubsub.deliveries.values() {
            assert!(deliveries.len() <= most.min(6), "{attempts:?}: {deliveries:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn returns_no_message_below_the_limit() {
    let running = Running::start(600 * SECOND, &Service::empty(), None);
    running.list(Vec::new()).await;
    let mut pubsub = FakePubSub::new(1..=19_000, None);
    pubsub.step(&running).await;
    sleep(GRACE / 2).await;
    assert!(running.mailbox.take().is_empty());
    assert_eq!(running.state.lock().attribution.held_interruptions(), 19_000);
}

/// A few large messages reach the limit in bytes.
#[tokio::test(start_paused = true)]
async fn bounds_the_bytes_of_held_messages() {
    let running = Running::start(600 * SECOND, &Service::empty(), None);
    running.list(Vec::new()).await;
    for number in 1..=34 {
        let mut message = interruption(number, running.token(&format!("m{number}")));
        if let Input::Message { data, .. } = &mut message {
            let mut padded = data.to_vec();
            padded.resize(1024 * 1024, b' ');
            *data = padded.into();
        }
        running.send(message).await;
    }
    sleep(SECOND).await;
    let returned = running.mailbox.take();
    assert!((17..=20).contains(&returned.len()), "{}", returned.len());
    assert!(returned.iter().all(|(_, acknowledged)| !acknowledged));
    assert_eq!(returned[0].0, "m1", "the oldest message is returned first");
}
