//! A simulated account sends deliveries about its runs, and the exporter's counts must match the account.

use std::collections::BTreeMap;
use std::time::Duration;

use harness::{HttpResponse, Prometheus, TIMEOUT};
use sandbox::spacelift::Spacelift;
use sandbox::spacelift::webhook::{Outcome, Shape, Webhook, WebhookFaults};

use spacelift_promex::collectors::ALL;
use tokio::time::timeout;

use super::support::Exporter;

const SECRET: &str = "correct horse";

/// A running simulated account, and an exporter that receives its deliveries.
struct Simulation {
    spacelift: Spacelift,
    exporter: Exporter,
}

impl Simulation {
    async fn start(seed: u64, shape: Shape, faults: WebhookFaults) -> Self {
        let spacelift = Spacelift::builder().simulated(seed, 0.0).start().await.unwrap();
        // All other collectors are disabled, so that the CPU time is left for the deliveries.
        let none = ALL.iter().map(|collector| format!("--no-collector.{}", collector.name));
        let flags: Vec<String> = none.chain([format!("--webhook.secret={SECRET}")]).collect();
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        let exporter = Exporter::ready(&spacelift, &flags).await;
        let webhook = Webhook::new(format!("http://{}/webhook", exporter.address), SECRET);
        spacelift.set_webhook(webhook.shape(shape).retry(true));
        spacelift.set_webhook_faults(faults);
        spacelift.reset_runs();
        spacelift.set_speed(50.0);
        let simulation = Self { spacelift, exporter };
        // The number of ended runs is only available by polling.
        let runs_end = async {
            while simulation.ended() < 100 {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        };
        timeout(TIMEOUT, runs_end).await.expect("too few runs end");
        simulation
    }

    fn ended(&self) -> u64 {
        self.spacelift.runs().ended.values().sum()
    }

    /// Stops the account, and scrapes once all ended runs are counted.
    async fn stop(&self) -> HttpResponse {
        self.spacelift.set_speed(0.0);
        self.spacelift.webhook_settled().await;
        assert!(!self.spacelift.webhook_status().disabled);
        let ended = self.ended();
        self.exporter
            .scraped("all ended runs are counted", |answer| {
                answer.sum("spacelift_runs_total") >= ended as f64
            })
            .await
    }
}

fn runs_total(
    Outcome { space, stack, run_type, final_state, drift_detection, worker_pool }: &Outcome,
) -> String {
    format!(
        "spacelift_runs_total{{space=\"{space}\",stack=\"{stack}\",run_type=\"{run_type}\",final_state=\"{final_state}\",drift_detection=\"{drift_detection}\",worker_pool=\"{worker_pool}\"}}"
    )
}

fn check_ended(scrape: &HttpResponse, ended: &BTreeMap<Outcome, u64>) {
    for (outcome, count) in ended {
        let series = runs_total(outcome);
        assert_eq!(scrape.sample(&series), Some(*count as f64), "{series}");
    }
    assert_eq!(scrape.sum("spacelift_runs_total"), ended.values().sum::<u64>() as f64);
    assert_eq!(scrape.sum("spacelift_run_duration_seconds_count"), ended.values().sum::<u64>() as f64);
}

#[tokio::test]
async fn counts_match_the_account() {
    let simulation = Simulation::start(1, Shape::Default, WebhookFaults::default()).await;
    let scrape = simulation.stop().await;
    let runs = simulation.spacelift.runs();
    check_ended(&scrape, &runs.ended_without_space());
    for (active, count) in &runs.active {
        let series = format!(
            "spacelift_runs_active{{state=\"{}\",run_type=\"{}\",worker_pool=\"{}\"}}",
            active.state, active.run_type, active.worker_pool
        );
        assert_eq!(scrape.sample(&series), Some(*count as f64), "{series}");
    }
    assert_eq!(scrape.sum("spacelift_runs_active"), runs.active.values().sum::<u64>() as f64);
    // The duration of a run is the time from its creation to its end.
    let seconds: f64 = runs.last.iter().map(|run| (run.ended - run.created).as_secs_f64()).sum();
    let counted = scrape.sum("spacelift_run_duration_seconds_sum");
    // Creation times are delivered in whole seconds, so each run may be off by one.
    let error = runs.last.len() as f64;
    assert!((counted - seconds).abs() <= error, "{counted} {seconds}");
    assert_eq!(scrape.sum("spacelift_internal_errors_total"), {
        simulation.spacelift.webhook_status().internal_errors.values().sum::<u64>() as f64
    });

    let Some(prometheus) = Prometheus::scraping(&simulation.exporter.address).await else { return };
    let found = prometheus.query("sum by (final_state) (spacelift_runs_total)").await;
    let mut expected: BTreeMap<&str, u64> = BTreeMap::new();
    for (outcome, count) in &runs.ended {
        *expected.entry(&outcome.final_state).or_default() += count;
    }
    for (labels, value) in found {
        let state = labels["final_state"].as_str().unwrap();
        assert_eq!(value, expected.remove(state).unwrap_or_default() as f64, "{state}");
    }
    assert!(expected.is_empty(), "{expected:?}");
    let p90 =
        "histogram_quantile(0.9, sum by (le) (spacelift_run_phase_seconds_bucket{phase=\"READY\"})) > 0";
    assert_eq!(prometheus.query(p90).await.len(), 1);
}

#[tokio::test]
async fn counts_match_with_lost_and_repeated_deliveries() {
    let faults = WebhookFaults {
        duplicates: 0.3,
        reorder: 0.3,
        lost: 0.2,
        bad_signatures: 0.1,
        old_payloads: 0.3,
        ..WebhookFaults::default()
    };
    let simulation = Simulation::start(2, Shape::Default, faults).await;
    let scrape = simulation.stop().await;
    check_ended(&scrape, &simulation.spacelift.runs().ended_without_space());
    let status = simulation.spacelift.webhook_status();
    assert!(status.duplicates > 0 && status.lost > 0 && status.bad_signatures > 0, "{status:?}");
    let series = "spacelift_webhook_deliveries_total{result=\"bad_signature\"}";
    assert_eq!(scrape.sample(series), Some(status.bad_signatures as f64));
}

#[tokio::test]
async fn the_policy_payload_counts_spaces_phases_and_policies() {
    let simulation =
        Simulation::start(3, Shape::Policy, WebhookFaults { reorder: 0.2, ..WebhookFaults::default() }).await;
    let scrape = simulation.stop().await;
    let runs = simulation.spacelift.runs();
    check_ended(&scrape, &runs.ended);
    let mut phases: BTreeMap<(&str, &str, &str), f64> = BTreeMap::new();
    let mut policies: BTreeMap<(&str, &str, &str), u64> = BTreeMap::new();
    for run in &runs.last {
        let Outcome { space, run_type, worker_pool, .. } = &run.outcome;
        for (state, time) in &run.timing {
            *phases.entry((state, run_type, worker_pool)).or_default() += time.as_secs_f64();
        }
        for (policy_type, outcome) in &run.policy_evaluations {
            *policies.entry((space, policy_type, outcome)).or_default() += 1;
        }
    }
    for ((phase, run_type, worker_pool), seconds) in phases {
        let series = format!(
            "spacelift_run_phase_seconds_sum{{phase=\"{phase}\",run_type=\"{run_type}\",worker_pool=\"{worker_pool}\"}}"
        );
        let counted = scrape.sample(&series).unwrap();
        assert!((counted - seconds).abs() < 0.01, "{series}: {counted} {seconds}");
    }
    // The policy payload reports replaced resources separately.
    let finished = runs.last.iter().filter(|run| run.outcome.final_state == "FINISHED");
    let replaced: u32 = finished.filter_map(|run| run.changes).map(|changes| changes.replaced).sum();
    let counted: f64 = scrape
        .text()
        .lines()
        .filter(|line| line.starts_with("spacelift_run_resource_changes_total{change_type=\"replaced\""))
        .map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
        .sum();
    assert_eq!(counted, f64::from(replaced));
    assert!(replaced > 0);
    for ((space, policy_type, outcome), count) in policies {
        let series = format!(
            "spacelift_run_policy_evaluations_total{{space=\"{space}\",policy_type=\"{policy_type}\",policy_outcome=\"{outcome}\"}}"
        );
        assert_eq!(scrape.sample(&series), Some(count as f64), "{series}");
    }
}

#[tokio::test]
async fn both_payloads_count_each_run_once() {
    let faults = WebhookFaults { duplicates: 0.1, reorder: 0.1, ..WebhookFaults::default() };
    let simulation = Simulation::start(4, Shape::Both, faults).await;
    let scrape = simulation.stop().await;
    let runs = simulation.spacelift.runs();
    assert_eq!(scrape.sum("spacelift_runs_total"), runs.ended.values().sum::<u64>() as f64);
    let evaluations: usize = runs.last.iter().map(|run| run.policy_evaluations.len()).sum();
    assert_eq!(scrape.sum("spacelift_run_policy_evaluations_total"), evaluations as f64);
}
