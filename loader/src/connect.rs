//! From the options of the command line to a registry that answers and lets us in.

use std::env;
use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::rc::Rc;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tranship_common::Progress;
use tranship_common::bundle::Contents;
use tranship_terminal::{Terminal, quantity};
use url::Url;

use crate::cli::{Connection, Names, NewProjects, TargetKind};
use crate::destination::{Destination, Expected, identify};
use crate::harbor::NewProject;
use crate::harbor::projects::ProjectMaker;
use crate::plan::mapping::{Mapped, Mapping};
use crate::plan::rules::rules_of;
use crate::registry::{
    Accounts, Credentials, Proxies, Registry, Target, Tls, from_auth_files, http_client,
    password_from,
};
use crate::transfer::retry::{Patience, Pauses};
use crate::transfer::stop::Stop;

/// So long Harbor locks a user name after a wrong password, and some more.
const LOCK: Duration = Duration::from_secs(2);

/// Connects to the target: it has answered, and let us in, when this returns.
pub(crate) async fn reach(
    options: &Connection,
    terminal: Terminal,
    progress: &Arc<dyn Progress>,
    stop: Stop,
) -> Result<Destination> {
    let registry = Rc::new(connect(options, terminal)?);
    let jobs = options.jobs.get();
    let patience = Patience::new(&registry, pauses(options), jobs, Arc::clone(progress), stop);
    let expected = match options.target_kind {
        TargetKind::Auto => Expected::Anything,
        TargetKind::Harbor => Expected::Harbor,
        TargetKind::Registry => Expected::Registry,
    };
    Destination::reach(registry, expected, patience, jobs, lock(options)).await
}

fn lock(options: &Connection) -> Duration {
    options.retry_delay.map_or(LOCK, Duration::from_millis)
}

/// The images under their names in the target; all that has none is said at once.
pub(crate) fn map(
    contents: &Arc<Contents>,
    names: &Names,
    destination: &Destination,
    terminal: Terminal,
) -> Result<Mapped> {
    let mut rules = names.rules.clone();
    if let Some(path) = &names.map_file {
        let text =
            fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        rules.extend(rules_of(&text).with_context(|| path.display().to_string())?);
    }
    let library = destination.harbor.as_ref().map(|_| "library".to_owned());
    let mapping = Mapping {
        rules: rules.into(),
        prefix: names.prefix.clone(),
        default_project: names.default_project.clone().or(library),
        for_harbor: destination.harbor.is_some(),
    };
    for rule in mapping.idle_rules(contents) {
        terminal.message(&format!("warning: the rule `{rule}` fits no repository"));
    }
    mapping.apply(contents).map_err(|errors| {
        errors.iter().for_each(|error| terminal.problem(&error.to_string()));
        let count = quantity(errors.len() as u64, "name");
        anyhow::anyhow!("{count} cannot be used in {}", destination.registry.target())
    })
}

/// Who makes projects: the administrator of the options, or else the account that loads. `None`
/// where the target has no projects.
pub(crate) async fn project_maker(
    connection: &Connection,
    options: &NewProjects,
    destination: &Destination,
) -> Result<Option<ProjectMaker>> {
    let Some(harbor) = &destination.harbor else { return Ok(None) };
    let NewProjects { public, storage_limit, .. } = *options;
    let options_of_projects = NewProject { public, storage_limit };
    let harbor = match connect_as_administrator(connection, options)? {
        Some(administrator) => {
            let administrator = Rc::new(administrator);
            let patience = &destination.patience;
            let found =
                identify(&administrator, Expected::Harbor, patience, lock(connection)).await?;
            found.map_or_else(|| Rc::clone(harbor), Rc::new)
        }
        None => Rc::clone(harbor),
    };
    Ok(Some(ProjectMaker { harbor, options: options_of_projects }))
}

/// Sets up the registry's client; nothing is sent yet.
fn connect(options: &Connection, terminal: Terminal) -> Result<Registry> {
    if options.insecure_skip_tls_verify {
        terminal.message("warning: the registry's certificate is not checked");
    }
    let target = Target::parse(&options.to, options.plain_http)?;
    let accounts = accounts(options, &target.authority())?;
    client(options, target, accounts)
}

/// The same registry for the account that makes projects, if there is one.
fn connect_as_administrator(
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
    client(connection, target, credentials.into()).map(Some)
}

fn client(options: &Connection, target: Target, accounts: Accounts) -> Result<Registry> {
    let tls = Tls {
        ca_file: options.ca_file.clone(),
        client_certificate: options.client_cert.clone().zip(options.client_key.clone()),
        skip_verify: options.insecure_skip_tls_verify,
    };
    let proxies = match proxies() {
        // What nobody asks for need not be right.
        Err(_) if target.is_loopback() => Proxies::default(),
        proxies => proxies?,
    };
    let http = http_client(&tls, &proxies)?;
    Ok(Registry::new(http, target, accounts, Duration::from_secs(options.timeout.get())))
}

/// The proxies of the environment. A variable in capitals counts before one in small letters.
fn proxies() -> Result<Proxies> {
    let variable = |name: &str| {
        let value = env::var(name).or_else(|_| env::var(name.to_lowercase()));
        value.ok().map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
    };
    let proxy = |own: &'static str| -> Result<Option<Url>> {
        let found = [own, "ALL_PROXY"].into_iter().find_map(|name| Some((name, variable(name)?)));
        found
            .map(|(name, value)| proxy_address(&value).with_context(|| name.to_owned()))
            .transpose()
    };
    Ok(Proxies {
        for_http: proxy("HTTP_PROXY")?,
        for_https: proxy("HTTPS_PROXY")?,
        not_for: variable("NO_PROXY").unwrap_or_default(),
    })
}

/// Without a scheme it is `http://`. The address may hold a password, so it is not shown.
fn proxy_address(value: &str) -> Result<Url> {
    let with_scheme = match value.contains("://") {
        true => value.to_owned(),
        false => format!("http://{value}"),
    };
    let url = Url::parse(&with_scheme).ok().filter(Url::has_host);
    let url = url.context("this is no address of a proxy: give http://HOST:PORT")?;
    match url.scheme() {
        "http" | "https" => Ok(url),
        scheme => bail!("a proxy that speaks {scheme} cannot be used, only one that speaks HTTP"),
    }
}

/// How long things are waited for.
fn pauses(options: &Connection) -> Pauses {
    let max_wait = Duration::from_secs(options.max_wait);
    let mut pauses = Pauses { max_wait, ..Pauses::default() };
    if let Some(milliseconds) = options.retry_delay {
        pauses.first = Duration::from_millis(milliseconds);
        pauses.longest = pauses.first * 4;
        pauses.hesitation = pauses.first * 20;
    }
    pauses
}

/// The first of: options, environment, auth files.
fn accounts(options: &Connection, authority: &str) -> Result<Accounts> {
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
    Ok(Credentials::Password { username, password }.into())
}

fn password_file(path: &Path) -> Result<String> {
    let read = File::open(path).and_then(password_from);
    read.with_context(|| format!("cannot read the password from {}", path.display()))
}

/// A credential helper that asks somebody on a screen that nobody sees would wait for ever.
const HELPER_TIMEOUT: Duration = Duration::from_secs(60);

/// Looks into the auth files, with a limit on the time that a credential helper may take.
fn in_time(authority: &str) -> Result<Accounts> {
    let (sender, receiver) = mpsc::channel();
    let name = authority.to_owned();
    // The thread of a helper that hangs ends with the program.
    thread::spawn(move || sender.send(from_auth_files(&name)));
    receiver.recv_timeout(HELPER_TIMEOUT).unwrap_or_else(|_| {
        bail!("the credential helper for {authority} has not answered for 60 s")
    })
}
