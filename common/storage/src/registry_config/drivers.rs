//! What the parameters of a storage driver mean here.

use std::path::PathBuf;

use super::Refused;
use super::yaml::{Map, Node};
use crate::location::{BucketLocation, Provider, StorageLocation};

/// Where the file system driver keeps its tree when it is told nothing.
const DEFAULT_ROOT: &str = "/var/lib/registry";

/// The storage of a driver.
pub(super) fn locate(driver: &str, parameters: &Map) -> Result<StorageLocation, Refused> {
    let parameters = Parameters { driver, map: parameters };
    match driver {
        "filesystem" => {
            let root = parameters.text("rootdirectory")?.unwrap_or(DEFAULT_ROOT);
            Ok(StorageLocation::Path(PathBuf::from(root)))
        }
        "s3" | "s3aws" => s3(parameters),
        "gcs" => google(parameters),
        "azure" => azure(parameters),
        other => Err(format!(
            "its storage driver `{other}` cannot be read; filesystem, s3, gcs and azure can. Copy \
             the registry's tree into a folder, and give that with --storage; or, where the \
             storage speaks S3 too, give s3://BUCKET/PREFIX and AWS_ENDPOINT_URL"
        )
        .into()),
    }
}

/// The parameters of a driver.
#[derive(Clone, Copy)]
struct Parameters<'a> {
    driver: &'a str,
    map: &'a Map,
}

impl<'a> Parameters<'a> {
    fn text(self, name: &str) -> Result<Option<&'a str>, Refused> {
        match self.map.get(name) {
            None | Some(Node::Nothing) => Ok(None),
            Some(Node::Text(text)) if text.is_empty() => Ok(None),
            Some(Node::Text(text)) => Ok(Some(text)),
            Some(_) => Err(self.refused(name, "is no text")),
        }
    }

    fn flag(self, name: &str, default: bool) -> Result<bool, Refused> {
        let Some(text) = self.text(name)? else {
            return Ok(default);
        };
        match text.to_ascii_lowercase().as_str() {
            "true" | "t" | "1" | "yes" | "y" | "on" => Ok(true),
            "false" | "f" | "0" | "no" | "n" | "off" => Ok(false),
            _ => Err(self.refused(name, "is neither true nor false")),
        }
    }

    fn refused(self, name: &str, why: &str) -> Refused {
        format!("its setting storage.{}.{name} {why}", self.driver).into()
    }

    /// The bucket without anything that the environment could say too.
    fn bucket(self, provider: Provider, name: &str) -> Result<BucketLocation, Refused> {
        let bucket = self.text(name)?.ok_or_else(|| self.refused(name, "is missing"))?;
        let prefix = self.text("rootdirectory")?.unwrap_or_default();
        Ok(BucketLocation::new(provider, bucket, prefix)?)
    }

    /// Hands parameters on under the names of environment variables.
    fn pass(
        self,
        location: &mut BucketLocation,
        names: &[(&str, &'static str)],
    ) -> Result<(), Refused> {
        for (name, variable) in names {
            if let Some(value) = self.text(name)? {
                location.settings.push((variable, value.to_owned()));
            }
        }
        Ok(())
    }
}

fn s3(parameters: Parameters<'_>) -> Result<StorageLocation, Refused> {
    let mut location = parameters.bucket(Provider::S3, "bucket")?;
    parameters.pass(
        &mut location,
        &[
            ("accesskey", "AWS_ACCESS_KEY_ID"),
            ("secretkey", "AWS_SECRET_ACCESS_KEY"),
            ("sessiontoken", "AWS_SESSION_TOKEN"),
            ("region", "AWS_REGION"),
        ],
    )?;
    if let Some(endpoint) = parameters.text("regionendpoint")? {
        let scheme = if parameters.flag("secure", true)? { "https" } else { "http" };
        let (scheme, host) = endpoint.split_once("://").unwrap_or((scheme, endpoint));
        // Nearly every server takes the bucket in the path, so only a plain no counts.
        let endpoint = match parameters.flag("forcepathstyle", true)? {
            true => format!("{scheme}://{host}"),
            false => {
                let yes = "true".to_owned();
                location.settings.push(("AWS_VIRTUAL_HOSTED_STYLE_REQUEST", yes));
                format!("{scheme}://{}.{host}", location.bucket)
            }
        };
        location.settings.push(("AWS_ENDPOINT_URL_S3", endpoint));
    }
    location.skip_verify = parameters.flag("skipverify", false)?;
    Ok(StorageLocation::Bucket(location))
}

fn google(parameters: Parameters<'_>) -> Result<StorageLocation, Refused> {
    let mut location = parameters.bucket(Provider::Google, "bucket")?;
    if matches!(parameters.map.get("credentials"), Some(Node::Map(_))) {
        let why = "cannot be read; put them into a file, and name that as `keyfile`, or in \
                   GOOGLE_APPLICATION_CREDENTIALS";
        return Err(parameters.refused("credentials", why));
    }
    parameters.pass(&mut location, &[("keyfile", "GOOGLE_SERVICE_ACCOUNT")])?;
    Ok(StorageLocation::Bucket(location))
}

fn azure(parameters: Parameters<'_>) -> Result<StorageLocation, Refused> {
    let mut location = parameters.bucket(Provider::Azure, "container")?;
    parameters.pass(
        &mut location,
        &[
            ("accountname", "AZURE_STORAGE_ACCOUNT_NAME"),
            ("accountkey", "AZURE_STORAGE_ACCOUNT_KEY"),
            ("serviceurl", "AZURE_STORAGE_ENDPOINT"),
        ],
    )?;
    if let (Some(account), Some(realm)) =
        (parameters.text("accountname")?, parameters.text("realm")?)
    {
        let endpoint = format!("https://{account}.blob.{realm}");
        location.settings.push(("AZURE_STORAGE_ENDPOINT", endpoint));
    }
    if let Some(Node::Map(map)) = parameters.map.get("credentials") {
        let credentials = Parameters { driver: "azure.credentials", map };
        credentials.pass(
            &mut location,
            &[
                ("clientid", "AZURE_CLIENT_ID"),
                ("tenantid", "AZURE_TENANT_ID"),
                ("secret", "AZURE_CLIENT_SECRET"),
            ],
        )?;
    }
    Ok(StorageLocation::Bucket(location))
}
