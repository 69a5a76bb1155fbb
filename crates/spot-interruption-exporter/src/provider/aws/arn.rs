//! Amazon Resource Names of roles.

use super::config::is_account;

/// The ARN of a role, `arn:PARTITION:iam::ACCOUNT:role/NAME`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleArn {
    text: String,
    account: String,
}

impl RoleArn {
    /// Parses an ARN. Returns `None` if it is not that of a role.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let parts: Vec<&str> = text.trim().splitn(6, ':').collect();
        let ["arn", partition, "iam", "", account, resource] = parts[..] else { return None };
        let name = resource.strip_prefix("role/")?;
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"+=,.@-_/".contains(&byte);
        let is_role = partition.starts_with("aws")
            && is_account(account)
            && !name.is_empty()
            && !name.ends_with('/')
            && name.bytes().all(is_name);
        is_role.then(|| Self { text: text.trim().to_owned(), account: account.to_owned() })
    }

    /// The ARN.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The id of the role's account.
    #[must_use]
    pub fn account(&self) -> &str {
        &self.account
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_account_of_a_role() {
        for arn in [
            "arn:aws:iam::210987654321:role/sie-reader",
            "arn:aws-cn:iam::210987654321:role/path/sie-reader",
            " arn:aws-us-gov:iam::210987654321:role/r ",
        ] {
            let role = RoleArn::parse(arn).expect(arn);
            assert_eq!((role.account(), role.text()), ("210987654321", arn.trim()));
        }
        for other in [
            "",
            "sie-reader",
            "arn:aws:iam::21098765432:role/r",
            "arn:aws:iam::210987654321:user/r",
            "arn:aws:iam::210987654321:role/",
            "arn:aws:sts::210987654321:assumed-role/r/s",
            "arn:aws:iam::210987654321:role/a b",
        ] {
            assert_eq!(RoleArn::parse(other), None, "{other}");
        }
    }
}
