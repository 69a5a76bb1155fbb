//! One option, declared once.

use std::borrow::Cow;

/// How an option is given on the command line and shown in messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `--flag VALUE`.
    Text,
    /// `--flag VALUE`, and the value is never repeated in a message.
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
    /// A second flag without its dashes, which may be given several times. Its values and that of the first flag add
    /// up to a list.
    pub list_flag: Option<Cow<'static, str>>,
    /// The environment variable.
    pub variable: Cow<'static, str>,
    /// How it is given and shown.
    pub kind: Kind,
    /// What `--help` calls the value, such as `DURATION`.
    pub value_name: &'static str,
    /// The default as it would be written, for `--help` and the README.
    pub default: Option<Cow<'static, str>>,
    /// One sentence for `--help` and the README.
    pub help: Cow<'static, str>,
}

impl Setting {
    /// A setting without flag and default; the other fields follow by struct update.
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
            kind: Kind::Text,
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

    /// Gives the option a flag that may be repeated.
    #[must_use]
    pub fn list_flag(mut self, flag: impl Into<Cow<'static, str>>) -> Self {
        self.list_flag = Some(flag.into());
        self
    }

    /// All long flags, without their dashes.
    pub fn flags(&self) -> impl Iterator<Item = &str> {
        [self.flag.as_deref(), self.list_flag.as_deref()].into_iter().flatten()
    }

    /// Says how the option is given and shown.
    #[must_use]
    pub fn kind(mut self, kind: Kind) -> Self {
        self.kind = kind;
        self
    }

    /// Names the value in `--help`.
    #[must_use]
    pub fn value_name(mut self, name: &'static str) -> Self {
        self.value_name = name;
        self
    }

    /// Documents the default.
    #[must_use]
    pub fn default(mut self, default: impl Into<Cow<'static, str>>) -> Self {
        self.default = Some(default.into());
        self
    }

    /// Where the option can be set, for the message that it is missing.
    pub(crate) fn places(&self) -> String {
        let mut places = String::new();
        for flag in self.flags() {
            places.push_str(&format!("flag --{flag}, "));
        }
        places.push_str(&format!("variable {} or key {} of the configuration file", self.variable, self.key));
        places
    }
}
