//! Opaque page tokens.

/// Returns an opaque token for the start of a page.
pub(super) fn token(page: usize, zone: &str, name: &str) -> String {
    let plain = format!("{page}/{zone}/{name}");
    plain.bytes().fold(String::from("Cg"), |token, byte| format!("{token}{byte:02x}"))
}

/// Returns the page number, and the zone and name of the last element before the page.
pub(super) fn parse_token(token: &str) -> Option<(usize, String, String)> {
    let digits = token.strip_prefix("Cg")?;
    let bytes = (0..digits.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok())
        .collect::<Option<Vec<u8>>>()?;
    let plain = String::from_utf8(bytes).ok()?;
    let mut parts = plain.splitn(3, '/');
    Some((parts.next()?.parse().ok()?, parts.next()?.to_owned(), parts.next()?.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_its_own_tokens() {
        let (zone, name) = ("europe-west1-c", "gke/odd name-é");
        assert_eq!(parse_token(&token(7, zone, name)), Some((7, zone.to_owned(), name.to_owned())));
        for bad in ["", "Cg", "7", "Cg3", "Cgé", "Cg312f61"] {
            assert_eq!(parse_token(bad), None, "{bad}");
        }
    }
}
