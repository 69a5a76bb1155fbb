//! What a web configuration amounts to, and what of it a reload may change.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use http::{HeaderName, HeaderValue};
use rustls::ServerConfig;
use zeroize::Zeroizing;

use super::file::{ClientAuth, Pem, TlsServer, WebConfig};
use super::rate::Bucket;
use super::source::Reading;
use super::tls;
use super::users::Users;

/// The rules of a web configuration, with its files read.
#[derive(Debug)]
pub(in crate::http) struct Rules {
    pub(in crate::http) tls: Option<Arc<ServerConfig>>,
    pub(in crate::http) headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) users: Option<Arc<Users>>,
    pub(super) bucket: Option<Arc<Bucket>>,
    http2: bool,
    protection: Protection,
    /// What is asked for and not spoken.
    left_out: Vec<String>,
}

impl Rules {
    /// Reads the files that `config` names. Users and rate limit that stay the same keep what they remember.
    pub(super) fn new(
        config: WebConfig,
        reading: &mut Reading,
        before: Option<&Self>,
    ) -> Result<Self, String> {
        let mut read = |name: &str, pem: &Pem| match pem {
            Pem::Inline(text) => Ok(Zeroizing::new(text.expose().as_bytes().to_vec())),
            Pem::File(path) => {
                let shown = path.display();
                reading.named(path).map_err(|error| format!("failed to read {name} ({shown}): {error}"))
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
                .filter(|users| users.are(&config.users))
            {
                None if config.users.is_empty() => None,
                None => Some(Users::new(config.users).map_err(|_| "the system has no randomness")?.into()),
                users => users,
            },
            bucket: config.rate_limit.map(|limit| {
                let bucket = before.and_then(|before| before.bucket.clone());
                bucket
                    .filter(|bucket| bucket.limit == limit)
                    .unwrap_or_else(|| Bucket::new(limit, Instant::now()).into())
            }),
        };
        match before.and_then(|before| rules.protection.opens(&before.protection)) {
            Some(door) => Err(format!("{door}, which takes a restart")),
            None => Ok(rules),
        }
    }
}

/// What is in force, for the log.
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

/// What keeps clients out. A reload may add to it and may change who is known: users and their passwords, the names of
/// clients, the client CA. It may not take a part of it away, since half of a file that is being written may well
/// be a valid one. Headers, suites and the rate limit keep nobody out.
#[derive(Debug, Clone, Copy)]
struct Protection {
    tls: bool,
    users: bool,
    client_auth: ClientAuth,
    /// Whether a client's certificate has to have one of certain names.
    names: bool,
    /// The least TLS version by its number on the wire; 0 without TLS.
    least_version: u16,
}

impl Protection {
    fn of(tls: Option<&TlsServer>, users: bool) -> Self {
        let versions = tls.map_or(&[][..], |tls| &tls.versions);
        Self {
            tls: tls.is_some(),
            users,
            client_auth: tls.map_or(ClientAuth::NoClientCert, |tls| tls.client_auth),
            names: tls.is_some_and(|tls| tls.client_allowed_sans.is_some()),
            least_version: versions.iter().map(|version| u16::from(version.version)).min().unwrap_or(0),
        }
    }

    /// What protected the server before and would no longer.
    fn opens(&self, before: &Self) -> Option<&'static str> {
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
        } else if self.least_version < before.least_version {
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

    /// Why a change of the web configuration is refused while it is in force.
    fn reloaded(before: &str, after: &str) -> Result<(), String> {
        let folder = tempfile::tempdir().unwrap();
        let authority = harness::Authority::new("Test CA");
        authority.issue(&["localhost"]).write(folder.path(), "server");
        std::fs::write(folder.path().join("clients.crt"), authority.pem()).unwrap();
        let config = folder.path().join("web.yml");
        let rules = |text: &str, before: Option<&Rules>| {
            let config_text = parse(text).map_err(|error| error.to_string())?;
            Rules::new(config_text, &mut Reading::relative_to(&config), before)
        };
        let before = rules(before, None).unwrap();
        rules(after, Some(&before)).map(drop)
    }

    /// A reload may change who is known and may ask for more. It may not ask for less: half of a file that is being written
    /// may be a valid one.
    #[test]
    fn a_reload_opens_no_door() {
        const CA: &str = "  client_ca_file: clients.crt\n";
        let auth = |kind: &str, more: &str| format!("{TLS}  client_auth_type: {kind}\n{more}");
        let names = |kind: &str| auth(kind, &format!("{CA}  client_allowed_sans: [prometheus]\n"));
        let version = |least: &str| format!("{TLS}  min_version: {least}\n");
        let [none, request, any, given, all] = [
            "NoClientCert",
            "RequestClientCert",
            "RequireAnyClientCert",
            "VerifyClientCertIfGiven",
            "RequireAndVerifyClientCert",
        ];
        let (alice, both) = (users(&["alice"]), users(&["alice", "bob"]));
        let refused = [
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
        for (before, after, words) in &refused {
            let error = reloaded(before, after).expect_err(after);
            assert!(error.contains(words), "from\n{before}to\n{after}{error}");
        }
        let taken = [
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
        for (before, after) in &taken {
            assert_eq!(reloaded(before, after), Ok(()), "from\n{before}to\n{after}");
        }
    }
}
