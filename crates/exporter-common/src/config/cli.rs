//! The command line: flags from the table of settings, and the few that every exporter has.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::StyledStr;
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches};

use super::{ConfigError, Kind, Setting};
use crate::build_info;

/// What a binary is called and what it says of itself.
#[derive(Debug, Clone, Copy)]
pub struct Command {
    /// The binary's name.
    pub name: &'static str,
    /// One sentence.
    pub about: &'static str,
    /// A subcommand under which the flags stand (`serve`), for the sake of the original's command line.
    pub subcommand: Option<&'static str>,
}

/// What the command line asks for.
#[derive(Debug)]
pub enum Invocation {
    /// Run (or check the configuration) with these arguments.
    Run(Arguments),
    /// Print this on standard output and exit 0: `--help`, `--version`.
    Print(String),
}

/// The flags that were given.
#[derive(Debug, Clone, Default)]
pub struct Arguments {
    /// `--config PATH`.
    pub config: Option<PathBuf>,
    /// `--check-config`: validate and exit.
    pub check_config: bool,
    pub(super) flags: Vec<GivenFlag>,
}

/// A flag of the table as it stood on the command line.
#[derive(Debug, Clone)]
pub(super) struct GivenFlag {
    pub(super) key: String,
    pub(super) name: String,
    pub(super) value: String,
}

const CONFIG: &str = "config";
const CHECK_CONFIG: &str = "check-config";

impl Command {
    /// Reads the command line, program name first.
    ///
    /// # Errors
    /// An unknown flag, command or missing value, as one line.
    pub fn parse(
        &self,
        settings: &[Setting],
        arguments: impl IntoIterator<Item = OsString>,
    ) -> Result<Invocation, ConfigError> {
        let mut arguments: Vec<OsString> = arguments.into_iter().collect();
        if let Some(subcommand) = self.subcommand {
            match arguments.get(1).and_then(|argument| argument.to_str()) {
                Some(given) if given == subcommand => {
                    arguments.remove(1);
                }
                Some(given) if !given.starts_with('-') && given != "help" => {
                    return Err(ConfigError::new(format!(
                        "unknown command {given:?}; allowed is {} {subcommand} [flags], see --help",
                        self.name
                    )));
                }
                Some("help") | None => return Ok(Invocation::Print(self.help(settings))),
                Some(_) => {}
            }
        }
        match self.clap(settings).try_get_matches_from(arguments) {
            Ok(matches) => Ok(Invocation::Run(arguments_of(&matches, settings))),
            Err(error) => match error.kind() {
                ErrorKind::DisplayHelp => Ok(Invocation::Print(self.help(settings))),
                ErrorKind::DisplayVersion => Ok(Invocation::Print(build_info::version_line(self.name))),
                _ => Err(first_paragraph(&error.to_string(), self)),
            },
        }
    }

    /// The text of `--help`.
    pub fn help(&self, settings: &[Setting]) -> String {
        self.clap(settings).render_help().to_string()
    }

    fn clap(&self, settings: &[Setting]) -> clap::Command {
        let usage = match self.subcommand {
            Some(subcommand) => format!("{} {subcommand} [flags]", self.name),
            None => format!("{} [flags]", self.name),
        };
        let mut command = clap::Command::new(self.name)
            .about(self.about)
            .override_usage(usage)
            .version(build_info::VERSION)
            .disable_version_flag(true)
            .after_help(variables_only(settings))
            .arg(
                Arg::new("version")
                    .short('V')
                    .long("version")
                    .action(ArgAction::Version)
                    .help("Print name, version and commit"),
            )
            .arg(
                Arg::new(CONFIG)
                    .long(CONFIG)
                    .value_name("PATH")
                    .overrides_with(CONFIG)
                    .value_parser(clap::value_parser!(PathBuf))
                    .help("YAML file with any of these options [variable: CONFIG_PATH]"),
            )
            .arg(
                Arg::new(CHECK_CONFIG)
                    .long(CHECK_CONFIG)
                    .action(ArgAction::SetTrue)
                    .overrides_with(CHECK_CONFIG)
                    .help("Validate the configuration and exit 0 or 1"),
            );
        for setting in settings {
            let Some(flag) = setting.flag.as_deref() else { continue };
            command = command.args(flag_of(setting, flag));
        }
        command
    }
}

/// The clap arguments of a setting: one, and for a switch its negation.
fn flag_of(setting: &Setting, flag: &str) -> Vec<Arg> {
    let mut about = format!("{} [variable: {}]", setting.help, setting.variable);
    if let Some(default) = setting.default.as_deref() {
        about.push_str(&format!(" [default: {default}]"));
    }
    let id = flag.to_owned();
    let mut arg =
        Arg::new(id.clone()).long(id.clone()).help(StyledStr::from(about)).overrides_with(id.clone());
    if let Some(short) = setting.short {
        arg = arg.short(short);
    }
    if setting.kind != Kind::Switch {
        return vec![arg.value_name(setting.value_name).allow_hyphen_values(true)];
    }
    let negation = negation(flag);
    vec![
        arg.num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true")
            .value_name("true|false")
            .overrides_with(negation.clone()),
        Arg::new(negation.clone())
            .long(negation.clone())
            .action(ArgAction::SetTrue)
            .hide(true)
            .overrides_with(negation),
    ]
}

fn negation(flag: &str) -> String {
    format!("no-{flag}")
}

fn variables_only(settings: &[Setting]) -> String {
    let lines: Vec<String> = settings
        .iter()
        .filter(|setting| setting.flag.is_none())
        .map(|setting| {
            let default = setting
                .default
                .as_deref()
                .map(|default| format!(" [default: {default}]"))
                .unwrap_or_default();
            format!("  {} (variable {})\n          {}{default}", setting.key, setting.variable, setting.help)
        })
        .collect();
    if lines.is_empty() { String::new() } else { format!("Keys of the file:\n{}", lines.join("\n")) }
}

fn arguments_of(matches: &ArgMatches, settings: &[Setting]) -> Arguments {
    let mut flags = Vec::new();
    for setting in settings {
        let Some(flag) = setting.flag.as_deref() else { continue };
        let mut given =
            |name: String, value: String| flags.push(GivenFlag { key: setting.key.to_string(), name, value });
        if setting.kind == Kind::Switch && matches.get_flag(&negation(flag)) {
            given(negation(flag), "false".to_owned());
        } else if matches.value_source(flag) == Some(ValueSource::CommandLine)
            && let Some(value) = matches.get_one::<String>(flag)
        {
            given(flag.to_owned(), value.clone());
        }
    }
    Arguments {
        config: matches.get_one::<PathBuf>(CONFIG).cloned(),
        check_config: matches.get_flag(CHECK_CONFIG),
        flags,
    }
}

/// Clap explains over several paragraphs; the first says what is wrong.
fn first_paragraph(message: &str, command: &Command) -> ConfigError {
    let problem = message.split("\n\n").next().unwrap_or(message).trim().trim_start_matches("error: ");
    ConfigError::new(format!("{problem}; see {} --help for what is allowed", command.name))
}
