//! The rules of a web configuration, and which of them a reload can change.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use http::{HeaderName, HeaderValue};
use rustls::ServerConfig;
use zeroize::Zeroizing;

use super::file::{ClientAuth, Pem, TlsServer, WebConfig};
use super::rate::TokenBucket;
use super::snapshot::FileSnapshot;
use super::tls;
use super::users::Users;

/// The rules of a web configuration, with the contents of its files.
#[derive(Debug)]
pub(in crate::http) struct Rules {
    pub(in crate::http) tls: Option<Arc<ServerConfig>>,
    pub(in crate::http) headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) users: Option<Arc<Users>>,
    pub(super) bucket: Option<Arc<TokenBucket>>,
    http2: bool,
    protection: Protection,
    /// Settings that are not supported and left out.
    left_out: Vec<String>,
}

impl Rules {
    /// Reads the files that `config` names. Unchanged users keep their cached outcomes, and an unchanged rate limit keeps
    /// its tokens.
    ///
    /// # Errors
    /// A file cannot be read or is invalid, or the rules would weaken the protection of `before`.
    pub(super) fn new(
        config: WebConfig,
        snapshot: &mut FileSnapshot,
        before: Option<&Self>,
    ) -> Result<Self, String> {
        let mut read = |name: &str, pem: &Pem| match pem {
            Pem::Inline(text) => Ok(Zeroizing::new(text.expose().as_bytes().to_vec())),
            Pem::File(path) => {
                let shown = path.display();
                snapshot.named(path).map_err(|error| format!("failed to read {name} ({shown}): {error}"))
            }
        };
        let tls =
            config.tls.as_ref().map(|tls| tls::server_config(tls, config.http2, &mut read)).transpose()?;
        let rules = Self {
            tls: tls.map(Arc::new),
            headers: config.headers,
            http2: config.http2,
            protection: Protection::of(config.tls.as_ref(), !config.users.is_empty()),
            left_out: config.tls.map(|tls| tls.left_out).unwrap_or_default(),
            users: match before
                .and_then(|before| before.users.clone())
                .filter(|users| users.have_hashes(&config.users))
            {
                None if config.users.is_empty() => None,
                None => Some(Users::new(config.users).map_err(|_| "the system has no randomness")?.into()),
                users => users,
            },
            bucket: config.rate_limit.map(|limit| {
                let bucket = before.and_then(|before| before.bucket.clone());
                bucket
                    .filter(|bucket| bucket.limit == limit)
                    .unwrap_or_else(|| TokenBucket::new(limit, Instant::now()).into())
            }),
        };
        match before.and_then(|before| rules.protection.weakness_against(&before.protection)) {
            Some(weakness) => Err(format!("{weakness}, which requires a restart")),
            None => Ok(rules),
        }
    }
}

/// The rules in force, for the log.
impl fmt::Display for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (http2, client_auth) = (self.http2, self.protection.client_auth);
        match &self.tls {
            None => write!(f, "TLS is disabled")?,
            Some(_) => write!(f, "TLS is enabled, http2: {http2}, client_auth_type: {client_auth:?}")?,
        }
        let users = if self.users.is_some() { "required" } else { "not required" };
        write!(f, ", basic authentication is {users}")?;
        match &*self.left_out {
            [] => Ok(()),
            left_out => write!(f, ", not supported and left out: {}", left_out.join(", ")),
        }
    }
}

/// The settings that deny access. A reload can add protection and can change users, passwords, the names of clients and
/// the client CA. It cannot remove protection, because half of a file that is being written can be a valid file.
/// Headers, cipher suites and the rate limit deny no access.
#[derive(Debug, Clone, Copy)]
struct Protection {
    tls: bool,
    users: bool,
    client_auth: ClientAuth,
    /// Whether a client certificate must have one of certain names.
    names: bool,
    /// The minimum TLS version by its number on the wire; 0 without TLS.
    min_version: u16,
}

impl Protection {
    fn of(tls: Option<&TlsServer>, users: bool) -> Self {
        let versions = tls.map_or(&[][..], |tls| &tls.versions);
        Self {
            tls: tls.is_some(),
            users,
            client_auth: tls.map_or(ClientAuth::NoClientCert, |tls| tls.client_auth),
            names: tls.is_some_and(|tls| tls.client_allowed_sans.is_some()),
            min_version: versions.iter().map(|version| u16::from(version.version)).min().unwrap_or(0),
        }
    }

    /// Describes the protection in `before` that is missing here; `None` if there is none.
    fn weakness_against(&self, before: &Self) -> Option<&'static str> {
        let (auth, auth_before) = (self.client_auth, before.client_auth);
        if before.tls && !self.tls {
            Some("TLS would be turned off")
        } else if before.users && !self.users {
            Some("basic authentication would be turned off")
        } else if auth_before.requires() && !auth.requires() {
            Some("the client certificate would be turned off")
        } else if auth_before.verifies() && !auth.verifies() {
            Some("client certificates would not be verified any more")
        } else if before.names && !self.names {
            Some("client_allowed_sans would be turned off")
        } else if self.min_version < before.min_version {
            Some("min_version would be lowered")
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::file::parse;
    use super::*;

    const TLS: &str = "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n";

    fn users(names: &[&str]) -> String {
        let hash = bcrypt::hash_with_salt("secret", 4, [7; 16]).unwrap();
        let user = |name: &&str| format!("  {name}: {hash}\n");
        format!("basic_auth_users:\n{}", names.iter().map(user).collect::<String>())
    }

    /// Reloads the web configuration `before` with `after`; the error is the reason why that is rejected.
    fn reloaded(before: &str, after: &str) -> Result<(), String> {
        let folder = tempfile::tempdir().unwrap();
        let authority = harness::Authority::new("Test CA");
        authority.issue(&["localhost"]).write(folder.path(), "server");
        std::fs::write(folder.path().join("clients.crt"), authority.pem()).unwrap();
        let config = folder.path().join("web.yml");
        let rules = |text: &str, before: Option<&Rules>| {
            let config_text = parse(text).map_err(|error| error.to_string())?;
            Rules::new(config_text, &mut FileSnapshot::relative_to(&config), before)
        };
        let before = rules(before, None).unwrap();
        rules(after, Some(&before)).map(drop)
    }

    #[test]
    fn a_reload_cannot_weaken_the_protection() {
        const CA: &str = "  client_ca_file: clients.crt\n";
        let auth = |kind: &str, more: &str| format!("{TLS}  client_auth_type: {kind}\n{more}");
        let names = |kind: &str| auth(kind, &format!("{CA}  client_allowed_sans: [prometheus]\n"));
        let version = |min: &str| format!("{TLS}  min_version: {min}\n");
        let [none, request, any, given, all] = [
            "NoClientCert",
            "RequestClientCert",
            "RequireAnyClientCert",
            "VerifyClientCertIfGiven",
            "RequireAndVerifyClientCert",
        ];
        let (alice, both) = (users(&["alice"]), users(&["alice", "bob"]));
        let rejected = [
            (format!("{TLS}{alice}"), alice.clone(), "TLS would be turned off"),
            (both.clone(), String::new(), "basic authentication would be turned off"),
            (auth(any, ""), TLS.to_owned(), "the client certificate would be turned off"),
            (auth(any, ""), auth(request, ""), "the client certificate would be turned off"),
            (auth(any, ""), auth(given, CA), "the client certificate would be turned off"),
            (auth(all, CA), auth(given, CA), "the client certificate would be turned off"),
            (auth(all, CA), auth(none, ""), "the client certificate would be turned off"),
            (auth(all, CA), auth(any, ""), "would not be verified"),
            (auth(all, CA), auth(any, CA), "would not be verified"),
            (auth(given, CA), auth(request, CA), "would not be verified"),
            (auth(given, CA), auth(any, CA), "would not be verified"),
            (auth(given, CA), auth(none, ""), "would not be verified"),
            (names(all), auth(all, CA), "client_allowed_sans would be turned off"),
            (names(any), auth(any, CA), "client_allowed_sans would be turned off"),
            (
                names(all),
                auth(all, &format!("{CA}  client_allowed_sans:\n")),
                "client_allowed_sans would be turned off",
            ),
            (
                names(any),
                names(any).replace("[prometheus]", "").replace(CA, ""),
                "client_allowed_sans would be turned off",
            ),
            (version("TLS13"), TLS.to_owned(), "min_version would be lowered"),
            (version("TLS13"), version("TLS12"), "min_version would be lowered"),
        ];
        for (before, after, words) in &rejected {
            let error = reloaded(before, after).expect_err(after);
            assert!(error.contains(words), "from\n{before}to\n{after}{error}");
        }
        let accepted = [
            (both.clone(), alice.clone()),
            (alice.clone(), both),
            (alice.clone(), users(&["carol"])),
            (String::new(), alice.clone()),
            (alice.clone(), format!("{TLS}{alice}")),
            (TLS.to_owned(), auth(all, CA)),
            (auth(request, ""), TLS.to_owned()),
            (auth(given, CA), auth(all, CA)),
            (auth(any, ""), auth(all, CA)),
            (auth(any, CA), auth(any, "")),
            (auth(all, CA), names(all)),
            (names(all), names(all).replace("[prometheus]", "[prometheus, other]")),
            (names(all), names(all).replace("[prometheus]", "[]")),
            (version("TLS12"), version("TLS13")),
            (format!("{TLS}  max_version: TLS12\n"), TLS.to_owned()),
            (format!("{TLS}  cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256]\n"), TLS.to_owned()),
            (format!("{alice}rate_limit: {{interval: 1s, burst: 5}}\n"), alice),
            ("http_server_config:\n  headers:\n    X-Frame-Options: deny\n".to_owned(), String::new()),
        ];
        for (before, after) in &accepted {
            assert_eq!(reloaded(before, after), Ok(()), "from\n{before}to\n{after}");
        }
    }
}
