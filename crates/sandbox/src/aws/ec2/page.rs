//! Page tokens.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use crate::aws::{
    error::{AwsError, Result},
    form::Form,
};

/// The number of instances of a page.
#[derive(Clone, Copy, Debug)]
pub(super) struct PageSize(pub(super) Option<usize>);

impl PageSize {
    /// Parses `MaxResults`. Without it there is one page.
    pub(super) fn parse(form: &Form) -> Result<Self> {
        let Some(text) = form.get("MaxResults") else { return Ok(Self(None)) };
        match text.parse() {
            Ok(size @ 5..=1000) => Ok(Self(Some(size))),
            _ => Err(AwsError::new(
                "InvalidParameterValue",
                format!(
                    "Value ( {text} ) for parameter maxResults is invalid. Expecting a value between 5 and 1000."
                ),
            )),
        }
    }
}

/// Returns the token of the page after an instance. It is valid for the same request only.
pub(super) fn token(form: &Form, scope: (&str, &str), last: &str) -> String {
    let digits: String = last.bytes().map(|byte| format!("{byte:02x}")).collect();
    format!("eyJ2IjoiMiIs{:016x}{digits}", fingerprint(form, scope))
}

/// Parses `NextToken`. Returns the id of the last instance of the previous page.
pub(super) fn parse_token(form: &Form, scope: (&str, &str)) -> Result<Option<String>> {
    let Some(token) = form.get("NextToken").filter(|token| !token.is_empty()) else { return Ok(None) };
    let parse = || {
        let text = token.strip_prefix("eyJ2IjoiMiIs")?;
        let (fingerprint_digits, digits) = text.split_at_checked(16)?;
        if fingerprint_digits != format!("{:016x}", fingerprint(form, scope)) {
            return None;
        }
        let bytes: Option<Vec<u8>> = (0..digits.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok())
            .collect();
        String::from_utf8(bytes?).ok()
    };
    parse()
        .map(Some)
        .ok_or_else(|| AwsError::new("InvalidNextToken", "The token is invalid for this request."))
}

/// Identifies the request of a listing, without its page.
fn fingerprint(form: &Form, scope: (&str, &str)) -> u64 {
    let mut hasher = DefaultHasher::new();
    scope.hash(&mut hasher);
    for parameter in
        form.iter().filter(|(key, _)| key.starts_with("Filter.") || *key == "IncludeManagedResources")
    {
        parameter.hash(&mut hasher);
    }
    hasher.finish()
}
