//! Webhook deliveries to the binary.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use harness::{HttpResponse, SmallDisk, send};
use sandbox::spacelift::webhook::{
    Changes, Delivery, PolicyReceipt, RunInfo, Shape, SignedRequest, audit_event, internal_error,
    module_version,
};
use sandbox::spacelift::{Account, DEFAULT_API_KEY_ID, DEFAULT_API_KEY_SECRET, Scenario, Spacelift};

use tempfile::TempDir;

use super::support::{Exporter, command};

const SECRET: &str = "correct horse";
const CREATED: Duration = Duration::from_secs(1_757_500_000);

/// An exporter that receives webhooks.
pub(crate) struct Receiver {
    exporter: Exporter,
    api: Spacelift,
    /// The folder of the durable state, if there is one.
    _folder: Option<TempDir>,
}

impl Receiver {
    async fn start(flags: &[&str]) -> Self {
        Self::with(&[&["--webhook.secret", SECRET][..], flags].concat()).await
    }

    async fn with(flags: &[&str]) -> Self {
        let api = Spacelift::builder().account(Account::rich()).start().await.unwrap();
        let exporter = Exporter::ready(&api, flags).await;
        Self { exporter, api, _folder: None }
    }

    /// Starts the exporter with durable state and further flags, and sends a delivery of every kind.
    pub(crate) async fn with_every_kind(flags: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        let flags = [flags, &["--webhook.secret", SECRET, "--state.path", path.to_str().unwrap()]].concat();
        let receiver = Self { _folder: Some(folder), ..Self::with(&flags).await };
        let mut both = run(RUN);
        both.policy_receipts = vec![PolicyReceipt {
            name: "plan-rules".to_owned(),
            policy_type: "PLAN".to_owned(),
            outcome: "allow".to_owned(),
            flags: Vec::new(),
        }];
        both.drift_detection = true;
        for delivery in history(&both) {
            receiver.deliver(&delivery, Shape::Policy).await;
            receiver.deliver(&delivery, Shape::Default).await;
        }
        let mut waiting = run("01K5CCCCCCCCCCCCCCCCCCCCCC");
        waiting.worker_pool = None;
        receiver.deliver(&history(&waiting)[1], Shape::Default).await;
        let failed = run("01K5DDDDDDDDDDDDDDDDDDDDDD");
        let failed = Delivery::history(&failed, [("QUEUED", at(0)), ("FAILED", at(30))]);
        receiver.deliver(&failed[1], Shape::Default).await;
        let error = internal_error("acme", "WARNING").to_string();
        receiver.send(&SignedRequest::new(error, SECRET)).await;
        receiver.post("unsigned", &[]).await;
        receiver
    }

    /// Scrapes once the deliveries of [`with_every_kind`](Self::with_every_kind) are counted.
    pub(crate) async fn scrape_every_kind(&self) -> HttpResponse {
        self.scrape_with("bad_signature", 1.0).await
    }

    async fn post(&self, body: impl Into<Bytes>, headers: &[(&str, &str)]) -> HttpResponse {
        send("POST", &format!("http://{}/webhook", self.exporter.address), headers, body.into()).await
    }

    async fn send(&self, request: &SignedRequest) -> HttpResponse {
        let headers: Vec<(&str, &str)> =
            request.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        self.post(request.body.clone(), &headers).await
    }

    async fn deliver(&self, delivery: &Delivery, shape: Shape) {
        let answer = self.send(&delivery.signed(shape, SECRET)).await;
        assert_eq!((answer.status, answer.text().as_str()), (200, "accepted\n"));
    }

    /// Scrapes until the number of deliveries with a result is `count`.
    async fn scrape_with(&self, result: &str, count: f64) -> HttpResponse {
        let series = format!("spacelift_webhook_deliveries_total{{result=\"{result}\"}}");
        let what = format!("not {count} {result}");
        self.exporter.scraped(&what, |answer| answer.sample(&series) == Some(count)).await
    }
}

fn run(id: &str) -> RunInfo {
    let changes = Changes { added: 2, changed: 1, ..Changes::default() };
    RunInfo::new(id, "network")
        .created_at(CREATED)
        .worker_pool("01K5BBBBBBBBBBBBBBBBBBBBBB", "blue")
        .space("infra-01K5", "infra")
        .changes(changes)
}

fn at(seconds: u64) -> Duration {
    CREATED + Duration::from_secs(seconds)
}

/// The deliveries of a run: queued, ready after 10 s, planning after 40 s, finished after 100 s.
fn history(run: &RunInfo) -> Vec<Delivery> {
    let states = [("QUEUED", at(0)), ("READY", at(10)), ("PLANNING", at(40)), ("FINISHED", at(100))];
    Delivery::history(run, states)
}

const RUN: &str = "01K5AAAAAAAAAAAAAAAAAAAAAA";

#[tokio::test]
async fn counts_a_run_from_queue_to_end() {
    let receiver = Receiver::start(&[]).await;
    let deliveries = history(&run(RUN));
    for delivery in &deliveries[..3] {
        receiver.deliver(delivery, Shape::Default).await;
    }
    let running = receiver.scrape_with("accepted", 3.0).await;
    let active = "spacelift_runs_active{state=\"PLANNING\",run_type=\"TRACKED\",worker_pool=\"blue\"}";
    assert_eq!(running.sample(active), Some(1.0));
    let since = "spacelift_run_state_oldest_timestamp_seconds{stack=\"network\",state=\"PLANNING\"}";
    assert_eq!(running.sample(since), Some(at(40).as_secs_f64()));
    let finished = "spacelift_runs_total{space=\"\",stack=\"network\",run_type=\"TRACKED\",final_state=\"FINISHED\",drift_detection=\"false\",worker_pool=\"blue\"}";
    assert_eq!(running.sample(finished), Some(0.0), "the series must exist before its first increase");

    receiver.deliver(&deliveries[3], Shape::Default).await;
    let ended = receiver.scrape_with("accepted", 4.0).await;
    assert_eq!(ended.sample(finished), Some(1.0));
    assert!(!ended.has_family("spacelift_runs_active"));
    let duration = "{space=\"\",run_type=\"TRACKED\",final_state=\"FINISHED\"}";
    assert_eq!(ended.sample(&format!("spacelift_run_duration_seconds_sum{duration}")), Some(100.0));
    for (phase, seconds) in [("QUEUED", 10.0), ("READY", 30.0), ("PLANNING", 60.0)] {
        let labels = format!("{{phase=\"{phase}\",run_type=\"TRACKED\",worker_pool=\"blue\"}}");
        assert_eq!(
            ended.sample(&format!("spacelift_run_phase_seconds_sum{labels}")),
            Some(seconds),
            "{phase}"
        );
        assert_eq!(ended.sample(&format!("spacelift_run_phase_seconds_count{labels}")), Some(1.0), "{phase}");
    }
    for (series, value) in [
        ("spacelift_stack_run_seconds_total{stack=\"network\",run_type=\"TRACKED\"}", 100.0),
        (
            "spacelift_stack_last_run_info{stack=\"network\",run_type=\"TRACKED\",final_state=\"FINISHED\"}",
            1.0,
        ),
        (
            "spacelift_stack_last_run_timestamp_seconds{stack=\"network\",run_type=\"TRACKED\"}",
            at(100).as_secs_f64(),
        ),
        (
            "spacelift_run_resource_changes_total{space=\"\",stack=\"network\",run_type=\"TRACKED\",change_type=\"added\"}",
            2.0,
        ),
        (
            "spacelift_run_resource_changes_total{space=\"\",stack=\"network\",run_type=\"TRACKED\",change_type=\"deleted\"}",
            0.0,
        ),
        ("spacelift_scrape_collector_success{collector=\"runs\"}", 1.0),
        ("spacelift_webhook_delivery_delay_seconds_count", 4.0),
    ] {
        assert_eq!(ended.sample(series), Some(value), "{series}");
    }
    assert!(ended.sample("spacelift_webhook_last_delivery_timestamp_seconds").unwrap() > 1.7e9);

    let landing = receiver.exporter.get("/").await.text();
    assert!(landing.contains("Deliveries accepted") && landing.contains(">4<"), "{landing}");

    for delivery in &deliveries {
        assert_eq!(receiver.send(&delivery.signed(Shape::Default, SECRET)).await.status, 200);
    }
    let again = receiver.scrape_with("duplicate", 4.0).await;
    assert_eq!((again.sample(finished), again.sum("spacelift_runs_total")), (Some(1.0), 1.0));
}

#[tokio::test]
async fn counts_a_run_with_both_payloads_once() {
    let receiver = Receiver::start(&[]).await;
    let [first, second] = [RUN, "01K5CCCCCCCCCCCCCCCCCCCCCC"].map(run);
    // Each run receives its payloads in a different order.
    for delivery in history(&first) {
        receiver.deliver(&delivery, Shape::Default).await;
        receiver.deliver(&delivery, Shape::Policy).await;
    }
    for delivery in history(&second) {
        receiver.deliver(&delivery, Shape::Policy).await;
        receiver.deliver(&delivery, Shape::Default).await;
    }
    let scrape = receiver.scrape_with("accepted", 15.0).await;
    assert_eq!(scrape.sum("spacelift_runs_total"), 2.0);
    let space = "space=\"infra-01K5\"";
    for (change_type, count) in [("added", 4.0), ("changed", 2.0), ("deleted", 0.0), ("replaced", 0.0)] {
        let series = format!(
            "spacelift_run_resource_changes_total{{{space},stack=\"network\",run_type=\"TRACKED\",change_type=\"{change_type}\"}}"
        );
        assert_eq!(scrape.sample(&series), Some(count), "{change_type}");
    }
    for (phase, seconds) in [("QUEUED", 20.0), ("READY", 60.0), ("PLANNING", 120.0)] {
        let labels = format!("{{phase=\"{phase}\",run_type=\"TRACKED\",worker_pool=\"blue\"}}");
        assert_eq!(
            scrape.sample(&format!("spacelift_run_phase_seconds_sum{labels}")),
            Some(seconds),
            "{phase}"
        );
        assert_eq!(
            scrape.sample(&format!("spacelift_run_phase_seconds_count{labels}")),
            Some(2.0),
            "{phase}"
        );
    }
}

#[tokio::test]
async fn accepts_only_valid_signatures_and_reads_rotated_secrets() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secrets");
    std::fs::write(&path, "new secret\r\nold secret\n").unwrap();
    let receiver = Receiver::with(&["--webhook.secret-file", path.to_str().unwrap()]).await;
    let delivery = &history(&run(RUN))[0];
    for secret in ["new secret", "old secret"] {
        assert_eq!(receiver.send(&delivery.signed(Shape::Default, secret)).await.status, 200, "{secret}");
    }
    let signed = delivery.signed(Shape::Default, "new secret");
    let good = signed.header("X-Signature-256").unwrap();
    let mut changed = signed.body.to_vec();
    changed[10] ^= 1;
    let sha1 = signed.header("X-Signature").unwrap();
    for (body, headers) in [
        (&signed.body[..], &[][..]),
        (&signed.body, &[("X-Signature", sha1)]),
        (&signed.body, &[("X-Signature-256", sha1)]),
        (&signed.body, &[("X-Signature-256", &good[..good.len() - 2])]),
        (&changed, &[("X-Signature-256", good)]),
    ] {
        let answer = receiver.post(body.to_vec(), headers).await;
        assert_eq!((answer.status, answer.text().as_str()), (401, "bad_signature\n"), "{headers:?}");
    }
    let other = delivery.signed(Shape::Default, "other secret");
    assert_eq!(receiver.send(&other).await.status, 401);
    receiver.scrape_with("bad_signature", 6.0).await;
    let log = receiver.exporter.log("was not accepted").await;
    assert!(log.contains("compare the webhook's secret"), "{log}");

    // The file is rotated to another secret, which replaces both.
    std::fs::write(&path, "other secret").unwrap();
    let is_accepted = async { while receiver.send(&other).await.status != 200 {} };
    tokio::time::timeout(harness::TIMEOUT, is_accepted).await.expect("the new secret is not read");
    assert_eq!(receiver.send(&signed).await.status, 401);
    // After the file is removed, the last secret stays valid and `/ready` reports the failure.
    std::fs::remove_file(&path).unwrap();
    let missing = async {
        while !receiver.exporter.get("/ready").await.text().contains("the webhook's secret") {
            assert_eq!(receiver.send(&other).await.status, 200);
        }
    };
    tokio::time::timeout(harness::TIMEOUT, missing).await.expect("/ready does not report the missing file");
}

#[tokio::test]
async fn answers_200_to_every_signed_delivery() {
    let receiver = Receiver::start(&["--webhook.account", "acme"]).await;
    let deep = "[".repeat(100_000);
    let wide = format!("[{}0]", "0,".repeat(4 * 1_024 * 1_024 - 2));
    assert_eq!(wide.len(), 8 * 1_024 * 1_024 - 1);
    let own = run(RUN);
    let mut foreign = own.clone();
    foreign.account = "umbrella".to_owned();
    let foreign = history(&foreign)[0].default_payload().to_string();
    for (body, result) in [
        (internal_error("acme", "ERROR").to_string(), "accepted"),
        (audit_event("acme", CREATED).to_string(), "ignored"),
        (module_version("acme", CREATED).to_string(), "ignored"),
        ("{}".to_owned(), "ignored"),
        (wide, "ignored"),
        (String::new(), "invalid"),
        ("{\"run\": {}}".to_owned(), "invalid"),
        (deep, "invalid"),
        (foreign, "wrong_account"),
    ] {
        let answer = receiver.send(&SignedRequest::new(body.clone(), SECRET)).await;
        let body = &body[..body.len().min(100)];
        assert_eq!((answer.status, answer.text()), (200, format!("{result}\n")), "{body}");
    }
    let large = "x".repeat(8 * 1_024 * 1_024 + 1);
    assert_eq!(receiver.send(&SignedRequest::new(large, SECRET)).await.status, 413);
    let scrape = receiver.scrape_with("too_large", 1.0).await;
    for (result, count) in [("accepted", 1.0), ("ignored", 4.0), ("invalid", 3.0), ("wrong_account", 1.0)] {
        let series = format!("spacelift_webhook_deliveries_total{{result=\"{result}\"}}");
        assert_eq!(scrape.sample(&series), Some(count), "{result}");
    }
    assert_eq!(scrape.sample("spacelift_internal_errors_total{severity=\"ERROR\"}"), Some(1.0));
}

#[tokio::test]
async fn serves_webhooks_on_a_separate_address_and_only_with_a_secret() {
    let api = Spacelift::builder().account(Account::rich()).start().await.unwrap();
    let off = Exporter::ready(&api, &["--webhook.account", "acme"]).await;
    let warning = off.log("have no effect").await;
    assert!(warning.contains("webhook.account"), "{warning}");
    let url = format!("http://{}/webhook", off.address);
    assert_eq!(send("POST", &url, &[], Bytes::new()).await.status, 404);
    assert!(!off.scrape().await.has_family("spacelift_webhook_deliveries_total"));

    let flags =
        ["--webhook.secret", SECRET, "--webhook.listen-address", "127.0.0.1:0", "--webhook.path", "/hook"];
    let on = Exporter::ready(&api, &flags).await;
    on.log_lines("\"listening\"", 2).await;
    let lines = on.log_text();
    let lines = lines.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let addresses: Vec<String> =
        lines.filter_map(|line| Some(line.get("address")?.as_str()?.to_owned())).collect();
    let [own, public] = &addresses[..] else { panic!("{addresses:?}") };
    assert_eq!(*own, on.address);
    let signed = history(&run(RUN))[0].signed(Shape::Default, SECRET);
    let headers: Vec<(&str, &str)> =
        signed.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    for (address, method, path, status) in [
        (public, "POST", "/hook", 200),
        (public, "PUT", "/hook", 200),
        (public, "GET", "/hook", 405),
        (public, "GET", "/metrics", 404),
        (public, "GET", "/ready", 404),
        (public, "GET", "/", 404),
        (own, "POST", "/hook", 404),
        (own, "POST", "/webhook", 404),
    ] {
        let answer = send(method, &format!("http://{address}{path}"), &headers, signed.body.clone()).await;
        assert_eq!(answer.status, status, "{method} {address} {path}");
    }
}

#[tokio::test]
async fn shows_runs_while_the_api_is_down() {
    let receiver = Receiver::start(&[]).await;
    receiver.deliver(&history(&run(RUN))[3], Shape::Default).await;
    receiver.api.set_scenario(Scenario::Down);
    let scrape = receiver.scrape_with("accepted", 1.0).await;
    assert_eq!(scrape.sum("spacelift_runs_total"), 1.0);
    assert_eq!(scrape.sample("spacelift_scrape_collector_success{collector=\"workerpools\"}"), Some(0.0));
}

#[tokio::test]
async fn bounds_stacks_and_counts_silent_runs_as_lost() {
    let flags = ["--runs.max-stacks", "1", "--runs.max-age", "1s", "--runs.stack-ttl", "2s"];
    let receiver = Receiver::start(&flags).await;
    receiver.deliver(&history(&run(RUN))[3], Shape::Default).await;
    let mut other = run("01K5CCCCCCCCCCCCCCCCCCCCCC");
    other.stack.id = "cluster".to_owned();
    receiver.deliver(&history(&other)[0], Shape::Default).await;
    let scrape = receiver.scrape_with("accepted", 2.0).await;
    assert_eq!(scrape.sample("spacelift_runs_stack_limit_exceeded_total"), Some(1.0));
    let lost = "spacelift_runs_total{space=\"\",stack=\"_other\",run_type=\"TRACKED\",final_state=\"lost\",drift_detection=\"false\",worker_pool=\"blue\"}";
    let scrape = receiver
        .exporter
        .scraped("a run is counted as lost", |answer| answer.sample(lost) == Some(1.0))
        .await;
    assert!(!scrape.has_family("spacelift_runs_active"));
    receiver
        .exporter
        .scraped("the stack is removed", |answer| !answer.text().contains("stack=\"network\""))
        .await;
}

#[tokio::test]
async fn counts_each_run_once_across_kill_9() {
    let api = Spacelift::builder().account(Account::rich()).start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state");
    let flags = ["--webhook.secret", SECRET, "--state.path", path.to_str().unwrap()];
    let mut runs = 0;
    let mut pending: Option<Vec<Delivery>> = None;
    for round in 0..6 {
        let exporter = Exporter::ready(&api, &flags).await;
        let api = Spacelift::builder().start().await.unwrap();
        let mut receiver = Receiver { exporter, api, _folder: None };
        if let Some(deliveries) = pending.take() {
            // One run was active when the process was killed. The counts are those of the acknowledged deliveries.
            let scrape = receiver.exporter.scrape().await;
            assert_eq!(scrape.sum("spacelift_runs_active"), 1.0);
            assert_eq!(scrape.sum("spacelift_runs_total"), f64::from(runs));
            assert_eq!(scrape.sum("spacelift_run_duration_seconds_count"), f64::from(runs));
            // Spacelift retries unacknowledged deliveries, and sometimes acknowledged ones.
            for delivery in &deliveries {
                receiver.deliver(delivery, Shape::Default).await;
            }
            runs += 1;
            receiver.deliver(&deliveries[3], Shape::Default).await;
        }
        for number in 0..5 {
            for delivery in history(&run(&format!("01K5AAAAAAAAAAAAAAAAAAAA{round}{number}"))) {
                receiver.deliver(&delivery, Shape::Both).await;
            }
            runs += 1;
        }
        let deliveries = history(&run(&format!("01K5AAAAAAAAAAAAAAAAAAAA{round}Z")));
        receiver.deliver(&deliveries[0], Shape::Default).await;
        receiver.deliver(&deliveries[1], Shape::Default).await;
        pending = Some(deliveries);
        receiver.exporter.signal("KILL");
        receiver.exporter.exit().await;
    }
    assert_eq!(runs, 35);
    let mut exporter = Exporter::ready(&api, &flags).await;
    let scrape = exporter.scrape().await;
    assert_eq!(scrape.sum("spacelift_runs_total"), f64::from(runs));
    assert_eq!(scrape.sum("spacelift_stack_run_seconds_total"), f64::from(runs) * 100.0);
    assert!(scrape.sample("spacelift_webhook_last_delivery_timestamp_seconds").is_some());
    exporter.signal("TERM");
    assert!(exporter.exit().await.success());
}

#[tokio::test]
async fn answers_503_while_the_read_of_the_secret_file_blocks() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    // Opening a FIFO blocks until a writer opens it.
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    let receiver = Receiver::with(&["--webhook.secret-file", path.to_str().unwrap()]).await;
    let signed = history(&run(RUN))[3].signed(Shape::Default, SECRET);
    let response = receiver.send(&signed).await;
    assert_eq!((response.status, response.text().as_str()), (503, "overloaded\n"));
    assert_eq!(response.header("retry-after"), "1");
    let ready = receiver.exporter.get("/ready").await.text();
    assert!(ready.contains("the webhook's secret: ") && ready.contains("not read within 2s"), "{ready}");
    receiver.scrape_with("overloaded", 1.0).await;

    // The blocked read ends, and the next one reads the secret.
    let blocked = folder.path().join("blocked");
    std::fs::rename(&path, &blocked).unwrap();
    std::fs::write(&path, SECRET).unwrap();
    tokio::task::spawn_blocking(move || std::fs::write(blocked, "")).await.unwrap().unwrap();
    let is_accepted = async { while receiver.send(&signed).await.status != 200 {} };
    tokio::time::timeout(harness::TIMEOUT, is_accepted).await.expect("the secret is not read");
    let scrape = receiver.scrape_with("accepted", 1.0).await;
    assert_eq!(scrape.sum("spacelift_runs_total"), 1.0);
}

/// Returns the end of a run whose labels are long, so that its series need several KiB in the state file.
fn large_delivery(number: usize) -> SignedRequest {
    let mut run = run(&format!("01K5EEEEEEEEEEEEEEEE{number:06}"));
    run.stack.id = format!("{number:0250}");
    history(&run)[3].signed(Shape::Default, SECRET)
}

#[tokio::test]
async fn answers_503_if_the_commit_does_not_complete_within_ten_seconds() {
    let Some(disk) = SmallDisk::new().await else { return };
    let api = Spacelift::builder().account(Account::rich()).start().await.unwrap();
    let mut command = command();
    command.args(["serve", "--api-endpoint", &api.url(), "--api-key-id", DEFAULT_API_KEY_ID]);
    command.args(["--api-key-secret", DEFAULT_API_KEY_SECRET, "--webhook.secret", SECRET]);
    command.args(["--runs.max-stacks", "100000", "--state.path"]).arg(disk.path());
    let exporter = Exporter::run(disk.around(&command)).await;
    exporter.readiness(200).await;
    let receiver = Receiver { exporter, api, _folder: None };
    let filler = disk.fill(receiver.exporter.pid());

    // Deliveries are accepted until the free pages of the state file are used up.
    let mut deliveries = Vec::new();
    let rejected = loop {
        let first = deliveries.len();
        assert!(first < 20_000, "every delivery is committed");
        deliveries.extend((first..first + 200).map(large_delivery));
        let responses = join_all(deliveries[first..].iter().map(|delivery| receiver.send(delivery))).await;
        if let Some(rejected) = responses.into_iter().find(|response| response.status != 200) {
            break rejected;
        }
    };
    assert_eq!((rejected.status, rejected.text().as_str()), (503, "overloaded\n"));
    let ready = receiver.exporter.get("/ready").await.text();
    assert!(ready.contains("durable state: ") && ready.contains("No space left"), "{ready}");
    let scrape = receiver.exporter.scrape().await;
    assert!(scrape.sample("spacelift_promex_state_errors_total") > Some(0.0));
    let counted = scrape.sum("spacelift_runs_total");
    assert!(counted < deliveries.len() as f64, "{counted} runs are shown before their commit");

    disk.free(filler);
    for delivery in &deliveries {
        let is_accepted = async { while receiver.send(delivery).await.status != 200 {} };
        tokio::time::timeout(harness::TIMEOUT, is_accepted).await.expect("the disk has space again");
    }
    let count = deliveries.len() as f64;
    let counts_each_once = |scrape: &HttpResponse| scrape.sum("spacelift_runs_total") == count;
    receiver.exporter.scraped("each run is counted once", counts_each_once).await;
}
