//! Loading a configuration with the options of a test program.

use std::ffi::OsString;
use std::io::Write;

use exporter_common::config::{
    Arguments, Command, ConfigError, Environment, Invocation, Loaded, Setting, SettingKind, TextList, load,
};
use serde::Deserialize;

const COMMAND: Command = Command { name: "test", about: "A test", subcommand: None };

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    level: Option<String>,
    token: Option<String>,
    methods: Option<TextList>,
    #[serde(default)]
    server: Server,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Server {
    port: Option<String>,
}

fn settings() -> Vec<Setting> {
    vec![
        Setting::new("level", "TEST_LEVEL", "The level").flag("level"),
        Setting::new("token", "TEST_TOKEN", "The token").flag("token").kind(SettingKind::Secret),
        Setting::new("methods", "TEST_METHODS", "The methods"),
        Setting::new("server.port", "TEST_SERVER__PORT", "The port"),
    ]
}

fn arguments(flags: &[&str]) -> Arguments {
    let line = ["test"].iter().chain(flags).map(OsString::from);
    match COMMAND.parse(&settings(), line).unwrap() {
        Invocation::Run(arguments) => arguments,
        Invocation::Print(text) => panic!("unexpected text: {text}"),
    }
}

fn loaded(flags: &[&str], variables: &[(&str, &str)], file: &str) -> Result<Loaded<Written>, ConfigError> {
    let mut yaml = tempfile::NamedTempFile::new().unwrap();
    yaml.write_all(file.as_bytes()).unwrap();
    let path = yaml.path().to_str().unwrap();
    let flags = [&["--config", path], flags].concat();
    load(settings(), &arguments(&flags), &variables.iter().copied().collect::<Environment>())
}

#[test]
fn flags_override_variables_and_variables_override_the_file() {
    let file = "level: file\nserver: {port: 1}\n";
    let level = |flags: &[&str], variables: &[(&str, &str)]| {
        let loaded = loaded(flags, variables, file).unwrap();
        (loaded.written.level.clone().unwrap(), loaded.source("level"))
    };
    assert_eq!(level(&[], &[]).0, "file");
    assert_eq!(level(&[], &[("TEST_LEVEL", "variable")]), ("variable".into(), "variable TEST_LEVEL".into()));
    assert_eq!(level(&["--level", "flag"], &[("TEST_LEVEL", "x")]), ("flag".into(), "flag --level".into()));
    assert_eq!(level(&[], &[("TEST_LEVEL", "")]).0, "file", "an empty variable is not set");
    assert_eq!(level(&["--level", "a", "--level", "b"], &[]).0, "b");
}

#[test]
fn loads_nested_keys_from_file_and_variables() {
    let port =
        |variables: &[(&str, &str)], file: &str| loaded(&[], variables, file).unwrap().written.server.port;
    assert_eq!(port(&[], "server: {port: 007}").as_deref(), Some("007"));
    assert_eq!(port(&[("TEST_SERVER__PORT", "8")], "server:\n").as_deref(), Some("8"));
    assert_eq!(port(&[], "server:\n"), None);
    assert_eq!(port(&[], ""), None);
}

#[test]
fn parses_lists_as_sequences_or_separated_by_commas() {
    let methods =
        |variables: &[(&str, &str)], file: &str| loaded(&[], variables, file).unwrap().written.methods;
    let expected = Some(TextList(vec!["a.b".into(), "c".into()]));
    assert_eq!(methods(&[], "methods: [a.b, c]"), expected);
    assert_eq!(methods(&[], "methods: a.b, c"), expected);
    assert_eq!(methods(&[("TEST_METHODS", "a.b,c,")], ""), expected);
    assert_eq!(methods(&[("TEST_METHODS", "[\"a.b\", 'c']")], ""), expected);
}

#[test]
fn errors_name_key_source_and_what_is_allowed() {
    for (file, parts) in [
        ("lvel: x", &["unknown key lvel", "level, token, methods, server"][..]),
        ("server: {prt: 1}", &["unknown key server.prt", "port"]),
        ("level: [a]", &["level from file", "sequence", "string"]),
        ("token: {hush: 1}", &["token from file"]),
    ] {
        let error = loaded(&[], &[], file).unwrap_err().to_string();
        for part in parts {
            assert!(error.contains(part), "{file}: {error}");
        }
        assert_eq!(error.lines().count(), 1);
    }
    let loaded = loaded(&["--token", "hush", "--level", "loud"], &[], "").unwrap();
    let reject = |_: &str| Err::<(), _>("is wrong".to_owned());
    let error = loaded.required("token", loaded.written.token.as_ref(), reject).unwrap_err().to_string();
    assert_eq!(error, "token from flag --token is wrong", "the error contains the secret");
    let error = loaded.required("level", loaded.written.level.as_ref(), reject).unwrap_err().to_string();
    assert_eq!(error, "level from flag --level: \"loud\" is wrong");
    let error = loaded.required("server.port", None, reject).unwrap_err().to_string();
    assert!(error.contains("server.port is required") && error.contains("TEST_SERVER__PORT"), "{error}");
}

#[test]
fn list_flags_are_combined_with_the_other_flag() {
    let settings = || {
        vec![Setting::new("methods", "TEST_METHODS", "The methods").flag("methods").list_flag("also.methods")]
    };
    let methods = |flags: &[&str]| {
        let line = ["test"].iter().chain(flags).map(OsString::from);
        let Invocation::Run(arguments) = COMMAND.parse(&settings(), line).unwrap() else {
            panic!("unexpected text")
        };
        let environment = [("TEST_METHODS", "variable")].into_iter().collect();
        let loaded = load::<Written>(settings(), &arguments, &environment).unwrap();
        (loaded.written.methods.clone().unwrap().0, loaded.source("methods"))
    };
    let given = ["--methods", "x", "--methods", "a", "--also.methods=b", "--also.methods", "c,d"];
    assert_eq!(
        methods(&given).0,
        ["a", "b", "c", "d"],
        "the last value of the first flag, and all values of the other"
    );
    assert_eq!(methods(&given).1, "flag --methods and --also.methods");
    assert_eq!(methods(&["--also.methods=b"]), (vec!["b".to_owned()], "flag --also.methods".to_owned()));
    assert_eq!(methods(&[]).0, ["variable"]);
}

#[test]
fn debug_output_contains_no_values() {
    let given = arguments(&["--token", "hush", "--level", "http://user:hush@host"]);
    let environment: Environment = [("TEST_TOKEN", "hush")].into_iter().collect();
    let loaded = load::<Written>(settings(), &given, &environment).unwrap();
    for shown in [
        format!("{given:?}"),
        format!("{environment:?}"),
        format!("{loaded:?}"),
        format!("{:?}", Invocation::Run(given)),
    ] {
        assert!(!shown.contains("hush"), "{shown}");
    }
    assert!(format!("{environment:?}").contains("TEST_TOKEN"));
}

#[test]
fn help_lists_flags_and_keys() {
    let help = COMMAND.help(&settings());
    for part in [
        "--level <VALUE>",
        "[variable: TEST_LEVEL]",
        "server.port (variable TEST_SERVER__PORT)",
        "--check-config",
    ] {
        assert!(help.contains(part), "{part} is not in\n{help}");
    }
}

#[cfg(unix)]
#[test]
fn rejects_variables_that_are_not_utf8() {
    use std::os::unix::ffi::OsStringExt;
    let variable = ("TEST_LEVEL", OsString::from_vec(vec![0xff]));
    let environment = Environment::from_iter([variable]);
    let error = load::<Written>(settings(), &arguments(&[]), &environment).unwrap_err().to_string();
    assert!(error.contains("TEST_LEVEL"), "{error}");
}
