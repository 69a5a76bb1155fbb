//! Form bodies of the Query protocol.

use crate::query::percent_decoded;

/// The parameters of a request, in order.
#[derive(Debug, Default)]
pub(super) struct Form(Vec<(String, String)>);

impl Form {
    pub(super) fn parse(body: &[u8]) -> Self {
        let text = String::from_utf8_lossy(body);
        let pairs = text.trim_ascii().split('&').filter(|pair| !pair.is_empty());
        let decoded = |text: &str| percent_decoded(&text.replace('+', " "));
        Self(
            pairs
                .map(|pair| {
                    let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
                    (decoded(key), decoded(value))
                })
                .collect(),
        )
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(key, _)| *key == name).map(|(_, value)| value)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// Returns the values of a list: `PREFIX.1`, `PREFIX.2` and so on.
    pub(super) fn list(&self, prefix: &str) -> Vec<&str> {
        let number = |key: &str| key.strip_prefix(prefix)?.strip_prefix('.')?.parse::<u32>().ok();
        let mut numbered: Vec<_> =
            self.iter().filter_map(|(key, value)| Some((number(key)?, value))).collect();
        numbered.sort_by_key(|(number, _)| *number);
        numbered.into_iter().map(|(_, value)| value).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_lists() {
        let form = Form::parse(b"Action=X&Id.2=b&Id.10=c&Id.1=a%3A+&Other.1=d&Id.x=e");
        assert_eq!(form.get("Action"), Some("X"));
        assert_eq!(form.list("Id"), ["a: ", "b", "c"]);
        assert_eq!(form.list("Nothing"), Vec::<&str>::new());
    }
}
