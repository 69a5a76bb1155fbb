//! Environment variables that look like ours and mean nothing.

use super::{Environment, Setting, nearest};

/// The protocols in the kubelet's `X_PORT_8080_TCP` and `X_PORT_8080_TCP_ADDR`.
const PROTOCOLS: [&str; 3] = ["TCP", "UDP", "SCTP"];

/// A warning for each variable that begins with `prefix`, has a value and is none of the settings'. The value may be a
/// secret under a misspelt name, so it is not repeated.
///
/// The variables by which Kubernetes announces a Service, whose name may begin like ours, are none of them.
pub fn unknown_variables(prefix: &str, settings: &[Setting], environment: &Environment) -> Vec<String> {
    let known = || settings.iter().map(|setting| &*setting.variable).chain(["CONFIG_PATH"]);
    let begins_like_ours =
        |name: &str| name.get(..prefix.len()).is_some_and(|beginning| beginning.eq_ignore_ascii_case(prefix));
    environment
        .names_and_values()
        .filter(|(name, value)| begins_like_ours(name) && !value.trim().is_empty())
        .filter(|(name, value)| known().all(|known| known != *name) && !is_service_link(name, value))
        .map(|(name, _)| {
            // Without the prefix, which all have in common.
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

/// Whether the kubelet wrote a variable, to say where a Service listens.
fn is_service_link(name: &str, value: &str) -> bool {
    let parts: Vec<&str> = name.split('_').collect();
    match parts[..] {
        [.., "SERVICE", "HOST" | "PORT"] => return true,
        // `X_PORT=tcp://10.0.0.1:80`; a number would be somebody's misspelt setting.
        [.., "PORT"] if value.contains("://") => return true,
        _ => {}
    }
    // `X_SERVICE_PORT_METRICS`, whose last part is the port's name.
    if name.contains("_SERVICE_PORT_") {
        return true;
    }
    let announced = match parts[..] {
        [ref announced @ .., "ADDR" | "PORT" | "PROTO"] => announced,
        _ => &parts,
    };
    matches!(announced, [.., "PORT", port, protocol] if port.parse::<u16>().is_ok() && PROTOCOLS.contains(protocol))
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
    fn a_variable_without_meaning_names_the_likely_one() {
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
    fn what_has_a_meaning_or_is_not_ours_is_no_warning() {
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
    fn service_links_are_no_warning() {
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
