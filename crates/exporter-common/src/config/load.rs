//! Puts flags, variables and file together and remembers where each value came from.

use std::borrow::Cow;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use figment::error::Kind as FigmentKind;
use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider};
use serde::de::DeserializeOwned;

use http::Uri;

use super::url::is_harmless;
use super::{Arguments, ConfigError, Kind, Setting, UrlError, parse_bool, parse_duration, parse_url};
use crate::secret::{Secret, SecretError};
use crate::{files, yaml};

/// What the source of a value from the command line begins with.
const FLAG: &str = "flag --";

/// The size of a configuration file in bytes, and the time to read it.
const MAX_FILE: u64 = 4 * 1024 * 1024;
const READ_BOUND: Duration = Duration::from_secs(5);

/// Names the configuration file where no `--config` flag does.
const CONFIG_PATH: &str = "CONFIG_PATH";

/// The environment variables that configuration may read.
#[derive(Clone, Default)]
pub struct Environment(Vec<(OsString, OsString)>);

impl Environment {
    /// The variables of this process.
    pub fn of_process() -> Self {
        Self(std::env::vars_os().collect())
    }

    /// The text of a variable; an empty one counts as not set, as charts often render `""` for nothing.
    ///
    /// # Errors
    /// The value is not UTF-8.
    pub fn get(&self, name: &str) -> Result<Option<String>, ConfigError> {
        let Some((_, value)) = self.0.iter().find(|(key, _)| key == name) else { return Ok(None) };
        let text =
            value.to_str().ok_or_else(|| ConfigError::new(format!("variable {name} is not UTF-8 text")))?;
        Ok((!text.is_empty()).then(|| text.to_owned()))
    }
}

impl Environment {
    /// Every variable; a value that is not UTF-8 with its broken parts replaced.
    pub(super) fn names_and_values(&self) -> impl Iterator<Item = (&str, Cow<'_, str>)> {
        self.0.iter().filter_map(|(name, value)| Some((name.to_str()?, value.to_string_lossy())))
    }
}

/// Names only: a value may be a secret.
impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

impl<K: Into<OsString>, V: Into<OsString>> FromIterator<(K, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(variables: I) -> Self {
        Self(variables.into_iter().map(|(key, value)| (key.into(), value.into())).collect())
    }
}

/// The configuration as written, with the memory of where each value came from.
///
/// Validation goes through the methods below, so that every message names key, source and what is allowed.
pub struct Loaded<W> {
    /// The values as written.
    pub written: W,
    figment: Figment,
    settings: Vec<Setting>,
}

/// Where values came from, but no value: it may be a secret, or a URL that holds one.
impl<W> fmt::Debug for Loaded<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sources = self.figment.metadata().map(|metadata| &metadata.name);
        f.debug_struct("Loaded").field("sources", &sources.collect::<Vec<_>>()).finish_non_exhaustive()
    }
}

/// Reads the file (if one is named), the variables and the flags, the later over the earlier.
///
/// # Errors
/// The file cannot be read or is not YAML, a key is unknown, or a value has the wrong shape.
pub fn load<W: DeserializeOwned>(
    settings: Vec<Setting>,
    arguments: &Arguments,
    environment: &Environment,
) -> Result<Loaded<W>, ConfigError> {
    let mut figment = Figment::new();
    if let Some((path, named_by)) = config_path(arguments, environment)? {
        figment = figment.merge(read_file(&path, &named_by, &settings)?);
    }
    for setting in &settings {
        if let Some(value) = environment.get(&setting.variable)? {
            figment =
                figment.merge(Layer::single(format!("variable {}", setting.variable), &setting.key, value));
        }
    }
    for flag in arguments.flags.iter().filter(|flag| !flag.value.expose().is_empty()) {
        let source = format!("{FLAG}{}", flag.name);
        figment = figment.merge(Layer::single(source, &flag.key, flag.value.expose().to_owned()));
    }
    let written = figment.extract().map_err(|error| explain(error, &settings))?;
    Ok(Loaded { written, figment, settings })
}

fn config_path(
    arguments: &Arguments,
    environment: &Environment,
) -> Result<Option<(PathBuf, String)>, ConfigError> {
    if let Some(path) = &arguments.config {
        return Ok(Some((path.clone(), "flag --config".to_owned())));
    }
    let path = environment.get(CONFIG_PATH)?;
    Ok(path.map(|path| (PathBuf::from(path), format!("variable {CONFIG_PATH}"))))
}

fn read_file(path: &Path, named_by: &str, settings: &[Setting]) -> Result<Layer, ConfigError> {
    let shown = path.display();
    let unreadable = |problem: &dyn fmt::Display| {
        ConfigError::new(format!("cannot read the configuration file {shown} ({named_by}): {problem}"))
    };
    let content = files::read(path, MAX_FILE, READ_BOUND).map_err(|error| unreadable(&error))?;
    let text = std::str::from_utf8(&content).map_err(|_| unreadable(&"it is not UTF-8 text"))?;
    let map = yaml::parse(text.trim_start_matches('\u{feff}')).map_err(|problem| {
        ConfigError::new(format!("the configuration file {shown} ({named_by}) {problem}"))
    })?;
    let mut dict = dict(map);
    open_empty_sections(&mut dict, settings);
    Ok(Layer { source: format!("file {shown}"), dict })
}

/// The entries for figment. A null entry is kept as an empty text so that an unknown key is still noticed.
fn dict(map: yaml::Map) -> Dict {
    let entry = |entry: yaml::Entry| (entry.key, value(entry.node).unwrap_or_else(|| Value::from("")));
    map.into_iter().map(entry).collect()
}

fn value(node: yaml::Node) -> Option<Value> {
    match node.value {
        yaml::Value::Null => None,
        yaml::Value::Text(text) => Some(Value::from(text.as_str())),
        yaml::Value::List(items) => {
            Some(Value::from(items.into_iter().filter_map(value).collect::<Vec<_>>()))
        }
        yaml::Value::Map(map) => Some(Value::from(dict(map))),
    }
}

/// A section that is named but empty (`pubsub:` with nothing below) is an empty mapping, not a text.
fn open_empty_sections(dict: &mut Dict, settings: &[Setting]) {
    for (key, value) in dict.iter_mut() {
        let is_section =
            settings.iter().any(|setting| setting.key.split_once('.').is_some_and(|(head, _)| head == key));
        if is_section && value.as_str() == Some("") {
            *value = Value::from(Dict::new());
        }
    }
}

/// One source of values, under the name that messages give it.
struct Layer {
    source: String,
    dict: Dict,
}

impl Layer {
    fn single(source: String, key: &str, value: String) -> Self {
        let nested = figment::util::nest(key, Value::from(value));
        Self { source, dict: nested.into_dict().unwrap_or_default() }
    }
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.source.clone())
    }

    fn data(&self) -> figment::error::Result<Map<Profile, Dict>> {
        Ok(Profile::Default.collect(self.dict.clone()))
    }
}

/// Turns the first of figment's errors into one line.
fn explain(error: figment::Error, settings: &[Setting]) -> ConfigError {
    let Some(error) = error.into_iter().next() else {
        return ConfigError::new("the configuration cannot be read");
    };
    let source =
        error.metadata.as_ref().map_or_else(|| "the configuration".to_owned(), |data| data.name.to_string());
    let path = error.path.join(".");
    match &error.kind {
        FigmentKind::UnknownField(field, known) => {
            let key = if path.is_empty() || path.ends_with(field.as_str()) {
                field.clone()
            } else {
                format!("{path}.{field}")
            };
            let key = if path.ends_with(field.as_str()) { path } else { key };
            ConfigError::new(format!("unknown key {key} in {source}; allowed here: {}", known.join(", ")))
        }
        FigmentKind::InvalidType(actual, expected) => {
            let secret = settings.iter().any(|setting| setting.key == path && setting.kind == Kind::Secret);
            let found = if secret { "something else".to_owned() } else { actual.to_string() };
            ConfigError::new(format!("{path} from {source}: found {found}, allowed is {expected}"))
        }
        other => ConfigError::new(format!("{path} from {source}: {other}")),
    }
}

impl<W> Loaded<W> {
    /// A value that must be there.
    ///
    /// # Errors
    /// It is not set, or `parse` refuses it.
    pub fn required<T>(
        &self,
        key: &str,
        written: Option<&String>,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<T, ConfigError> {
        self.optional(key, written, parse)?.ok_or_else(|| self.missing(key))
    }

    /// A value that may be left out; an empty text counts as left out.
    ///
    /// # Errors
    /// `parse` refuses it; its error says what is wrong and what is allowed.
    pub fn optional<T>(
        &self,
        key: &str,
        written: Option<&String>,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<Option<T>, ConfigError> {
        let Some(text) = written.map(String::as_str).filter(|text| !text.is_empty()) else { return Ok(None) };
        parse(text).map(Some).map_err(|problem| self.invalid(key, text, &problem))
    }

    /// A secret that may be left out; an empty text counts as left out. White space and a byte order mark around it are
    /// no part of it.
    ///
    /// # Errors
    /// It cannot be what was meant. The message does not repeat it.
    pub fn secret(&self, key: &str, written: Option<&Secret>) -> Result<Option<Secret>, ConfigError> {
        let Some(text) = written.map(Secret::expose).filter(|text| !text.is_empty()) else { return Ok(None) };
        let parsed = Secret::parse(text);
        parsed.map(Some).map_err(|error: SecretError| self.invalid(key, text, &error.to_string()))
    }

    /// The URL of a service, which may be left out. `example` is one that is allowed, `credentials` says where
    /// credentials belong instead.
    ///
    /// # Errors
    /// The text is no URL, or holds more than one. The message repeats it only if it has no place for a secret.
    pub fn url(
        &self,
        key: &str,
        written: Option<&String>,
        example: &str,
        credentials: &str,
    ) -> Result<Option<Uri>, ConfigError> {
        let Some(text) = written.filter(|text| !text.is_empty()) else { return Ok(None) };
        parse_url(text).map(Some).map_err(|error| {
            let mut problem = format!("{error}; allowed is an http or https URL such as {example}");
            if error == UrlError::Credentials {
                problem.push_str(&format!(" without them, they belong in {credentials}"));
            }
            if is_harmless(text) {
                self.invalid(key, text, &problem)
            } else {
                ConfigError::new(format!("{key} from {} {problem}", self.source(key)))
            }
        })
    }

    /// A truth value.
    ///
    /// # Errors
    /// The text is none.
    pub fn switch(&self, key: &str, written: Option<&String>, default: bool) -> Result<bool, ConfigError> {
        let value = self.optional(key, written, |text| {
            parse_bool(text).ok_or_else(|| "is neither true nor false; allowed is true or false".to_owned())
        })?;
        Ok(value.unwrap_or(default))
    }

    /// A length of time of at least `least`.
    ///
    /// # Errors
    /// The text is no duration, or it is shorter.
    pub fn duration(
        &self,
        key: &str,
        written: Option<&String>,
        default: Duration,
        least: Duration,
    ) -> Result<Duration, ConfigError> {
        let value = self.optional(key, written, |text| {
            let allowed = "allowed is a duration such as 500ms, 5s or 1m30s";
            match parse_duration(text) {
                Err(problem) => Err(format!("{problem}; {allowed}")),
                Ok(duration) if duration < least && least <= Duration::from_nanos(1) => {
                    Err(format!("must be greater than 0; {allowed}"))
                }
                Ok(duration) if duration < least => {
                    Err(format!("must be at least {}; {allowed}", super::format_duration(least)))
                }
                Ok(duration) => Ok(duration),
            }
        })?;
        Ok(value.unwrap_or(default))
    }

    /// The error that a value is wrong: names key, source and what `problem` says is allowed.
    pub fn invalid(&self, key: &str, value: &str, problem: &str) -> ConfigError {
        let source = self.source(key);
        let secret = self.setting(key).is_some_and(|setting| setting.kind == Kind::Secret);
        if secret {
            ConfigError::new(format!("{key} from {source} {problem}"))
        } else {
            ConfigError::new(format!("{key} from {source}: {value:?} {problem}"))
        }
    }

    /// The error that a required value is not set anywhere.
    pub fn missing(&self, key: &str) -> ConfigError {
        let places = self.setting(key).map(Setting::places).unwrap_or_default();
        ConfigError::new(format!("{key} is required but not set; allowed places: {places}"))
    }

    /// Where the value of `key` was written, such as `flag --listen-address`.
    pub fn source(&self, key: &str) -> String {
        self.figment
            .find_metadata(key)
            .map_or_else(|| "the defaults".to_owned(), |metadata| metadata.name.to_string())
    }

    /// Whether the value of `key` was given on the command line.
    pub(crate) fn is_from_flag(&self, key: &str) -> bool {
        self.source(key).starts_with(FLAG)
    }

    fn setting(&self, key: &str) -> Option<&Setting> {
        self.settings.iter().find(|setting| setting.key == key)
    }
}
