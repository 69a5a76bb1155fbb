//! Log levels, formats and outputs.

use harness::{check_unread_log, run_unread};
use sandbox::spacelift::{DEFAULT_API_KEY_ID, DEFAULT_API_KEY_SECRET, Spacelift};
use tokio::process::Command;

use super::support::{Exporter, command, run_to_end};

fn serve_command(api: &Spacelift) -> Command {
    let mut command = command();
    command.args(["serve", "-e", &api.url(), "-k", DEFAULT_API_KEY_ID, "-s", DEFAULT_API_KEY_SECRET]);
    command
}

async fn check_config(command: &mut Command, variables: &[(&str, &str)]) -> (Option<i32>, String) {
    let mut checked = Command::new(command.as_std().get_program());
    checked
        .args(command.as_std().get_args())
        .env_clear()
        .envs(variables.iter().copied())
        .arg("--check-config");
    let (code, _, stderr) = run_to_end(checked).await;
    (code, stderr)
}

#[tokio::test]
async fn an_unread_log_blocks_nothing() {
    let api = Spacelift::builder().start().await.unwrap();
    check_unread_log(serve_command(&api), "--listen-address", true).await;
}

#[tokio::test]
async fn an_unread_error_does_not_block_the_exit() {
    let api = Spacelift::builder().start().await.unwrap();
    let mut wrong = serve_command(&api);
    wrong.args(["--scrape-timeout", "soon"]);
    assert_eq!(run_unread(wrong).await, Some(1));
    let mut right = serve_command(&api);
    right.arg("--check-config");
    assert_eq!(run_unread(right).await, Some(0));
}

#[tokio::test]
async fn a_level_excludes_the_libraries() {
    let api = Spacelift::builder().start().await.unwrap();
    let mut debug = serve_command(&api);
    debug.env("RUST_LOG", " debug\n");
    let exporter = Exporter::run(debug).await;
    exporter.log("exchanged the API key").await;
    exporter.scrape().await;
    exporter.log("requested the API").await;
    for line in exporter.log_text().lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        let target = line["target"].as_str().unwrap();
        assert!(target.starts_with("spacelift_promex") || target.starts_with("exporter_common"), "{line}");
    }
}

#[tokio::test]
async fn rejects_unknown_levels_and_warns_about_unknown_targets() {
    let api = Spacelift::builder().start().await.unwrap();
    for word in ["warning", "verbose", "info,foo", "inof"] {
        let (code, stderr) = check_config(&mut serve_command(&api), &[("RUST_LOG", word)]).await;
        assert_eq!((code, stderr.lines().count()), (Some(1), 1), "{stderr}");
        assert!(stderr.contains("variable RUST_LOG") && stderr.contains("allowed is a level"), "{stderr}");
    }
    let unknown = [("RUST_LOG", "foo=debug,bar=info,spacelift_promex=debug")];
    let (code, stderr) = check_config(&mut serve_command(&api), &unknown).await;
    assert_eq!((code, stderr.lines().count()), (Some(0), 2), "{stderr}");
    assert!(stderr.contains("RUST_LOG names unknown targets: foo, bar"), "{stderr}");
    for fine in ["", " ", " info ", "INFO,spacelift_promex=warn", "spacelift_promex=debug"] {
        let (code, stderr) = check_config(&mut serve_command(&api), &[("RUST_LOG", fine)]).await;
        assert_eq!(code, Some(0), "{stderr}");
        assert!(stderr.contains("the configuration is valid"), "{fine:?}: {stderr}");
        assert_eq!(stderr.lines().count(), 1, "{fine:?}: {stderr}");
    }
}

#[tokio::test]
async fn reads_level_and_format_from_flag_variable_or_file() {
    let api = Spacelift::builder().start().await.unwrap();
    let variable = [("SPACELIFT_PROMEX_LOG_LEVEL", "error")];
    assert_eq!(check_config(&mut serve_command(&api), &variable).await, (Some(0), String::new()));
    let (_, stderr) = check_config(serve_command(&api).arg("--log.level=info"), &variable).await;
    assert!(stderr.contains("the configuration is valid"), "{stderr}");
    // A flag wins over a level in RUST_LOG, which wins over the rest.
    let both = [("SPACELIFT_PROMEX_LOG_LEVEL", "error"), ("RUST_LOG", "info")];
    assert!(check_config(&mut serve_command(&api), &both).await.1.contains("the configuration is valid"));
    assert_eq!(check_config(serve_command(&api).args(["--log.level", "error"]), &both).await.1, "");
    for (format, beginning) in [("json", "{\"timestamp\":"), ("logfmt", "ts="), ("text", "20")] {
        let (_, stderr) = check_config(serve_command(&api).args(["--log.format", format]), &[]).await;
        assert!(stderr.starts_with(beginning), "{stderr}");
        let variable = [("SPACELIFT_PROMEX_LOG_FORMAT", format)];
        assert!(check_config(&mut serve_command(&api), &variable).await.1.starts_with(beginning));
    }
    let (_, stderr) = check_config(serve_command(&api).args(["--log.format", "logfmt"]), &[]).await;
    assert!(
        stderr.contains(" level=info ") && stderr.contains("msg=\"the configuration is valid\""),
        "{stderr}"
    );
    // The options override the defaults of development mode.
    let (_, stderr) = check_config(serve_command(&api).args(["-d", "--log.format=json"]), &[]).await;
    assert!(stderr.starts_with('{'), "{stderr}");
    for (flag, key) in [("--log.level=loud", "log_level"), ("--log.format=xml", "log_format")] {
        let (code, stderr) = check_config(serve_command(&api).arg(flag), &[]).await;
        assert_eq!(code, Some(1));
        assert!(
            stderr.contains(&format!("{key} from flag --")) && stderr.contains("allowed are"),
            "{stderr}"
        );
    }
}
