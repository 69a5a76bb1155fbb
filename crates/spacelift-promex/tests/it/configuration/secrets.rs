//! Secrets: where they come from, and how an unusable one is rejected.

use sandbox::spacelift::{DEFAULT_API_KEY_ID, DEFAULT_API_KEY_SECRET, Spacelift};

use super::super::support::{Exporter, command};
use super::{GOOD, check, check_rejected};

#[tokio::test]
async fn requires_exactly_one_secret_source() {
    let file = [("SPACELIFT_PROMEX_API_KEY_SECRET_FILE", "/dev/null")];
    check_rejected(
        &GOOD,
        &file,
        None,
        &["both set", "flag --api-key-secret", "variable SPACELIFT_PROMEX_API_KEY_SECRET_FILE"],
    )
    .await;
    check_rejected(&["-e", "http://x", "-k", "id"], &file, None, &["api_key_secret_file", "is empty"]).await;
    let missing = ["-e", "http://x", "-k", "id", "--api-key-secret-file", "/no/such/file"];
    check_rejected(&missing, &[], None, &["api_key_secret_file", "No such file"]).await;
}

#[tokio::test]
async fn trims_white_space_and_bom_around_secrets() {
    let api = Spacelift::builder().start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    let padded = format!("\u{feff} {DEFAULT_API_KEY_SECRET}\r\n");
    std::fs::write(&path, &padded).unwrap();
    let config = folder.path().join("config.yaml");
    std::fs::write(&config, format!("\u{feff}api_key_secret: \"{DEFAULT_API_KEY_SECRET}\\n\"\n")).unwrap();
    let run = async |flags: &[&str], variables: &[(&str, &str)]| {
        let mut command = command();
        command.args(["serve", "-e", &api.url(), "-k", &format!("{DEFAULT_API_KEY_ID}\n")]).args(flags);
        command.envs(variables.iter().copied());
        Exporter::run(command).await.log("exchanged the API key").await;
    };
    run(&["--api-key-secret", &padded], &[]).await;
    run(&["--api-key-secret-file", path.to_str().unwrap()], &[]).await;
    run(&["--config", config.to_str().unwrap()], &[]).await;
    run(&[], &[("SPACELIFT_PROMEX_API_KEY_SECRET", &padded)]).await;
}

#[tokio::test]
async fn rejects_malformed_secrets_with_a_hint() {
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
        check_rejected(&[&GOOD[..4], &file].concat(), &[], None, &["api_key_secret_file", hint]).await;
        if !secret.contains('\0') {
            check_rejected(
                &[&GOOD[..4], &["-s", secret]].concat(),
                &[],
                None,
                &["flag --api-key-secret", hint],
            )
            .await;
            let variable = [("SPACELIFT_PROMEX_API_KEY_SECRET", secret)];
            check_rejected(&GOOD[..4], &variable, None, &["api_key_secret from variable", hint]).await;
        }
    }
    std::fs::write(&path, b"\xff\xfeh\0u\0s\0h\0").unwrap();
    let file = ["--api-key-secret-file", path.to_str().unwrap()];
    check_rejected(&[&GOOD[..4], &file].concat(), &[], None, &["api_key_secret_file", "UTF-16"]).await;
}

#[tokio::test]
async fn serves_while_the_read_of_the_secret_file_blocks() {
    let api = Spacelift::builder().start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    // Opening a FIFO blocks until a writer opens it.
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    let mut command = command();
    command.args(["serve", "-e", &api.url(), "-k", DEFAULT_API_KEY_ID, "--api-key-secret-file"]).arg(&path);
    let exporter = Exporter::run(command).await;
    assert_eq!(exporter.get("/health").await.status, 200);
    let reason = exporter.log("not read within 2s, the volume may hang").await;
    assert!(reason.contains(path.to_str().unwrap()), "{reason}");
    assert_eq!(exporter.get("/health").await.status, 200);
    assert!(exporter.readiness(503).await.contains("the volume may hang"));
    // The blocked read ends, and the next one reads the secret.
    let hanging = folder.path().join("hanging");
    std::fs::rename(&path, &hanging).unwrap();
    std::fs::write(&path, DEFAULT_API_KEY_SECRET).unwrap();
    tokio::task::spawn_blocking(move || std::fs::write(hanging, "")).await.unwrap().unwrap();
    exporter.readiness(200).await;
}

#[tokio::test]
async fn errors_do_not_repeat_credentials_of_a_url() {
    for url in
        ["https://user:hush@acme", "https://user:hu/sh@acme", "https://acme?token=hush", "user:hush@acme"]
    {
        let (code, stderr) = check(&[&GOOD[2..], &["--api-endpoint", url]].concat(), &[], None).await;
        assert_eq!(code, Some(1), "{stderr}");
        assert!(stderr.contains("api_endpoint from flag --api-endpoint h"), "{stderr}");
        assert!(!stderr.contains("hush") && !stderr.contains("hu/sh"), "{stderr}");
    }
}
