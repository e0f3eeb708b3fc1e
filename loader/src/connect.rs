//! From the options of the command line to a registry that answers and lets us in.

use std::env;
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tranship_terminal::Terminal;

use crate::cli::{Connection, NewProjects};
use crate::registry::{
    Credentials, Registry, Target, Tls, from_auth_files, http_client, password_from,
};
use crate::transfer::retry::RetryPolicy;

/// Sets up the registry's client; nothing is sent yet.
pub(crate) fn connect(options: &Connection, terminal: Terminal) -> Result<Registry> {
    if options.insecure_skip_tls_verify {
        terminal.message("warning: the registry's certificate is not checked");
    }
    let target = Target::parse(&options.to, options.plain_http)?;
    let credentials = credentials(options, &target.authority())?;
    client(options, target, credentials)
}

/// The same registry for the account that makes projects, if there is one.
pub(crate) fn connect_as_administrator(
    connection: &Connection,
    projects: &NewProjects,
) -> Result<Option<Registry>> {
    let Some((username, path)) =
        projects.admin_username.clone().zip(projects.admin_password_file.as_ref())
    else {
        return Ok(None);
    };
    let credentials = Credentials::Password { username, password: password_file(path)? };
    let target = Target::parse(&connection.to, connection.plain_http)?;
    client(connection, target, Some(credentials)).map(Some)
}

fn client(
    options: &Connection,
    target: Target,
    credentials: Option<Credentials>,
) -> Result<Registry> {
    let tls = Tls {
        ca_file: options.ca_file.clone(),
        client_certificate: options.client_cert.clone().zip(options.client_key.clone()),
        skip_verify: options.insecure_skip_tls_verify,
    };
    let http = http_client(&target, &tls)?;
    Ok(Registry::new(http, target, credentials, Duration::from_secs(options.timeout.get())))
}

/// When requests are repeated.
pub(crate) fn retry_policy(options: &Connection) -> RetryPolicy {
    let patience = Duration::from_secs(options.max_wait);
    let mut policy = RetryPolicy { patience, ..RetryPolicy::default() };
    if let Some(milliseconds) = options.retry_delay {
        policy.first_pause = Duration::from_millis(milliseconds);
        policy.longest_pause = policy.first_pause * 4;
        policy.hesitation = policy.first_pause * 20;
    }
    policy
}

/// The first of: options, environment, auth files.
fn credentials(options: &Connection, authority: &str) -> Result<Option<Credentials>> {
    let password_variable = || env::var("TRANSHIP_PASSWORD").ok();
    let username = options.username.clone().or_else(|| env::var("TRANSHIP_USERNAME").ok());
    let Some(username) = username else { return in_time(authority) };
    let password = if options.password_stdin {
        password_from(io::stdin()).context("cannot read the password from standard input")?
    } else if let Some(path) = &options.password_file {
        password_file(path)?
    } else if let Some(password) = password_variable() {
        password
    } else {
        bail!(
            "there is a user name but no password: give it with --password-stdin, \
             --password-file or TRANSHIP_PASSWORD"
        );
    };
    Ok(Some(Credentials::Password { username, password }))
}

fn password_file(path: &Path) -> Result<String> {
    let read = File::open(path).and_then(password_from);
    read.with_context(|| format!("cannot read the password from {}", path.display()))
}

/// A credential helper that asks somebody on a screen that nobody sees would wait for ever.
const HELPER_TIMEOUT: Duration = Duration::from_secs(60);

/// Looks into the auth files, with a limit on the time that a credential helper may take.
fn in_time(authority: &str) -> Result<Option<Credentials>> {
    let (sender, receiver) = mpsc::channel();
    let name = authority.to_owned();
    // The thread of a helper that hangs ends with the program.
    thread::spawn(move || sender.send(from_auth_files(&name)));
    receiver.recv_timeout(HELPER_TIMEOUT).unwrap_or_else(|_| {
        bail!("the credential helper for {authority} has not answered for 60 s")
    })
}
