//! Warnings about environment variables with the program's prefix that are not settings.

use super::{Environment, Setting, nearest};

/// The protocols in the kubelet's `X_PORT_8080_TCP` and `X_PORT_8080_TCP_ADDR`.
const PROTOCOLS: [&str; 3] = ["TCP", "UDP", "SCTP"];

/// Returns a warning for each variable that starts with `prefix`, has a value and is not a setting. The warning does not
/// contain the value, which may be a secret under a misspelt name.
///
/// There are no warnings for the variables that Kubernetes sets for a Service, whose name can start with the same
/// prefix.
pub fn unknown_variables(prefix: &str, settings: &[Setting], environment: &Environment) -> Vec<String> {
    let known = || settings.iter().map(|setting| &*setting.variable).chain(["CONFIG_PATH"]);
    let has_prefix =
        |name: &str| name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
    environment
        .names_and_values()
        .filter(|(name, value)| has_prefix(name) && !value.trim().is_empty())
        .filter(|(name, value)| known().all(|known| known != *name) && !is_service_link(name, value))
        .map(|(name, _)| {
            // Compared without the prefix, which all names have in common.
            let end = |variable: &str| variable.strip_prefix(prefix).unwrap_or(variable).to_owned();
            let ends: Vec<String> = known().map(end).collect();
            let likely = nearest(&name[prefix.len()..], ends.iter().map(String::as_str)).and_then(|end| {
                known().find(|known| known.ends_with(end) && known.len() <= prefix.len() + end.len())
            });
            let likely = likely.map(|likely| format!("; did you mean {likely}?")).unwrap_or_default();
            format!("variable {name} has no meaning{likely}")
        })
        .collect()
}

/// Whether a variable is one that the kubelet sets with the address of a Service.
fn is_service_link(name: &str, value: &str) -> bool {
    let parts: Vec<&str> = name.split('_').collect();
    match parts[..] {
        [.., "SERVICE", "HOST" | "PORT"] => return true,
        // `X_PORT=tcp://10.0.0.1:80`. A number would be a misspelt setting.
        [.., "PORT"] if value.contains("://") => return true,
        _ => {}
    }
    // `X_SERVICE_PORT_METRICS`; the last part is the name of the port.
    if name.contains("_SERVICE_PORT_") {
        return true;
    }
    let link = match parts[..] {
        [ref link @ .., "ADDR" | "PORT" | "PROTO"] => link,
        _ => &parts,
    };
    matches!(link, [.., "PORT", port, protocol] if port.parse::<u16>().is_ok() && PROTOCOLS.contains(protocol))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn warnings(variables: &[(&str, &str)]) -> Vec<String> {
        let settings = [
            Setting::new("project", "SIE_PROJECT", "x"),
            Setting::new("prometheus.port", "SIE_PROMETHEUS__PORT", "x"),
            Setting::new("prometheus.path", "SIE_PROMETHEUS__PATH", "x"),
            Setting::new("log_level", "SIE_LOG_LEVEL", "x"),
        ];
        unknown_variables("SIE_", &settings, &variables.iter().copied().collect())
    }

    #[test]
    fn warns_about_unknown_variables_with_a_suggestion() {
        for (name, likely) in [
            ("SIE_PROMETHEUS_PORT", "; did you mean SIE_PROMETHEUS__PORT?"),
            ("SIE_PROMETHEUS_PATH", "; did you mean SIE_PROMETHEUS__PATH?"),
            ("sie_project", "; did you mean SIE_PROJECT?"),
            ("SIE_LOGLEVEL", "; did you mean SIE_LOG_LEVEL?"),
            ("SIE_CONFIG_PATH", "; did you mean CONFIG_PATH?"),
            ("SIE_XYZ", ""),
        ] {
            assert_eq!(warnings(&[(name, "1")]), [format!("variable {name} has no meaning{likely}")]);
        }
    }

    #[test]
    fn does_not_warn_about_settings_and_other_variables() {
        let fine = [
            ("SIE_PROJECT", "p"),
            ("SIE_PROMETHEUS__PORT", "1"),
            ("SIE_UNSET", ""),
            ("SIEVE_X", "1"),
            ("PATH", "/bin"),
        ];
        assert_eq!(warnings(&fine), Vec::<String>::new());
    }

    #[test]
    fn does_not_warn_about_service_links() {
        let links = [
            ("SIE_SERVICE_HOST", "10.0.0.1"),
            ("SIE_SERVICE_PORT", "8090"),
            ("SIE_SERVICE_PORT_HTTP_METRICS", "8090"),
            ("SIE_PORT", "tcp://10.0.0.1:8090"),
            ("SIE_PORT_8090_TCP", "tcp://10.0.0.1:8090"),
            ("SIE_PORT_8090_TCP_PROTO", "tcp"),
            ("SIE_PORT_8090_TCP_PORT", "8090"),
            ("SIE_PORT_8090_TCP_ADDR", "10.0.0.1"),
            ("SIE_METRICS_PORT_53_UDP_ADDR", "10.0.0.1"),
            ("SIE_PORT_X_SERVICE_HOST", "10.0.0.1"),
        ];
        assert_eq!(warnings(&links), Vec::<String>::new());
        assert_eq!(warnings(&[("SIE_PORT", "8090")]).len(), 1);
        assert_eq!(warnings(&[("SIE_PORT_X", "8090")]).len(), 1);
    }
}
