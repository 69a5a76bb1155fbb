//! The part of Google's filter language that the exporters use.
//!
//! A filter is one or more comparisons (`field=value`, `field:value`, `field>=value`), each with or without
//! parentheses, joined by `AND` or by white space. Values may be quoted. Everything else is rejected.

/// Comparisons that all have to be true.
#[derive(Debug, Default, Eq, PartialEq)]
pub(super) struct Filter(Vec<Comparison>);

#[derive(Debug, Eq, PartialEq)]
struct Comparison {
    field: String,
    operator: Operator,
    value: String,
}

/// How a field is compared with a value.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Operator {
    /// `=`
    Equals,
    /// `:`
    Has,
    /// `>=`
    AtLeast,
}

/// A resource that filters apply to.
pub(super) trait Filtered {
    /// Returns whether a comparison is supported.
    fn supports(field: &str, operator: Operator, value: &str) -> bool;

    /// Returns whether a supported comparison is true.
    fn matches(&self, field: &str, operator: Operator, value: &str) -> bool;
}

impl Filter {
    /// Returns a filter that matches every resource.
    pub(super) fn everything() -> Self {
        Self::default()
    }

    /// Parses a filter. Returns `None` if it is invalid or not supported.
    pub(super) fn parse<T: Filtered>(text: &str) -> Option<Self> {
        let mut comparisons = Vec::new();
        let mut rest = text.trim();
        loop {
            let (comparison, after) = match rest.strip_prefix('(') {
                None => Comparison::parse(rest)?,
                Some(inner) => {
                    let (comparison, after) = Comparison::parse(inner.trim_start())?;
                    (comparison, after.trim_start().strip_prefix(')')?)
                }
            };
            let Comparison { field, operator, value } = &comparison;
            if !T::supports(field, *operator, value) {
                return None;
            }
            comparisons.push(comparison);
            rest = after.trim_start();
            if rest.is_empty() {
                return Some(Self(comparisons));
            }
            rest = rest.strip_prefix("AND ").unwrap_or(rest).trim_start();
        }
    }

    pub(super) fn matches<T: Filtered>(&self, item: &T) -> bool {
        self.0.iter().all(|Comparison { field, operator, value }| item.matches(field, *operator, value))
    }
}

impl Comparison {
    /// Parses the comparison at the start of a text and returns it with the rest.
    fn parse(text: &str) -> Option<(Self, &str)> {
        let (field, rest) = text.split_at(text.find(['=', ':', '>'])?);
        let field = field.trim_end();
        if field.is_empty() || field.contains(|c: char| c.is_whitespace() || "()\"".contains(c)) {
            return None;
        }
        let operators = [("=", Operator::Equals), (":", Operator::Has), (">=", Operator::AtLeast)];
        let (operator, rest) = operators
            .into_iter()
            .find_map(|(sign, operator)| Some((operator, rest.strip_prefix(sign)?.trim_start())))?;
        let (value, rest) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => {
                let is_end = |c: char| c.is_whitespace() || "()=:>\"".contains(c);
                rest.split_at(rest.find(is_end).unwrap_or(rest.len()))
            }
        };
        if value.is_empty() {
            return None;
        }
        Some((Self { field: field.to_owned(), operator, value: value.to_owned() }, rest))
    }
}
