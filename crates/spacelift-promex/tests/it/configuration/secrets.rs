//! Secrets: where they come from, and how an unusable one is rejected.

use sandbox::spacelift::{DEFAULT_API_KEY_ID, DEFAULT_API_KEY_SECRET, Spacelift};

use super::super::support::{Exporter, command};
use super::{GOOD, check, refused};

#[tokio::test]
async fn exactly_one_secret() {
    let file = [("SPACELIFT_PROMEX_API_KEY_SECRET_FILE", "/dev/null")];
    refused(
        &GOOD,
        &file,
        None,
        &["both set", "flag --api-key-secret", "variable SPACELIFT_PROMEX_API_KEY_SECRET_FILE"],
    )
    .await;
    refused(&["-e", "http://x", "-k", "id"], &file, None, &["api_key_secret_file", "is empty"]).await;
    let missing = ["-e", "http://x", "-k", "id", "--api-key-secret-file", "/no/such/file"];
    refused(&missing, &[], None, &["api_key_secret_file", "No such file"]).await;
}

#[tokio::test]
async fn what_surrounds_a_secret_is_no_part_of_it() {
    let api = Spacelift::builder().start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    let surrounded = format!("\u{feff} {DEFAULT_API_KEY_SECRET}\r\n");
    std::fs::write(&path, &surrounded).unwrap();
    let config = folder.path().join("config.yaml");
    std::fs::write(&config, format!("\u{feff}api_key_secret: \"{DEFAULT_API_KEY_SECRET}\\n\"\n")).unwrap();
    let run = async |flags: &[&str], variables: &[(&str, &str)]| {
        let mut command = command();
        command.args(["serve", "-e", &api.url(), "-k", &format!("{DEFAULT_API_KEY_ID}\n")]).args(flags);
        command.envs(variables.iter().copied());
        Exporter::run(command).await.log("exchanged the API key").await;
    };
    run(&["--api-key-secret", &surrounded], &[]).await;
    run(&["--api-key-secret-file", path.to_str().unwrap()], &[]).await;
    run(&["--config", config.to_str().unwrap()], &[]).await;
    run(&[], &[("SPACELIFT_PROMEX_API_KEY_SECRET", &surrounded)]).await;
}

#[tokio::test]
async fn a_secret_that_cannot_be_meant_is_refused_with_a_hint() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    for (secret, hint) in [
        ("\"hush\"", "quotes around it"),
        ("'hush'\n", "quotes around it"),
        ("hush\nhush", "several lines"),
        (" \n", "is empty"),
        ("h\0u\0s\0h\0", "NUL"),
    ] {
        std::fs::write(&path, secret).unwrap();
        let file = ["--api-key-secret-file", path.to_str().unwrap()];
        refused(&[&GOOD[..4], &file].concat(), &[], None, &["api_key_secret_file", hint]).await;
        if !secret.contains('\0') {
            refused(&[&GOOD[..4], &["-s", secret]].concat(), &[], None, &["flag --api-key-secret", hint])
                .await;
            let variable = [("SPACELIFT_PROMEX_API_KEY_SECRET", secret)];
            refused(&GOOD[..4], &variable, None, &["api_key_secret from variable", hint]).await;
        }
    }
    std::fs::write(&path, b"\xff\xfeh\0u\0s\0h\0").unwrap();
    let file = ["--api-key-secret-file", path.to_str().unwrap()];
    refused(&[&GOOD[..4], &file].concat(), &[], None, &["api_key_secret_file", "UTF-16"]).await;
}

#[tokio::test]
async fn a_secret_on_a_volume_that_hangs_costs_no_page() {
    let api = Spacelift::builder().start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    // Opening it waits until somebody writes.
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    let mut command = command();
    command.args(["serve", "-e", &api.url(), "-k", DEFAULT_API_KEY_ID, "--api-key-secret-file"]).arg(&path);
    let exporter = Exporter::run(command).await;
    assert_eq!(exporter.get("/health").await.status, 200);
    let reason = exporter.log("not read within 2s, the volume may hang").await;
    assert!(reason.contains(path.to_str().unwrap()), "{reason}");
    assert_eq!(exporter.get("/health").await.status, 200);
    assert!(exporter.readiness(503).await.contains("the volume may hang"));
    // The volume is back: the read that hung ends, and the next one finds the secret.
    let hanging = folder.path().join("hanging");
    std::fs::rename(&path, &hanging).unwrap();
    std::fs::write(&path, DEFAULT_API_KEY_SECRET).unwrap();
    tokio::task::spawn_blocking(move || std::fs::write(hanging, "")).await.unwrap().unwrap();
    exporter.readiness(200).await;
}

#[tokio::test]
async fn a_url_with_credentials_is_not_repeated() {
    for url in
        ["https://user:hush@acme", "https://user:hu/sh@acme", "https://acme?token=hush", "user:hush@acme"]
    {
        let (code, stderr) = check(&[&GOOD[2..], &["--api-endpoint", url]].concat(), &[], None).await;
        assert_eq!(code, Some(1), "{stderr}");
        assert!(stderr.contains("api_endpoint from flag --api-endpoint h"), "{stderr}");
        assert!(!stderr.contains("hush") && !stderr.contains("hu/sh"), "{stderr}");
    }
}
