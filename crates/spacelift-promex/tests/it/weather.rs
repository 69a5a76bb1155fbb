//! Bad weather: between the exporter and the API, around them, and on the exporter's own pages. While it lasts, scrapes
//! are answered in time and say why they fail; once it is over, nobody has to do anything.

use std::time::{Duration, Instant};

use harness::{Answer, Clock, Crowd, End, Front, HUNG, Hosts, Link, Usage, Weather};
use sandbox::spacelift::{EXCHANGE, Reply, Spacelift};
use tokio::time::{sleep, timeout};

use super::network::{ca_file, serve};
use super::support::{Exporter, PATIENCE};

const OPERATIONS: [&str; 4] = [
    "PrometheusExporter_PublicWorkerPool",
    "PrometheusExporter_WorkerPools",
    "PrometheusExporter_Usage",
    "PrometheusExporter_Aggregates",
];

const HOUR: Duration = Duration::from_secs(3_600);

/// Weather in which nothing comes through, and what the operator is told of it.
const STORMS: [(Weather, &str); 5] = [
    (Weather::Deaf(End::Service), "no answer within"),
    (Weather::Deaf(End::Client), "no answer within"),
    (Weather::HalfOpen, "no answer within"),
    (Weather::Reset, "cannot reach the API"),
    (Weather::Refused, "Connection refused"),
];

/// A scrape in which every collector succeeded.
fn is_whole(scrape: &Answer) -> bool {
    scrape.status == 200 && scrape.sum("spacelift_scrape_collector_success") == OPERATIONS.len() as f64
}

/// An API whose tokens live for so long, a link to it, and an exporter at its other end that is ready.
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

/// One weather after the other, with a session that outlasts them all.
async fn every_storm_passes(tls: bool) {
    let (api, link, exporter) = linked(tls, HOUR, "1s").await;
    for (weather, reason) in STORMS {
        link.turn(weather).await;
        let began = Instant::now();
        let body = exporter.failed_scrape().await;
        assert!(began.elapsed() < HUNG, "{weather:?}: {:?}", began.elapsed());
        assert_eq!(body.lines().filter(|line| line.contains(reason)).count(), 4, "{weather:?}: {body}");
        assert_eq!(exporter.get("/health").await.status, 200);
        link.turn(Weather::Fair).await;
        exporter.scraped(&format!("{weather:?} is not forgotten"), is_whole).await;
    }
    assert_eq!(api.exchanges(), 1, "the session was lost");
}

#[tokio::test]
async fn every_storm_passes_over_http1() {
    every_storm_passes(false).await;
}

#[tokio::test]
async fn every_storm_passes_over_http2() {
    every_storm_passes(true).await;
}

#[tokio::test]
async fn a_session_that_ends_in_a_storm_shows_in_readiness() {
    let (_api, link, exporter) = linked(false, Duration::from_secs(2), "1s").await;
    for (weather, reason) in STORMS {
        link.turn(weather).await;
        exporter.scraped("the token is over", |answer| answer.text().contains("no session: ")).await;
        let words = exporter.readiness(503).await;
        assert!(words.contains("no session with the Spacelift API: ") && words.contains(reason), "{words}");
        link.turn(Weather::Fair).await;
        // Each of the connections that HTTP/1.1 keeps for the collectors costs an exchange of five seconds before it
        // is known to lead nowhere.
        let recovered = async {
            while exporter.get("/ready").await.status != 200 {
                sleep(Duration::from_millis(100)).await;
            }
        };
        timeout(PATIENCE, recovered).await.unwrap_or_else(|_| panic!("{}", exporter.log_text()));
        exporter.scraped(&format!("{weather:?} is not forgotten"), is_whole).await;
    }
}

#[tokio::test]
async fn a_slow_and_lossy_link_costs_time_only() {
    let delay = Duration::from_millis(300);
    let slow = Weather::Slow { delay, jitter: Duration::from_millis(50), loss: 0.02 };
    for tls in [false, true] {
        let (_api, link, exporter) = linked(tls, HOUR, "5s").await;
        link.turn(slow).await;
        for _ in 0..5 {
            let began = Instant::now();
            let scrape = exporter.scrape().await;
            assert!(is_whole(&scrape), "{}", scrape.text());
            assert!(began.elapsed() >= 2 * delay, "{:?}", began.elapsed());
        }
    }
}

#[tokio::test]
async fn a_name_that_does_not_resolve() {
    let Some(hosts) = Hosts::none().await else { return };
    let api = Spacelift::builder().start().await.unwrap();
    let port = api.address().port();
    let exporter = Exporter::run(hosts.around(&serve(&format!("http://spacelift.invalid:{port}")))).await;
    let told = "failed to lookup address information";
    assert!(exporter.failed_scrape().await.contains(told));
    let reason = exporter.readiness(503).await;
    assert!(reason.contains(told), "{reason}");

    hosts.set("127.0.0.1 spacelift.invalid\n");
    exporter.readiness(200).await;
    assert!(is_whole(&exporter.scrape().await));

    hosts.set("");
    api.restart().await.unwrap();
    assert!(exporter.failed_scrape().await.contains(told), "a new connection needs the name");
    hosts.set("127.0.0.1 spacelift.invalid\n");
    exporter.scraped("the name is found again", is_whole).await;
}

#[tokio::test]
async fn the_time_of_day_jumps() {
    let Some(clock) = Clock::right().await else { return };
    let api = Spacelift::builder().token_lifetime(HOUR).start().await.unwrap();
    let mut command = serve(&api.url());
    clock.show_to(&mut command);
    let exporter = Exporter::run(command).await;
    exporter.readiness(200).await;
    for (offset, exchanges) in [("+0", 0), ("-6h", 0), ("+6h", 5), ("+0", 0)] {
        clock.set(offset);
        let before = api.exchanges();
        for _ in 0..5 {
            assert!(is_whole(&exporter.scrape().await), "{offset}: {}", exporter.log_text());
        }
        // To a clock that is ahead, every token seems to be over; each scrape then asks for one, and for no more.
        assert_eq!(api.exchanges() - before, exchanges, "{offset}");
        assert_eq!(exporter.get("/ready").await.status, 200);
    }
    // To a clock that is behind, a token seems to be good when it is over.
    clock.set("-6h");
    api.revoke_tokens();
    let before = api.exchanges();
    assert!(is_whole(&exporter.scrape().await), "{}", exporter.log_text());
    assert_eq!(api.exchanges() - before, 1);
}

#[tokio::test]
async fn a_certificate_that_has_expired() {
    let api = Spacelift::builder().token_lifetime(HOUR).start().await.unwrap();
    let front = Front::of(api.address(), &[]).await;
    let link = Link::to(front.address).await;
    front.certify_until(2025);
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, front.authority.pem()).unwrap();
    let mut command = serve(&format!("https://{}", link.address));
    command.arg("--ca-cert-path").arg(ca);
    let exporter = Exporter::run(command).await;
    let told = "invalid peer certificate: certificate expired";
    let body = exporter.failed_scrape().await;
    assert!(body.contains(told), "{body}");
    assert!(exporter.readiness(503).await.contains(told));
    assert_eq!(api.exchanges(), 0, "the credentials were sent all the same");

    front.certify_until(4000);
    exporter.readiness(200).await;
    assert!(is_whole(&exporter.scrape().await));

    // It expires while the exporter runs, and shows as soon as a new connection is needed.
    front.certify_until(2025);
    link.turn(Weather::Refused).await;
    link.turn(Weather::Fair).await;
    assert!(exporter.failed_scrape().await.contains(told));
    front.certify_until(4000);
    exporter.scraped("the certificate is replaced", is_whole).await;
}

fn refusal(code: u16) -> Reply {
    let headers = vec![("retry-after".to_owned(), "1".to_owned())];
    Reply::Status { code, headers, body: String::new() }
}

#[tokio::test]
async fn storms_of_refusals_come_and_go_and_are_not_answered_in_kind() {
    const SCRAPES: u64 = 5;
    let api = Spacelift::builder().token_lifetime(HOUR).start().await.unwrap();
    let exporter = Exporter::ready(&api, &[]).await;
    for code in [429, 500, 502, 503, 504, 429, 503] {
        let asked = || OPERATIONS.map(|operation| api.count(operation));
        let before = asked();
        for operation in OPERATIONS {
            api.override_reply(operation, refusal(code));
        }
        for _ in 0..SCRAPES {
            let body = exporter.failed_scrape().await;
            assert_eq!(body.matches(&format!("HTTP {code}")).count(), 4, "{body}");
        }
        for (before, after) in before.into_iter().zip(asked()) {
            assert!(after - before <= SCRAPES, "{code}: asked {} times", after - before);
        }
        api.clear_overrides();
        exporter.scraped(&format!("HTTP {code} is over"), is_whole).await;
    }
    assert_eq!(api.exchanges(), 1);
}

#[tokio::test]
async fn a_storm_of_refusals_at_start_is_waited_out() {
    for code in [429, 500, 503] {
        let api = Spacelift::builder().start().await.unwrap();
        api.override_reply(EXCHANGE, refusal(code));
        let exporter = Exporter::start(&api, &[]).await;
        exporter.log("cannot exchange").await;
        let reason = exporter.readiness(503).await;
        assert!(reason.contains(&format!("HTTP {code}")), "{reason}");
        api.wait_for(EXCHANGE, 3).await;
        assert!(exporter.failed_scrape().await.contains("no session: HTTP"));
        api.clear_overrides();
        exporter.readiness(200).await;
        assert!(is_whole(&exporter.scrape().await));
        assert!(api.exchanges() < 10, "{} exchanges", api.exchanges());
    }
}

#[tokio::test]
async fn answers_that_are_too_deep_or_too_long() {
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
        assert!(is_whole(&exporter.scrape().await));
    }
    // Four answers at the bound, and what growing the buffers takes.
    let peak = Usage::of(exporter.pid()).peak / 1_024;
    assert!(peak < 4 * 64 * 2, "{peak} MiB");
}

#[tokio::test]
async fn ten_thousand_idle_and_slow_clients_keep_nobody_waiting() {
    let api = Spacelift::builder().token_lifetime(HOUR).start().await.unwrap();
    let exporter = Exporter::ready(&api, &[]).await;
    let Some(crowd) = Crowd::of(10_000, &exporter.address) else { return };
    let (most, last) = crowd.scrape_amid(&exporter, Duration::from_secs(5)).await;
    assert!(most < 1_000.0 && (500.0..600.0).contains(&last), "{most} descriptors, {last} at last");
}
