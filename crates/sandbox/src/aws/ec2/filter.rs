//! Filters of `DescribeInstances`.

use std::collections::HashSet;

use super::instance::Instance;
use crate::aws::{
    error::{AwsError, Result},
    form::Form,
};

/// The maximum number of values of a filter.
const MOST_VALUES: usize = 200;

/// A filter. An instance passes if one of the values matches.
#[derive(Debug)]
pub(super) struct Filter {
    field: Field,
    texts: HashSet<String>,
    /// Values with wildcards.
    patterns: Vec<String>,
}

#[derive(Debug)]
enum Field {
    Id,
    Lifecycle,
    State,
    StateCode,
    StateReason,
    Zone,
    Type,
    TagKey,
    Tag(String),
}

impl Filter {
    /// Parses all filters of a request: `Filter.1.Name`, `Filter.1.Value.1` and so on.
    pub(super) fn parse_all(form: &Form) -> Result<Vec<Self>> {
        let mut filters = Vec::new();
        for number in 1.. {
            let Some(name) = form.get(&format!("Filter.{number}.Name")) else { break };
            let values: Vec<String> =
                form.list(&format!("Filter.{number}.Value")).into_iter().map(str::to_owned).collect();
            if values.len() > MOST_VALUES {
                return Err(AwsError::new(
                    "FilterLimitExceeded",
                    format!(
                        "The maximum number of filter values specified on a single call is {MOST_VALUES}"
                    ),
                ));
            }
            if values.is_empty() {
                return Err(AwsError::new(
                    "InvalidParameterValue",
                    format!("The filter '{name}' has no values"),
                ));
            }
            let (patterns, texts): (Vec<_>, Vec<_>) =
                values.into_iter().partition(|value| value.contains(['*', '?', '\\']));
            filters.push(Self { field: Field::parse(name)?, texts: texts.into_iter().collect(), patterns });
        }
        Ok(filters)
    }

    /// Returns whether the instance passes.
    pub(super) fn admits(&self, instance: &Instance) -> bool {
        let matches = |text: &str| {
            let is_pattern_match = |pattern: &String| is_match(pattern.as_bytes(), text.as_bytes());
            self.texts.contains(text) || self.patterns.iter().any(is_pattern_match)
        };
        match &self.field {
            Field::Id => matches(&instance.id),
            Field::Lifecycle => instance.lifecycle.name().is_some_and(matches),
            Field::State => matches(instance.state.name()),
            Field::StateCode => matches(&instance.state.code().to_string()),
            Field::StateReason => instance.reason.as_ref().is_some_and(|reason| matches(&reason.code)),
            Field::Zone => matches(&instance.zone),
            Field::Type => matches(&instance.instance_type),
            Field::TagKey => instance.tags.keys().any(|key| matches(key)),
            Field::Tag(key) => instance.tags.get(key).is_some_and(|value| matches(value)),
        }
    }
}

impl Field {
    fn parse(name: &str) -> Result<Self> {
        Ok(match name {
            "instance-id" => Self::Id,
            "instance-lifecycle" => Self::Lifecycle,
            "instance-state-name" => Self::State,
            "instance-state-code" => Self::StateCode,
            "state-reason-code" => Self::StateReason,
            "availability-zone" => Self::Zone,
            "instance-type" => Self::Type,
            "tag-key" => Self::TagKey,
            name => match name.strip_prefix("tag:") {
                Some(key) => Self::Tag(key.to_owned()),
                None => {
                    return Err(AwsError::new(
                        "InvalidParameterValue",
                        format!("The filter '{name}' is invalid"),
                    ));
                }
            },
        })
    }
}

/// Matches a text against a pattern with `*` (any text), `?` (any character) and `\` (the next character as it
/// is).
fn is_match(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern, text) {
        ([], []) => true,
        ([b'*', rest @ ..], _) => (0..=text.len()).any(|skipped| is_match(rest, &text[skipped..])),
        ([b'?', rest @ ..], [_, left @ ..]) => is_match(rest, left),
        ([b'\\', literal, rest @ ..], [byte, left @ ..]) => literal == byte && is_match(rest, left),
        ([literal, rest @ ..], [byte, left @ ..]) => literal == byte && is_match(rest, left),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_wildcards() {
        for (pattern, text, expected) in [
            ("spot", "spot", true),
            ("spot", "spots", false),
            ("kubernetes.io/cluster/*", "kubernetes.io/cluster/prod", true),
            ("*cluster*", "kubernetes.io/cluster/prod", true),
            ("*cluster", "kubernetes.io/cluster/prod", false),
            ("i-?0", "i-10", true),
            ("i-?0", "i-0", false),
            (r"a\*", "a*", true),
            (r"a\*", "ab", false),
            ("*", "", true),
        ] {
            assert_eq!(is_match(pattern.as_bytes(), text.as_bytes()), expected, "{pattern} {text}");
        }
    }
}
