//! The command line: flags from the table of settings, and the few that every exporter has.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches};
use zeroize::Zeroizing;

use super::{ConfigError, Setting, SettingKind, nearest};
use crate::build_info;
use crate::secret::Secret;

/// The name and description of a binary.
#[derive(Debug, Clone, Copy)]
pub struct Command {
    /// The binary's name.
    pub name: &'static str,
    /// One sentence.
    pub about: &'static str,
    /// The subcommand that takes the flags (`serve`), for compatibility with the original's command line.
    pub subcommand: Option<&'static str>,
}

/// The action that the command line requests.
#[derive(Debug)]
pub enum Invocation {
    /// Run, or check the configuration, with these arguments.
    Run(Arguments),
    /// Print a text on standard output and exit 0: `--help`, `--version`.
    Print(String),
}

/// The parsed flags.
#[derive(Debug, Clone, Default)]
pub struct Arguments {
    /// `--config PATH`.
    pub config: Option<PathBuf>,
    /// `--check-config`: validate and exit.
    pub check_config: bool,
    pub(super) flags: Vec<GivenFlag>,
}

/// A flag of the table as written on the command line. Any value can contain a secret, such as a URL with a password.
#[derive(Debug, Clone)]
pub(super) struct GivenFlag {
    pub(super) key: String,
    pub(super) name: String,
    pub(super) value: Secret,
}

const CONFIG: &str = "config";
const CHECK_CONFIG: &str = "check-config";

/// The name of `--config` in the Prometheus exporter toolkit.
const CONFIG_FILE: &str = "config.file";

/// The commands that every program has.
const HELP: &str = "help";
const VERSION: &str = "version";

impl Command {
    /// Parses the command line, which starts with the program name.
    ///
    /// # Errors
    /// A flag or command is unknown, or a value is missing. The error is one line.
    pub fn parse(
        &self,
        settings: &[Setting],
        arguments: impl IntoIterator<Item = OsString>,
    ) -> Result<Invocation, ConfigError> {
        let mut arguments: Vec<OsString> = arguments.into_iter().collect();
        match (arguments.get(1).and_then(|argument| argument.to_str()), self.subcommand) {
            (Some(HELP), _) | (None, Some(_)) => return Ok(Invocation::Print(self.help(settings))),
            (Some(VERSION), _) => return Ok(Invocation::Print(build_info::version_line(self.name))),
            (given, Some(subcommand)) if given == Some(subcommand) => {
                arguments.remove(1);
            }
            (Some(given), Some(subcommand)) if !given.starts_with('-') => {
                let likely = nearest(given, [subcommand, VERSION, HELP]);
                return Err(ConfigError::new(format!(
                    "unknown command {given:?}{}; allowed is {} {subcommand} [flags], see --help",
                    did_you_mean(likely),
                    self.name
                )));
            }
            _ => {}
        }
        if let Some(flag) = arguments.iter().find_map(|argument| single_dash(argument.to_str()?, settings)) {
            return Err(ConfigError::new(format!(
                "unexpected argument '-{flag}'; did you mean --{flag}? See {} --help for what is allowed",
                self.name
            )));
        }
        match self.clap(settings).try_get_matches_from(arguments) {
            Ok(matches) => Ok(Invocation::Run(arguments_of(&matches, settings))),
            Err(error) => match error.kind() {
                ErrorKind::DisplayHelp => Ok(Invocation::Print(self.help(settings))),
                ErrorKind::DisplayVersion => Ok(Invocation::Print(build_info::version_line(self.name))),
                _ => Err(explain(&error, self, settings)),
            },
        }
    }

    /// Returns the text of `--help`.
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
                    .visible_alias(CONFIG_FILE)
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
            if let Some(flag) = setting.flag.as_deref() {
                command = command.args(flag_of(setting, flag));
            }
            if let Some(flag) = setting.list_flag.as_deref() {
                command = command.arg(list_flag_of(setting, flag));
            }
        }
        command
    }
}

/// Returns the clap arguments of a setting: its flag, and the negation of a switch.
fn flag_of(setting: &Setting, flag: &str) -> Vec<Arg> {
    let id = flag.to_owned();
    let mut arg = Arg::new(id.clone()).long(id.clone()).help(about(setting, "")).overrides_with(id.clone());
    if let Some(short) = setting.short {
        arg = arg.short(short);
    }
    if setting.kind != SettingKind::Switch {
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

fn list_flag_of(setting: &Setting, flag: &str) -> Arg {
    Arg::new(flag.to_owned())
        .long(flag.to_owned())
        .help(about(setting, ", may be repeated"))
        .value_name(setting.value_name)
        .allow_hyphen_values(true)
        .action(ArgAction::Append)
}

fn about(setting: &Setting, more: &str) -> StyledStr {
    let mut about = format!("{}{more} [variable: {}]", setting.help, setting.variable);
    if let Some(default) = setting.default.as_deref() {
        about.push_str(&format!(" [default: {default}]"));
    }
    StyledStr::from(about)
}

fn negation(flag: &str) -> String {
    format!("no-{flag}")
}

fn variables_only(settings: &[Setting]) -> String {
    let lines: Vec<String> = settings
        .iter()
        .filter(|setting| setting.flags().next().is_none())
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
        let mut given = |name: String, value: String| {
            flags.push(GivenFlag {
                key: setting.key.to_string(),
                name,
                value: Secret::from(Zeroizing::new(value)),
            });
        };
        if setting.kind == SettingKind::Switch
            && let Some(flag) = setting.flag.as_deref()
            && matches.get_flag(&negation(flag))
        {
            given(negation(flag), "false".to_owned());
            continue;
        }
        let names: Vec<&str> = setting
            .flags()
            .filter(|flag| matches.value_source(flag) == Some(ValueSource::CommandLine))
            .collect();
        let values: Vec<&str> = names
            .iter()
            .filter_map(|flag| matches.get_many::<String>(flag))
            .flatten()
            .map(String::as_str)
            .collect();
        if !names.is_empty() {
            given(names.join(" and --"), values.join(","));
        }
    }
    Arguments {
        config: matches.get_one::<PathBuf>(CONFIG).cloned(),
        check_config: matches.get_flag(CHECK_CONFIG),
        flags,
    }
}

/// Returns the long flag that an argument names with a single dash, as Go's flag package allows.
fn single_dash(argument: &str, settings: &[Setting]) -> Option<String> {
    let name = argument.strip_prefix('-')?.split('=').next()?;
    all_flags(settings).find(|flag| flag == name && flag.len() > 1)
}

/// Returns all long flags without their dashes.
fn all_flags(settings: &[Setting]) -> impl Iterator<Item = String> {
    let switches = settings.iter().filter(|setting| setting.kind == SettingKind::Switch);
    let negations = switches.filter_map(|setting| setting.flag.as_deref()).map(negation);
    let common = [CONFIG, CONFIG_FILE, CHECK_CONFIG, HELP, VERSION].map(str::to_owned);
    settings.iter().flat_map(Setting::flags).map(str::to_owned).chain(negations).chain(common)
}

fn did_you_mean(likely: Option<&str>) -> String {
    likely.map(|likely| format!(" (did you mean {likely}?)")).unwrap_or_default()
}

/// Converts clap's error to one line. Clap writes several paragraphs; the first one names the problem.
fn explain(error: &clap::Error, command: &Command, settings: &[Setting]) -> ConfigError {
    let text = error.to_string();
    let problem = text.split("\n\n").next().unwrap_or(&text).trim().trim_start_matches("error: ");
    let unknown = match (error.kind(), error.get(ContextKind::InvalidArg)) {
        (ErrorKind::UnknownArgument, Some(ContextValue::String(argument))) => argument.strip_prefix("--"),
        _ => None,
    };
    let flags: Vec<String> = all_flags(settings).collect();
    let likely = unknown.and_then(|flag| nearest(flag, flags.iter().map(String::as_str)));
    let likely = likely.map(|flag| format!("--{flag}"));
    let likely = did_you_mean(likely.as_deref());
    ConfigError::new(format!("{problem}{likely}; see {} --help for what is allowed", command.name))
}
