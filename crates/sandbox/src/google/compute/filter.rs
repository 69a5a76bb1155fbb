//! The `filter` of a list.
//!
//! As much of the language as is used with instances: comparisons of a field with `=`, `!=` and `:` joined by
//! `AND` (or nothing) and `OR`, which binds more tightly, negated with `-` or `NOT`, in parentheses.

use crate::google::instance::{Instance, Provisioning};

/// What instances are listed.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Filter {
    All(Vec<Self>),
    Any(Vec<Self>),
    Not(Box<Self>),
    /// The field has the value, which may end in `*`.
    Is(String, String),
    /// The field contains the value, or is there at all if that is `*`.
    Has(String, String),
}

impl Filter {
    /// Understands a filter; none if it makes no sense or is more than is known here.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let tokens = tokens(text)?;
        let mut parser = Parser { tokens: &tokens };
        let filter = parser.all()?;
        parser.tokens.is_empty().then_some(filter)
    }

    pub(super) fn matches(&self, instance: &Instance) -> bool {
        match self {
            Self::All(filters) => filters.iter().all(|filter| filter.matches(instance)),
            Self::Any(filters) => filters.iter().any(|filter| filter.matches(instance)),
            Self::Not(filter) => !filter.matches(instance),
            Self::Is(field, value) => text(instance, field).is_some_and(|text| {
                value.strip_suffix('*').map_or(text == value, |start| text.starts_with(start))
            }),
            Self::Has(field, value) => {
                text(instance, field).is_some_and(|text| value == "*" || text.contains(value))
            }
        }
    }
}

/// What a field of an instance says; none for a label that it has not got.
fn text<'a>(instance: &'a Instance, field: &str) -> Option<&'a str> {
    Some(match field {
        "name" => &instance.name,
        "status" => instance.status.name(),
        "zone" => &instance.zone,
        "machineType" => &instance.machine_type,
        "scheduling.provisioningModel" => match instance.provisioning {
            Provisioning::Spot => "SPOT",
            Provisioning::Standard | Provisioning::Preemptible => "STANDARD",
        },
        "scheduling.preemptible" => {
            if instance.provisioning.is_preemptible() {
                "true"
            } else {
                "false"
            }
        }
        field => instance.labels.get(field.strip_prefix("labels.")?)?,
    })
}

fn is_field(name: &str) -> bool {
    const FIELDS: [&str; 6] =
        ["name", "status", "zone", "machineType", "scheduling.provisioningModel", "scheduling.preemptible"];
    FIELDS.contains(&name) || name.strip_prefix("labels.").is_some_and(|label| !label.is_empty())
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Token {
    Open,
    Close,
    Not,
    And,
    Or,
    /// `=`, `!=` or `:`.
    Operator(&'static str),
    Word(String),
}

fn tokens(text: &str) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let (token, length) = match first {
            '(' => (Token::Open, 1),
            ')' => (Token::Close, 1),
            ':' => (Token::Operator(":"), 1),
            '=' => (Token::Operator("="), 1),
            '!' => (Token::Operator("!="), rest.starts_with("!=").then_some(2)?),
            '-' if !matches!(tokens.last(), Some(Token::Operator(_))) => (Token::Not, 1),
            '"' => {
                let end = rest[1..].find('"')?;
                (Token::Word(rest[1..=end].to_owned()), end + 2)
            }
            _ => {
                let is_end = |c: char| c.is_whitespace() || "()=:!\"".contains(c);
                let word = &rest[..rest.find(is_end).unwrap_or(rest.len())];
                let token = match word {
                    "AND" => Token::And,
                    "OR" => Token::Or,
                    "NOT" => Token::Not,
                    "eq" => Token::Operator("="),
                    "ne" => Token::Operator("!="),
                    _ => Token::Word(word.to_owned()),
                };
                (token, word.len())
            }
        };
        tokens.push(token);
        rest = rest[length..].trim_start();
    }
    Some(tokens)
}

struct Parser<'a> {
    tokens: &'a [Token],
}

impl Parser<'_> {
    fn all(&mut self) -> Option<Filter> {
        let mut filters = vec![self.any()?];
        loop {
            self.accept(&Token::And);
            if matches!(self.tokens.first(), None | Some(Token::Close)) {
                break;
            }
            filters.push(self.any()?);
        }
        Some(one_or(filters, Filter::All))
    }

    fn any(&mut self) -> Option<Filter> {
        let mut filters = vec![self.term()?];
        while self.accept(&Token::Or) {
            filters.push(self.term()?);
        }
        Some(one_or(filters, Filter::Any))
    }

    fn term(&mut self) -> Option<Filter> {
        if self.accept(&Token::Not) {
            return Some(Filter::Not(Box::new(self.term()?)));
        }
        if self.accept(&Token::Open) {
            let filter = self.all()?;
            return self.accept(&Token::Close).then_some(filter);
        }
        let [Token::Word(field), Token::Operator(operator), Token::Word(value), rest @ ..] = self.tokens
        else {
            return None;
        };
        self.tokens = rest;
        let field = is_field(field).then(|| field.clone())?;
        let value = value.clone();
        Some(match *operator {
            ":" => Filter::Has(field, value),
            "=" => Filter::Is(field, value),
            _ => Filter::Not(Box::new(Filter::Is(field, value))),
        })
    }

    fn accept(&mut self, token: &Token) -> bool {
        match self.tokens.split_first() {
            Some((first, rest)) if first == token => {
                self.tokens = rest;
                true
            }
            _ => false,
        }
    }
}

fn one_or(mut filters: Vec<Filter>, join: impl FnOnce(Vec<Filter>) -> Filter) -> Filter {
    match filters.pop() {
        Some(only) if filters.is_empty() => only,
        last => {
            filters.extend(last);
            join(filters)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::google::instance::Status;

    #[test]
    fn filters() {
        let node = Instance::new(1, "europe-west1-c", "gke-n1").spot().gke("blue", "europe-west1", "pool");
        let other =
            Instance::new(2, "europe-west1-c", "batch").status(Status::Terminated).label("team", "data");
        for (filter, has_node, has_other) in [
            ("labels.goog-k8s-cluster-name:*", true, false),
            ("labels.goog-k8s-cluster-name=blue", true, false),
            ("labels.goog-k8s-cluster-name = \"blue\"", true, false),
            ("labels.goog-k8s-cluster-name=red", false, false),
            ("-labels.goog-k8s-cluster-name:*", false, true),
            ("NOT (labels.goog-k8s-cluster-name:*)", false, true),
            ("name=gke-*", true, false),
            ("name!=batch", true, false),
            ("status=RUNNING AND scheduling.provisioningModel=SPOT", true, false),
            ("(status eq TERMINATED) (labels.team=data)", false, true),
            ("status=TERMINATED OR scheduling.preemptible=true", true, true),
            ("zone:west1 AND name=batch OR name=gke-n1", true, true),
        ] {
            let parsed = Filter::parse(filter).expect(filter);
            assert_eq!((parsed.matches(&node), parsed.matches(&other)), (has_node, has_other), "{filter}");
        }
    }

    #[test]
    fn refuses_what_it_does_not_understand() {
        for filter in
            ["", "labels", "labels.:*", "labels.a", "size>3", "colour=red", "(name=a", "name=a)", "name=\"a"]
        {
            assert_eq!(Filter::parse(filter), None, "{filter}");
        }
    }
}
