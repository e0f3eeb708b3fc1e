//! Who we are to the target, and where that is found.

use std::fmt;
use std::fs::File;
use std::io;
use std::path::PathBuf;

use anyhow::Context;
use docker_credential::{CredentialRetrievalError, DockerCredential};

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

/// Looks a registry up in Docker's and podman's auth files, credential helpers included. `None`
/// where they say nothing of it.
///
/// This may start a helper program and wait for it.
pub(crate) fn from_auth_files(authority: &str) -> anyhow::Result<Option<Credentials>> {
    for path in auth_files() {
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read {}", path.display()));
            }
        };
        let found =
            docker_credential::get_credential_from_reader(io::BufReader::new(file), authority);
        match found.map_err(for_people) {
            Ok(DockerCredential::UsernamePassword(username, password)) => {
                return Ok(Some(Credentials::Password { username, password }));
            }
            Ok(DockerCredential::IdentityToken(token)) => {
                return Ok(Some(Credentials::IdentityToken(token)));
            }
            Err(None) => {}
            Err(Some(what)) => {
                anyhow::bail!("the credentials for {authority} in {}: {what}", path.display())
            }
        }
    }
    Ok(None)
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

/// The files that are looked at, in the order of Docker and podman.
fn auth_files() -> Vec<PathBuf> {
    let variable = |name| std::env::var_os(name).map(PathBuf::from);
    let home = variable("HOME");
    [
        variable("REGISTRY_AUTH_FILE"),
        variable("DOCKER_CONFIG").map(|folder| folder.join("config.json")),
        home.clone().map(|home| home.join(".docker/config.json")),
        variable("XDG_RUNTIME_DIR").map(|folder| folder.join("containers/auth.json")),
        home.map(|home| home.join(".config/containers/auth.json")),
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
