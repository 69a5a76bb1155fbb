//! The `Authorization` header.

/// The parts of an `Authorization` header.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(in crate::aws) struct Authorization {
    pub(in crate::aws) key_id: String,
    pub(in crate::aws) scope: Scope,
    /// The names of the signed headers, in the order of the header.
    pub(super) signed_headers: Vec<String>,
    /// Hexadecimal digits.
    pub(super) signature: String,
}

/// The scope of a signature.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(in crate::aws) struct Scope {
    /// The day: `20150830`.
    pub(super) date: String,
    pub(in crate::aws) region: String,
    pub(in crate::aws) service: String,
}

impl Authorization {
    /// Parses the header. Returns `None` if it is malformed.
    pub(in crate::aws) fn parse(header: &str) -> Option<Self> {
        let fields = header.strip_prefix("AWS4-HMAC-SHA256")?;
        let field = |name: &str| {
            fields.split(',').find_map(|field| field.trim().strip_prefix(name)?.strip_prefix('='))
        };
        let mut credential = field("Credential")?.rsplitn(5, '/');
        if credential.next()? != "aws4_request" {
            return None;
        }
        let (service, region, date) = (credential.next()?, credential.next()?, credential.next()?);
        Some(Self {
            key_id: credential.next()?.to_owned(),
            scope: Scope { date: date.to_owned(), region: region.to_owned(), service: service.to_owned() },
            signed_headers: field("SignedHeaders")?.split(';').map(str::to_owned).collect(),
            signature: field("Signature")?.to_owned(),
        })
    }
}

impl Scope {
    /// Returns the scope as in the text to sign.
    pub(super) fn text(&self) -> String {
        format!("{}/{}/{}/aws4_request", self.date, self.region, self.service)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_the_header() {
        let header = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
                      SignedHeaders=host;x-amz-date, Signature=5fa0";
        let authorization = Authorization::parse(header).unwrap();
        assert_eq!(authorization.key_id, "AKIDEXAMPLE");
        assert_eq!(authorization.scope.text(), "20150830/us-east-1/service/aws4_request");
        assert_eq!(authorization.signed_headers, ["host", "x-amz-date"]);
        assert_eq!(authorization.signature, "5fa0");
        assert_eq!(Authorization::parse(&header.replace(", ", ",")), Some(authorization));
        for invalid in
            ["", "Bearer x", "AWS4-HMAC-SHA256 Credential=a/b/aws4_request, SignedHeaders=host, Signature=1"]
        {
            assert_eq!(Authorization::parse(invalid), None, "{invalid}");
        }
    }
}
