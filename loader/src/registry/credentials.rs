//! Who we are to the target, and where that is found.

use std::collections::HashMap;
use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use anyhow::Context;
use docker_credential::{CredentialRetrievalError, DockerCredential};
use serde::Deserialize;
use tranship_common::Repository;

/// A user name and password, or a token that stands for them.
#[derive(Clone)]
pub(crate) enum Credentials {
    /// For Basic authentication, and to get tokens with.
    Password { username: String, password: String },
    /// An identity token, exchanged for access tokens.
    IdentityToken(String),
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

impl Credentials {
    /// The account's name, for messages. Never the secret.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Password { username, .. } => username.clone(),
            Self::IdentityToken(_) => "the identity token of the auth file".into(),
        }
    }
}

/// The accounts that a registry is used with: one for all of it, or others for single namespaces.
#[derive(Debug, Clone, Default)]
pub(crate) struct Accounts(Vec<Account>);

#[derive(Debug, Clone)]
struct Account {
    /// What repositories begin with that it is for; nothing when it is for all.
    namespace: String,
    credentials: Credentials,
}

impl From<Credentials> for Accounts {
    fn from(credentials: Credentials) -> Self {
        Self(vec![Account { namespace: String::new(), credentials }])
    }
}

impl Accounts {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The number of the account for a repository: the first that fits.
    pub(super) fn place_for(&self, repository: &Repository) -> Option<usize> {
        self.0.iter().position(|account| account.is_for(repository.as_str()))
    }

    /// The number of the account for what concerns no repository: the one for all, else any.
    pub(super) fn place_for_host(&self) -> Option<usize> {
        let is_for_all = |account: &Account| account.namespace.is_empty();
        self.0.iter().position(is_for_all).or((!self.0.is_empty()).then_some(0))
    }

    /// The account with this number.
    pub(super) fn get(&self, place: usize) -> Option<&Credentials> {
        self.0.get(place).map(|account| &account.credentials)
    }
}

impl Account {
    fn is_for(&self, repository: &str) -> bool {
        let rest = repository.strip_prefix(self.namespace.as_str());
        self.namespace.is_empty()
            || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

/// Looks a registry up in Docker's and podman's auth files, credential helpers included. The first
/// file that has something for a repository counts, and in it the most specific key
/// (containers-auth.json(5)).
///
/// This may start a helper program and wait for it.
pub(crate) fn from_auth_files(authority: &str) -> anyhow::Result<Accounts> {
    let mut accounts = Accounts::default();
    for path in auth_files() {
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read {}", path.display()));
            }
        };
        for (key, namespace) in keys(&text, authority) {
            let found = look_up(&text, &key).map_err(|what| {
                anyhow::anyhow!("the credentials for {key} in {}: {what}", path.display())
            })?;
            let account = found.map(|credentials| Account { namespace, credentials });
            accounts.0.extend(account);
        }
        if accounts.0.last().is_some_and(|account| account.namespace.is_empty()) {
            break;
        }
    }
    Ok(accounts)
}

/// The keys of an auth file that are about a registry, each with its namespace: the most specific
/// first, that of the registry itself last. The latter need not be there: helpers are asked for it.
fn keys(text: &[u8], authority: &str) -> Vec<(String, String)> {
    #[derive(Deserialize)]
    struct AuthFile {
        #[serde(default)]
        auths: HashMap<String, serde_json::Value>,
    }
    let file = serde_json::from_slice(text).unwrap_or(AuthFile { auths: HashMap::new() });
    let mut keys: Vec<(String, String)> = file
        .auths
        .into_iter()
        // Those without anything in them refer to a helper, and helpers know no namespaces.
        .filter(|(_, entry)| entry.as_object().is_some_and(|entry| !entry.is_empty()))
        .filter_map(|(key, _)| {
            let namespace = key.strip_prefix(authority)?.strip_prefix('/')?.trim_end_matches('/');
            let namespace = namespace.to_owned();
            (!namespace.is_empty()).then_some((key, namespace))
        })
        .collect();
    keys.sort_by(|(_, one), (_, other)| other.len().cmp(&one.len()).then(one.cmp(other)));
    keys.push((authority.to_owned(), String::new()));
    keys
}

/// What an auth file says under a key.
fn look_up(text: &[u8], key: &str) -> Result<Option<Credentials>, String> {
    match docker_credential::get_credential_from_reader(text, key).map_err(for_people) {
        Ok(DockerCredential::UsernamePassword(username, password)) => {
            Ok(Some(Credentials::Password { username, password }))
        }
        Ok(DockerCredential::IdentityToken(token)) => Ok(Some(Credentials::IdentityToken(token))),
        Err(None) => Ok(None),
        Err(Some(what)) => Err(what),
    }
}

/// What went wrong, without what a failed helper printed: that may hold the secret. `None` where
/// there just are no credentials.
fn for_people(error: CredentialRetrievalError) -> Option<String> {
    match error {
        CredentialRetrievalError::NoCredentialConfigured => None,
        // Helpers tell by their words alone that they have nothing.
        CredentialRetrievalError::HelperFailure { stdout, .. }
            if stdout.to_lowercase().contains("credentials not found") =>
        {
            None
        }
        CredentialRetrievalError::HelperFailure { helper, .. } => {
            Some(format!("the credential helper `{helper}` failed"))
        }
        other => Some(other.to_string()),
    }
}

/// The files that are looked at, in the order of Docker and podman. `--help` and the README name
/// them.
fn auth_files() -> Vec<PathBuf> {
    let variable = |name| std::env::var_os(name).map(PathBuf::from);
    let home = variable("HOME");
    let of_home = |name: &str| home.as_ref().map(|home| home.join(name));
    // Where podman puts it for those who have no session of their own.
    let of_user = || Some(format!("/run/containers/{}", fs::metadata("/proc/self").ok()?.uid()));
    let runtime = variable("XDG_RUNTIME_DIR").map(|folder| folder.join("containers"));
    let configuration = variable("XDG_CONFIG_HOME").or_else(|| of_home(".config"));
    [
        variable("REGISTRY_AUTH_FILE"),
        variable("DOCKER_CONFIG").map(|folder| folder.join("config.json")),
        of_home(".docker/config.json"),
        runtime.or_else(|| of_user().map(PathBuf::from)).map(|folder| folder.join("auth.json")),
        configuration.map(|folder| folder.join("containers/auth.json")),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Reads a password from a file or standard input: everything up to the final line end.
pub(crate) fn password_from(mut input: impl io::Read) -> io::Result<String> {
    let mut text = String::new();
    input.read_to_string(&mut text)?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    if text.is_empty() {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it is empty"));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_specific_account_counts() {
        let text = r#"{"auths": {
            "h": {"auth": "aG9zdDp4"},
            "h/team": {"auth": "dGVhbTp4"},
            "h/team/deep/": {"auth": "ZGVlcDp4"},
            "h/helped": {},
            "h:5000/team": {"auth": "b3RoZXI6eA=="},
            "hh/team": {"auth": "b3RoZXI6eA=="}
        }}"#;
        let found = keys(text.as_bytes(), "h").into_iter().map(|(key, namespace)| {
            let credentials = look_up(text.as_bytes(), &key).unwrap().unwrap();
            Account { namespace, credentials }
        });
        let accounts = Accounts(found.collect());
        let name = |repository: &str| {
            accounts.get(accounts.place_for(&repository.parse().unwrap()).unwrap()).unwrap().name()
        };
        for (repository, want) in [
            ("team/deep/image", "deep"),
            ("team/deep", "deep"),
            ("team/deeper", "team"),
            ("team", "team"),
            ("teams/image", "host"),
            ("helped/image", "host"),
            ("image", "host"),
        ] {
            assert_eq!(name(repository), want, "{repository}");
        }
        assert_eq!(accounts.get(accounts.place_for_host().unwrap()).unwrap().name(), "host");
    }

    #[test]
    fn without_an_account_for_all() {
        let credentials = Credentials::IdentityToken("x".into());
        let accounts = Accounts(vec![Account { namespace: "team".into(), credentials }]);
        assert_eq!(accounts.place_for_host(), Some(0));
        assert_eq!(accounts.place_for(&"team/image".parse().unwrap()), Some(0));
        assert_eq!(accounts.place_for(&"other/image".parse().unwrap()), None);
        assert_eq!(Accounts::default().place_for_host(), None);
    }
}
