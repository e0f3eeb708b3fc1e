//! The address of the target.

use std::fmt;

use url::{Host, Url};

/// Everything that a proxy is never asked for, as `NO_PROXY` has it: the addresses that
/// [`is_loopback`] knows.
pub(super) const LOOPBACK: &str = "localhost,127.0.0.0/8,::1";

/// Scheme, host and port of a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    url: Url,
    /// Secrets may travel without encryption.
    plain_http: bool,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TargetError {
    #[error("`{0}` is not the address of a registry: give https://HOST or https://HOST:PORT")]
    Malformed(String),
    #[error(
        "the address `{0}` has a path; a registry is at the root of its host: give https://HOST[:PORT]"
    )]
    Path(String),
    #[error(
        "the address holds a user name or password; give them with --username and --password-stdin"
    )]
    Secret,
    #[error(
        "`{0}` would send credentials and images unencrypted: use https://, or say --plain-http"
    )]
    PlainHttp(String),
}

impl Target {
    /// Reads an address as the user gives it. `http://` is for this machine only, unless
    /// `plain_http` allows it; without a scheme it is `https://` unless `plain_http` is set.
    pub(crate) fn parse(text: &str, plain_http: bool) -> Result<Self, TargetError> {
        let with_scheme = match text.contains("://") {
            true => text.to_owned(),
            false if plain_http => format!("http://{text}"),
            false => format!("https://{text}"),
        };
        let malformed = || TargetError::Malformed(text.to_owned());
        let url = Url::parse(&with_scheme).map_err(|_| malformed())?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(TargetError::Secret);
        }
        let host = url.host().ok_or_else(malformed)?;
        match url.scheme() {
            "https" => {}
            "http" if plain_http || is_loopback(&host) => {}
            "http" => return Err(TargetError::PlainHttp(text.to_owned())),
            _ => return Err(malformed()),
        }
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
            return Err(TargetError::Path(text.to_owned()));
        }
        Ok(Self { url, plain_http })
    }

    /// The address of a path below the root.
    pub(crate) fn join(&self, path: &str) -> Url {
        let mut url = self.url.clone();
        url.set_path(path);
        url
    }

    /// Host and port, as auth files name a registry.
    pub(crate) fn authority(&self) -> String {
        let host = self.url.host_str().unwrap_or_default();
        self.url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    }

    /// Whether connections are encrypted.
    pub(crate) fn is_https(&self) -> bool {
        self.url.scheme() == "https"
    }

    /// Whether it is this machine.
    pub(crate) fn is_loopback(&self) -> bool {
        self.url.host().is_some_and(|host| is_loopback(&host))
    }

    /// Whether another address is served by the same program.
    pub(super) fn is_at(&self, there: &Url) -> bool {
        self.url.origin() == there.origin()
    }

    /// Whether a password may be sent to an address that the target names. What stays on this
    /// machine needs no encryption, unless the target itself is one that was to be reached with it.
    pub(super) fn may_hear_secrets(&self, there: &Url) -> bool {
        match there.scheme() {
            "https" => true,
            "http" => {
                let stays_here = there.host().is_some_and(|host| is_loopback(&host));
                !self.is_https() && (self.plain_http || stays_here)
            }
            _ => false,
        }
    }

    /// Resolves the `Location` of an answer. Registries that know themselves under another name
    /// (Harbor's external url) send that; the address in use has answered, so it is kept.
    pub(crate) fn resolve(&self, request: &Url, location: &str) -> Option<Url> {
        let there = request.join(location).ok()?;
        let mut url = self.url.clone();
        url.set_path(there.path());
        url.set_query(there.query());
        Some(url)
    }
}

fn is_loopback(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => *name == "localhost",
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.url.as_str().trim_end_matches('/'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let parsed = |text, plain| Target::parse(text, plain).map(|target| target.to_string());
        for (text, plain, want) in [
            ("harbor.example", false, "https://harbor.example"),
            ("harbor.example:8443", false, "https://harbor.example:8443"),
            ("https://harbor.example/", false, "https://harbor.example"),
            ("http://localhost:5000", false, "http://localhost:5000"),
            ("http://127.0.0.1:5000", false, "http://127.0.0.1:5000"),
            ("http://[::1]:5000", false, "http://[::1]:5000"),
            ("harbor.example", true, "http://harbor.example"),
            ("http://harbor.example", true, "http://harbor.example"),
        ] {
            assert_eq!(parsed(text, plain), Ok(want.to_owned()));
        }
        let refused = |text| Target::parse(text, false).unwrap_err();
        assert!(matches!(refused("http://harbor.example"), TargetError::PlainHttp(_)));
        assert!(matches!(refused("http://localhost.example"), TargetError::PlainHttp(_)));
        assert!(matches!(refused("https://harbor.example/team"), TargetError::Path(_)));
        assert!(matches!(refused("https://u:p@harbor.example"), TargetError::Secret));
        assert!(matches!(refused("ftp://harbor.example"), TargetError::Malformed(_)));
        assert!(matches!(refused(""), TargetError::Malformed(_)));
    }

    #[test]
    fn a_password_goes_nowhere_in_the_clear() {
        let may = |target: &str, plain_http, there: &str| {
            let target = Target::parse(target, plain_http).unwrap();
            target.may_hear_secrets(&Url::parse(there).unwrap())
        };
        for (target, plain_http, there, want) in [
            ("https://h", false, "https://elsewhere/token", true),
            ("https://h", false, "http://h/token", false),
            ("https://h", true, "http://h/token", false),
            ("https://h", false, "http://localhost/token", false),
            ("http://localhost:5000", false, "http://127.0.0.1:5001/token", true),
            ("http://localhost:5000", false, "http://[::1]/token", true),
            ("http://localhost:5000", false, "http://elsewhere/token", false),
            ("http://localhost:5000", false, "http://localhost.elsewhere/token", false),
            ("http://localhost:5000", true, "http://elsewhere/token", true),
            ("http://h", true, "http://elsewhere/token", true),
            ("http://h", true, "ftp://h/token", false),
        ] {
            assert_eq!(may(target, plain_http, there), want, "{target} {plain_http} {there}");
        }
    }

    #[test]
    fn a_location_stays_at_the_address_in_use() {
        let target = Target::parse("http://127.0.0.1:5000", false).unwrap();
        let request = target.join("/v2/a/blobs/uploads/");
        for location in [
            "http://registry.internal/v2/a/blobs/uploads/u?_state=x%2B",
            "/v2/a/blobs/uploads/u?_state=x%2B",
            "u?_state=x%2B",
        ] {
            let resolved = target.resolve(&request, location).unwrap();
            assert_eq!(resolved.as_str(), "http://127.0.0.1:5000/v2/a/blobs/uploads/u?_state=x%2B");
        }
    }
}
