//! Network failures between the exporter and the API, DNS failures, clock changes, and slow clients. During a failure,
//! scrapes are answered in time with the reason; afterwards the exporter recovers without intervention.

use std::time::{Duration, Instant};

use harness::{
    Clock, End, HANG_TIMEOUT, Hosts, HttpResponse, Link, NetworkConditions, SlowClients, TlsProxy, Usage,
};
use sandbox::spacelift::{EXCHANGE, Reply, Spacelift};
use tokio::time::{sleep, timeout};

use super::network::{ca_file, serve};
use super::support::{Exporter, TIMEOUT};

const OPERATIONS: [&str; 4] = [
    "PrometheusExporter_PublicWorkerPool",
    "PrometheusExporter_WorkerPools",
    "PrometheusExporter_Usage",
    "PrometheusExporter_Aggregates",
];

const HOUR: Duration = Duration::from_secs(3_600);

/// Network conditions without connectivity, and the reason that is reported.
const FAILURES: [(NetworkConditions, &str); 5] = [
    (NetworkConditions::Partition(End::Service), "no answer within"),
    (NetworkConditions::Partition(End::Client), "no answer within"),
    (NetworkConditions::HalfOpen, "no answer within"),
    (NetworkConditions::Reset, "cannot reach the API"),
    (NetworkConditions::Refused, "Connection refused"),
];

/// Returns whether every collector succeeded.
fn is_complete(scrape: &HttpResponse) -> bool {
    scrape.status == 200 && scrape.sum("spacelift_scrape_collector_success") == OPERATIONS.len() as f64
}

/// Starts an API with the given token lifetime, a link to it, and an exporter that uses the link and is ready.
async fn linked(tls: bool, token_lifetime: Duration, timeout: &str) -> (Spacelift, Link, Exporter) {
    let api = Spacelift::builder().tls(tls).token_lifetime(token_lifetime).start().await.unwrap();
    let link = Link::to(api.address()).await;
    let exporter = if tls {
        let (_folder, ca) = ca_file(&api);
        let mut command = serve(&format!("https://{}", link.address));
        command.args(["-t", timeout, "--ca-cert-path", &ca]);
        Exporter::run(command).await
    } else {
        let mut command = serve(&format!("http://{}", link.address));
        command.args(["-t", timeout]);
        Exporter::run(command).await
    };
    exporter.readiness(200).await;
    (api, link, exporter)
}

/// Applies one failure after the other. The session stays valid throughout.
async fn recovers_from_network_failures(tls: bool) {
    let (api, link, exporter) = linked(tls, HOUR, "1s").await;
    for (conditions, reason) in FAILURES {
        link.set(conditions).await;
        let began = Instant::now();
        let body = exporter.failed_scrape().await;
        assert!(began.elapsed() < HANG_TIMEOUT, "{conditions:?}: {:?}", began.elapsed());
        assert_eq!(body.lines().filter(|line| line.contains(reason)).count(), 4, "{conditions:?}: {body}");
        assert_eq!(exporter.get("/health").await.status, 200);
        link.set(NetworkConditions::Normal).await;
        exporter.scraped(&format!("{conditions:?} has no lasting effect"), is_complete).await;
    }
    assert_eq!(api.exchanges(), 1, "the session was lost");
}

#[tokio::test]
async fn recovers_from_network_failures_over_http1() {
    recovers_from_network_failures(false).await;
}

#[tokio::test]
async fn recovers_from_network_failures_over_http2() {
    recovers_from_network_failures(true).await;
}

#[tokio::test]
async fn readiness_shows_a_session_lost_during_a_network_failure() {
    let (_api, link, exporter) = linked(false, Duration::from_secs(2), "1s").await;
    for (conditions, reason) in FAILURES {
        link.set(conditions).await;
        exporter.scraped("the token has expired", |answer| answer.text().contains("no session: ")).await;
        let words = exporter.readiness(503).await;
        assert!(words.contains("no session with the Spacelift API: ") && words.contains(reason), "{words}");
        link.set(NetworkConditions::Normal).await;
        // Each kept-alive HTTP/1.1 connection of the collectors may delay an exchange by five seconds until it is
        // recognized as broken.
        let recovered = async {
            while exporter.get("/ready").await.status != 200 {
                sleep(Duration::from_millis(100)).await;
            }
        };
        timeout(TIMEOUT, recovered).await.unwrap_or_else(|_| panic!("{}", exporter.log_text()));
        exporter.scraped(&format!("{conditions:?} has no lasting effect"), is_complete).await;
    }
}

#[tokio::test]
async fn a_slow_and_lossy_link_only_delays_scrapes() {
    let delay = Duration::from_millis(300);
    let slow = NetworkConditions::Slow { delay, jitter: Duration::from_millis(50), loss: 0.02 };
    for tls in [false, true] {
        let (_api, link, exporter) = linked(tls, HOUR, "5s").await;
        link.set(slow).await;
        for _ in 0..5 {
            let began = Instant::now();
            let scrape = exporter.scrape().await;
            assert!(is_complete(&scrape), "{}", scrape.text());
            assert!(began.elapsed() >= 2 * delay, "{:?}", began.elapsed());
        }
    }
}

#[tokio::test]
async fn recovers_from_dns_failures() {
    let Some(hosts) = Hosts::empty().await else { return };
    let api = Spacelift::builder().start().await.unwrap();
    let port = api.address().port();
    let exporter = Exporter::run(hosts.wrap(&serve(&format!("http://spacelift.invalid:{port}")))).await;
    let dns_error = "failed to lookup address information";
    assert!(exporter.failed_scrape().await.contains(dns_error));
    let reason = exporter.readiness(503).await;
    assert!(reason.contains(dns_error), "{reason}");

    hosts.set("127.0.0.1 spacelift.invalid\n");
    exporter.readiness(200).await;
    assert!(is_complete(&exporter.scrape().await));

    hosts.set("");
    api.restart().await.unwrap();
    assert!(exporter.failed_scrape().await.contains(dns_error), "a new connection resolves the name again");
    hosts.set("127.0.0.1 spacelift.invalid\n");
    exporter.scraped("the name resolves again", is_complete).await;
}

#[tokio::test]
async fn tolerates_jumps_of_the_wall_clock() {
    let Some(clock) = Clock::accurate().await else { return };
    let api = Spacelift::builder().token_lifetime(HOUR).start().await.unwrap();
    let mut command = serve(&api.url());
    clock.apply_to(&mut command);
    let exporter = Exporter::run(command).await;
    exporter.readiness(200).await;
    for (offset, exchanges) in [("+0", 0), ("-6h", 0), ("+6h", 5), ("+0", 0)] {
        clock.set(offset);
        let before = api.exchanges();
        for _ in 0..5 {
            assert!(is_complete(&exporter.scrape().await), "{offset}: {}", exporter.log_text());
        }
        // If the clock is ahead, every token seems to have expired, so each scrape causes one exchange.
        assert_eq!(api.exchanges() - before, exchanges, "{offset}");
        assert_eq!(exporter.get("/ready").await.status, 200);
    }
    // If the clock is behind, an expired token seems to be valid.
    clock.set("-6h");
    api.revoke_tokens();
    let before = api.exchanges();
    assert!(is_complete(&exporter.scrape().await), "{}", exporter.log_text());
    assert_eq!(api.exchanges() - before, 1);
}

#[tokio::test]
async fn rejects_an_expired_certificate_until_it_is_replaced() {
    let api = Spacelift::builder().token_lifetime(HOUR).start().await.unwrap();
    let front = TlsProxy::to(api.address(), &[]).await;
    let link = Link::to(front.address).await;
    front.set_certificate_until(2025);
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, front.authority.pem()).unwrap();
    let mut command = serve(&format!("https://{}", link.address));
    command.arg("--ca-cert-path").arg(ca);
    let exporter = Exporter::run(command).await;
    let reason = "invalid peer certificate: certificate expired";
    let body = exporter.failed_scrape().await;
    assert!(body.contains(reason), "{body}");
    assert!(exporter.readiness(503).await.contains(reason));
    assert_eq!(api.exchanges(), 0, "the credentials were sent");

    front.set_certificate_until(4000);
    exporter.readiness(200).await;
    assert!(is_complete(&exporter.scrape().await));

    // A certificate that expires while the exporter runs is detected with the next new connection.
    front.set_certificate_until(2025);
    link.set(NetworkConditions::Refused).await;
    link.set(NetworkConditions::Normal).await;
    assert!(exporter.failed_scrape().await.contains(reason));
    front.set_certificate_until(4000);
    exporter.scraped("the certificate is replaced", is_complete).await;
}

fn retry_later(code: u16) -> Reply {
    let headers = vec![("retry-after".to_owned(), "1".to_owned())];
    Reply::Status { code, headers, body: String::new() }
}

#[tokio::test]
async fn does_not_retry_during_bursts_of_error_statuses() {
    const SCRAPES: u64 = 5;
    let api = Spacelift::builder().token_lifetime(HOUR).start().await.unwrap();
    let exporter = Exporter::ready(&api, &[]).await;
    for code in [429, 500, 502, 503, 504, 429, 503] {
        let requests = || OPERATIONS.map(|operation| api.count(operation));
        let before = requests();
        for operation in OPERATIONS {
            api.override_reply(operation, retry_later(code));
        }
        for _ in 0..SCRAPES {
            let body = exporter.failed_scrape().await;
            assert_eq!(body.matches(&format!("HTTP {code}")).count(), 4, "{body}");
        }
        for (before, after) in before.into_iter().zip(requests()) {
            assert!(after - before <= SCRAPES, "{code}: {} requests", after - before);
        }
        api.clear_overrides();
        exporter.scraped(&format!("HTTP {code} is over"), is_complete).await;
    }
    assert_eq!(api.exchanges(), 1);
}

#[tokio::test]
async fn recovers_from_error_statuses_at_start() {
    for code in [429, 500, 503] {
        let api = Spacelift::builder().start().await.unwrap();
        api.override_reply(EXCHANGE, retry_later(code));
        let exporter = Exporter::start(&api, &[]).await;
        exporter.log("cannot exchange").await;
        let reason = exporter.readiness(503).await;
        assert!(reason.contains(&format!("HTTP {code}")), "{reason}");
        api.wait_for(EXCHANGE, 3).await;
        assert!(exporter.failed_scrape().await.contains("no session: HTTP"));
        api.clear_overrides();
        exporter.readiness(200).await;
        assert!(is_complete(&exporter.scrape().await));
        assert!(api.exchanges() < 10, "{} exchanges", api.exchanges());
    }
}

#[tokio::test]
async fn rejects_too_deep_and_too_long_responses() {
    let api = Spacelift::builder().start().await.unwrap();
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let answers = [
        (Reply::Json(deep.clone()), "response is invalid"),
        (Reply::Json(format!("{{\"data\":{{\"usage\":{deep},\"x\":{deep}}}}}")), "response is invalid"),
        (Reply::Json(format!("{{\"errors\":[{{\"message\":\"deep\",\"extensions\":{deep}}}]}}")), ": "),
        (Reply::Endless, "larger than 64 MiB"),
    ];
    api.override_reply(EXCHANGE, answers[0].0.clone());
    let exporter = Exporter::start(&api, &["-t", "15s"]).await;
    exporter.log("cannot exchange").await;
    assert!(exporter.readiness(503).await.contains("response is invalid"));
    api.clear_overrides();
    exporter.readiness(200).await;
    for (answer, reason) in answers {
        for operation in OPERATIONS {
            api.override_reply(operation, answer.clone());
        }
        let body = exporter.failed_scrape().await;
        assert_eq!(body.lines().filter(|line| line.contains(reason)).count(), 4, "{body}");
        api.clear_overrides();
        assert!(is_complete(&exporter.scrape().await));
    }
    // Four responses at the limit, and the memory for growing the buffers.
    let peak = Usage::of(exporter.pid()).peak / 1_024;
    assert!(peak < 4 * 64 * 2, "{peak} MiB");
}

#[tokio::test]
async fn serves_scrapes_with_ten_thousand_idle_and_slow_clients() {
    let api = Spacelift::builder().token_lifetime(HOUR).start().await.unwrap();
    let exporter = Exporter::ready(&api, &[]).await;
    let Some(crowd) = SlowClients::connect(10_000, &exporter.address) else { return };
    let (most, last) = crowd.scrape_meanwhile(&exporter, Duration::from_secs(5)).await;
    assert!(most < 1_000.0 && (500.0..600.0).contains(&last), "{most} descriptors, {last} at last");
}
