//! Merges flags, variables and file, and keeps the source of each value.

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
use super::{Arguments, ConfigError, Setting, SettingKind, UrlError, parse_bool, parse_duration, parse_url};
use crate::secret::{Secret, SecretError};
use crate::{files, yaml};

/// The prefix of the source of a value from the command line.
const FLAG: &str = "flag --";

/// The maximum size of a configuration file in bytes, and the maximum time to read it.
const MAX_FILE_SIZE: u64 = 4 * 1024 * 1024;
const READ_TIMEOUT: Duration = Duration::from_secs(5);

/// The variable with the path of the configuration file, used without a `--config` flag.
const CONFIG_PATH: &str = "CONFIG_PATH";

/// The environment variables.
#[derive(Clone, Default)]
pub struct Environment(Vec<(OsString, OsString)>);

impl Environment {
    /// Returns the variables of this process.
    pub fn of_process() -> Self {
        Self(std::env::vars_os().collect())
    }

    /// Returns the text of a variable. An empty variable counts as not set, because charts often render `""` for an
    /// unset value.
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
    /// Returns all variables with a UTF-8 name. Invalid UTF-8 in a value is replaced.
    pub(super) fn names_and_values(&self) -> impl Iterator<Item = (&str, Cow<'_, str>)> {
        self.0.iter().filter_map(|(name, value)| Some((name.to_str()?, value.to_string_lossy())))
    }
}

/// Shows names only, because a value may be a secret.
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

/// The configuration as written, with the source of each value.
///
/// The methods below validate values, so that every error names key, source and what is allowed.
pub struct Loaded<W> {
    /// The values as written.
    pub written: W,
    figment: Figment,
    settings: Vec<Setting>,
}

/// Shows the sources but no values, because a value may be a secret or a URL that contains one.
impl<W> fmt::Debug for Loaded<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sources = self.figment.metadata().map(|metadata| &metadata.name);
        f.debug_struct("Loaded").field("sources", &sources.collect::<Vec<_>>()).finish_non_exhaustive()
    }
}

/// Reads the file (if one is named), the variables and the flags. Variables override the file, and flags override both.
///
/// # Errors
/// The file cannot be read or is not YAML, a key is unknown, or a value has the wrong type.
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
    let content = files::read(path, MAX_FILE_SIZE, READ_TIMEOUT).map_err(|error| unreadable(&error))?;
    let text = std::str::from_utf8(&content).map_err(|_| unreadable(&"it is not UTF-8 text"))?;
    let map = yaml::parse(text.trim_start_matches('\u{feff}')).map_err(|problem| {
        ConfigError::new(format!("the configuration file {shown} ({named_by}) {problem}"))
    })?;
    let mut dict = dict(map);
    open_empty_sections(&mut dict, settings);
    Ok(Layer { source: format!("file {shown}"), dict })
}

/// Converts entries for figment. An empty value becomes an empty text, so that an unknown key is still an error.
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

/// Converts empty sections (`pubsub:` without entries) from an empty text to an empty mapping.
fn open_empty_sections(dict: &mut Dict, settings: &[Setting]) {
    for (key, value) in dict.iter_mut() {
        let is_section =
            settings.iter().any(|setting| setting.key.split_once('.').is_some_and(|(head, _)| head == key));
        if is_section && value.as_str() == Some("") {
            *value = Value::from(Dict::new());
        }
    }
}

/// Values from one source, whose name appears in messages.
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

/// Converts the first of figment's errors to one line.
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
            let secret =
                settings.iter().any(|setting| setting.key == path && setting.kind == SettingKind::Secret);
            let found = if secret { "something else".to_owned() } else { actual.to_string() };
            ConfigError::new(format!("{path} from {source}: found {found}, allowed is {expected}"))
        }
        other => ConfigError::new(format!("{path} from {source}: {other}")),
    }
}

impl<W> Loaded<W> {
    /// Returns a required value.
    ///
    /// # Errors
    /// The value is not set, or `parse` rejects it.
    pub fn required<T>(
        &self,
        key: &str,
        written: Option<&String>,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<T, ConfigError> {
        self.optional(key, written, parse)?.ok_or_else(|| self.missing(key))
    }

    /// Returns an optional value. An empty text counts as not set.
    ///
    /// # Errors
    /// `parse` rejects the value. Its error must name the problem and what is allowed.
    pub fn optional<T>(
        &self,
        key: &str,
        written: Option<&String>,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<Option<T>, ConfigError> {
        let Some(text) = written.map(String::as_str).filter(|text| !text.is_empty()) else { return Ok(None) };
        parse(text).map(Some).map_err(|problem| self.invalid(key, text, &problem))
    }

    /// Returns an optional secret. An empty text counts as not set. White space and a byte order mark around the secret
    /// are removed.
    ///
    /// # Errors
    /// The text cannot be the intended secret. The error does not contain it.
    pub fn secret(&self, key: &str, written: Option<&Secret>) -> Result<Option<Secret>, ConfigError> {
        let Some(text) = written.map(Secret::expose).filter(|text| !text.is_empty()) else { return Ok(None) };
        let parsed = Secret::parse(text);
        parsed.map(Some).map_err(|error: SecretError| self.invalid(key, text, &error.to_string()))
    }

    /// Returns the optional URL of a service. Errors show `example` as a valid URL, and `credentials` as the option for
    /// credentials.
    ///
    /// # Errors
    /// The text is not the URL of a service, see [`UrlError`]. The error contains the text only if the text has no part
    /// that can be a secret.
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

    /// Returns a boolean.
    ///
    /// # Errors
    /// The text is not a boolean.
    pub fn switch(&self, key: &str, written: Option<&String>, default: bool) -> Result<bool, ConfigError> {
        let value = self.optional(key, written, |text| {
            parse_bool(text).ok_or_else(|| "is neither true nor false; allowed is true or false".to_owned())
        })?;
        Ok(value.unwrap_or(default))
    }

    /// Returns a duration of at least `min`.
    ///
    /// # Errors
    /// The text is not a duration, or the duration is shorter.
    pub fn duration(
        &self,
        key: &str,
        written: Option<&String>,
        default: Duration,
        min: Duration,
    ) -> Result<Duration, ConfigError> {
        let value = self.optional(key, written, |text| {
            let allowed = "allowed is a duration such as 500ms, 5s or 1m30s";
            match parse_duration(text) {
                Err(problem) => Err(format!("{problem}; {allowed}")),
                Ok(duration) if duration < min && min <= Duration::from_nanos(1) => {
                    Err(format!("must be greater than 0; {allowed}"))
                }
                Ok(duration) if duration < min => {
                    Err(format!("must be at least {}; {allowed}", super::format_duration(min)))
                }
                Ok(duration) => Ok(duration),
            }
        })?;
        Ok(value.unwrap_or(default))
    }

    /// Returns the error for an invalid value: key, source and `problem`, which must name what is allowed.
    pub fn invalid(&self, key: &str, value: &str, problem: &str) -> ConfigError {
        let source = self.source(key);
        let secret = self.setting(key).is_some_and(|setting| setting.kind == SettingKind::Secret);
        if secret {
            ConfigError::new(format!("{key} from {source} {problem}"))
        } else {
            ConfigError::new(format!("{key} from {source}: {value:?} {problem}"))
        }
    }

    /// Returns the error for a required value that is not set.
    pub fn missing(&self, key: &str) -> ConfigError {
        let places = self.setting(key).map(Setting::places).unwrap_or_default();
        ConfigError::new(format!("{key} is required but not set; allowed places: {places}"))
    }

    /// Returns the source of a value, such as `flag --listen-address`.
    pub fn source(&self, key: &str) -> String {
        self.figment
            .find_metadata(key)
            .map_or_else(|| "the defaults".to_owned(), |metadata| metadata.name.to_string())
    }

    /// Whether the value of `key` is from the command line.
    pub(crate) fn is_from_flag(&self, key: &str) -> bool {
        self.source(key).starts_with(FLAG)
    }

    fn setting(&self, key: &str) -> Option<&Setting> {
        self.settings.iter().find(|setting| setting.key == key)
    }
}
