//! The program itself.

use std::{process::Stdio, time::Duration};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
    process::Command,
    time::timeout,
};

fn sandbox() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sandbox"));
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

#[tokio::test]
async fn says_where_it_listens_and_ends_when_asked() {
    for signal in ["-TERM", "-INT"] {
        let mut program = sandbox()
            .args(["spacelift", "--listen", "127.0.0.1:0"])
            .env("SANDBOX_SCENARIO", "machine_key")
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(program.stdout.as_mut().unwrap()).read_line(&mut line).await.unwrap();
        let address = line.trim().strip_prefix("spacelift: listening on http://").expect(&line);

        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET /_sandbox/scenario HTTP/1.0\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.ends_with("\r\n\r\nmachine_key\n"), "{answer}");

        let id = program.id().unwrap().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().await.unwrap().success());
        let status = timeout(Duration::from_secs(10), program.wait()).await.expect("it ends").unwrap();
        assert_eq!(status.code(), Some(0));
    }
}

#[tokio::test]
async fn rejects_what_it_does_not_understand() {
    for argument in ["--scenario=nonsense", "--speed=-1", "--token-lifetime=soon"] {
        let output = sandbox().args(["spacelift", argument]).output().await.unwrap();
        assert_eq!(output.status.code(), Some(2), "{argument}");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(stderr.contains(argument.split_once('=').unwrap().0), "{stderr}");
    }
}
