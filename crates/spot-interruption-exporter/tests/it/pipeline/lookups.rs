//! Rate limits, backoff and retries of lookups.

use super::*;

fn busy(retry_after: Option<u64>) -> LookupError {
    LookupError::service("HTTP 429", retry_after.map(Duration::from_secs))
}

#[tokio::test(start_paused = true)]
async fn waits_for_retry_after() {
    let service = Service::new(|_| Err(busy(Some(30))));
    let running = Running::start(SECOND, &service, None);
    running.list(Vec::new()).await;
    let began = Instant::now();
    for number in 1..=2_000 {
        running.interrupt(number).await;
    }
    sleep(59 * SECOND).await;
    let requests: Vec<_> = service.requests().iter().map(|at| (*at - began).as_secs_f64()).collect();
    let (first, later) = requests.split_at(16);
    assert!(first.iter().all(|at| *at < 1.0) && later.len() <= 2, "{requests:?}");
    assert!(later.iter().all(|at| *at >= 30.0), "{requests:?}");
}

#[tokio::test(start_paused = true)]
async fn retries_lookups_one_at_a_time_with_backoff() {
    let (failing, is_failing) = watch::channel(true);
    let service = Service::new(move |_| if *is_failing.borrow() { Err(busy(None)) } else { Ok(None) });
    let running = Running::start(SECOND, &service, None);
    running.list(Vec::new()).await;
    for number in 1..=100 {
        running.interrupt(number).await;
    }
    sleep(25 * SECOND).await;
    let requests = service.requests();
    assert!(requests.len() <= 16 + 7, "{} requests", requests.len());
    let pauses: Vec<_> = requests[15..].windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(pauses[0] <= SECOND && pauses.last().unwrap() >= &(3 * SECOND), "{pauses:?}");

    // One success starts all other lookups immediately, and resets the backoff.
    failing.send_replace(false);
    sleep(30 * SECOND).await;
    assert_eq!(service.requests().len() - requests.len(), 100);
    failing.send_replace(true);
    let before = service.requests().len();
    running.interrupt(200).await;
    sleep(5 * SECOND).await;
    let requests = service.requests();
    assert!(requests[before + 1] - requests[before] <= SECOND, "the backoff is reset");
}

#[tokio::test(start_paused = true)]
async fn an_unusable_response_does_not_delay_other_lookups() {
    let service = Service::new(|lookup| match lookup.instance.as_str() {
        "n1" => Err(LookupError::instance("not JSON")),
        _ => Ok(None),
    });
    let running = Running::start(SECOND, &service, None);
    running.list(Vec::new()).await;
    for number in 1..=50 {
        running.interrupt(number).await;
    }
    sleep(SECOND).await;
    assert_eq!(service.requests().len(), 50);
    sleep(58 * SECOND).await;
    let again = service.requests().len() - 50;
    assert!((3..=5).contains(&again), "{again}");
}

#[tokio::test(start_paused = true)]
async fn limits_the_rate_of_lookups() {
    let service = Service::empty();
    let running = Running::start(SECOND, &service, None);
    running.list(Vec::new()).await;
    for number in 1..=5_000 {
        running.interrupt(number).await;
    }
    sleep(30 * SECOND).await;
    let requests = service.requests().len();
    assert!((700..=801).contains(&requests), "{requests} in 30 s");
}

#[tokio::test(start_paused = true)]
async fn does_not_retry_a_lookup_whose_messages_are_resolved() {
    let service = Service::new(|_| Err(busy(Some(5))));
    let running = Running::start(SECOND, &service, None);
    running.list(Vec::new()).await;
    for number in 1..=10 {
        running.interrupt(number).await;
    }
    sleep(SECOND).await;
    assert_eq!(service.requests().len(), 10);
    running.list((1..=10).map(spot_node).collect()).await;
    sleep(30 * SECOND).await;
    assert_eq!((running.counted(), service.requests().len()), (10, 10));
}
