//! The declaration of an option.

use std::borrow::Cow;

/// How an option is given on the command line and shown in messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SettingKind {
    /// `--flag VALUE`.
    Text,
    /// `--flag VALUE`; messages never contain the value.
    Secret,
    /// `--flag`, `--flag=false` or `--no-flag`.
    Switch,
}

/// An option: its key in the file, and the flag and the variable that override it.
#[derive(Clone, Debug)]
pub struct Setting {
    /// The key in the YAML file, a dotted path.
    pub key: Cow<'static, str>,
    /// The long flag without its dashes, if the option has one.
    pub flag: Option<Cow<'static, str>>,
    /// The one-letter flag, if the option has one.
    pub short: Option<char>,
    /// A second flag without its dashes, which can be repeated. Its values and that of the first flag form a list.
    pub list_flag: Option<Cow<'static, str>>,
    /// The environment variable.
    pub variable: Cow<'static, str>,
    /// How the option is given and shown.
    pub kind: SettingKind,
    /// The name of the value in `--help`, such as `DURATION`.
    pub value_name: &'static str,
    /// The default in the option's syntax, for `--help` and the README.
    pub default: Option<Cow<'static, str>>,
    /// One sentence for `--help` and the README.
    pub help: Cow<'static, str>,
}

impl Setting {
    /// Creates a setting without flags and default.
    pub fn new(
        key: impl Into<Cow<'static, str>>,
        variable: impl Into<Cow<'static, str>>,
        help: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            key: key.into(),
            flag: None,
            short: None,
            list_flag: None,
            variable: variable.into(),
            kind: SettingKind::Text,
            value_name: "VALUE",
            default: None,
            help: help.into(),
        }
    }

    /// Gives the option a long flag.
    #[must_use]
    pub fn flag(mut self, flag: impl Into<Cow<'static, str>>) -> Self {
        self.flag = Some(flag.into());
        self
    }

    /// Gives the option a one-letter flag.
    #[must_use]
    pub fn short(mut self, short: char) -> Self {
        self.short = Some(short);
        self
    }

    /// Gives the option a flag that can be repeated.
    #[must_use]
    pub fn list_flag(mut self, flag: impl Into<Cow<'static, str>>) -> Self {
        self.list_flag = Some(flag.into());
        self
    }

    /// Returns all long flags without their dashes.
    pub fn flags(&self) -> impl Iterator<Item = &str> {
        [self.flag.as_deref(), self.list_flag.as_deref()].into_iter().flatten()
    }

    /// Sets how the option is given and shown.
    #[must_use]
    pub fn kind(mut self, kind: SettingKind) -> Self {
        self.kind = kind;
        self
    }

    /// Sets the name of the value in `--help`.
    #[must_use]
    pub fn value_name(mut self, name: &'static str) -> Self {
        self.value_name = name;
        self
    }

    /// Sets the documented default.
    #[must_use]
    pub fn default(mut self, default: impl Into<Cow<'static, str>>) -> Self {
        self.default = Some(default.into());
        self
    }

    /// Lists where the option can be set, for the error that it is missing.
    pub(crate) fn places(&self) -> String {
        let mut places = String::new();
        for flag in self.flags() {
            places.push_str(&format!("flag --{flag}, "));
        }
        places.push_str(&format!("variable {} or key {} of the configuration file", self.variable, self.key));
        places
    }
}
