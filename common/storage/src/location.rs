//! Where a storage is: in this machine's file system, or in a bucket.

use std::ffi::OsStr;
use std::fmt;
use std::path::PathBuf;

use object_store::path::Path;

use crate::problem::SourceError;

/// Where a storage is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StorageLocation {
    /// A folder, or an archive of one.
    Path(PathBuf),
    /// A bucket.
    Bucket(BucketLocation),
}

impl StorageLocation {
    /// What a person gives: `s3://BUCKET/PREFIX`, `gs://BUCKET/PREFIX`, `az://CONTAINER/PREFIX`, or
    /// a path.
    ///
    /// # Errors
    /// [`SourceError::Refused`] when it begins like the address of a bucket and is none.
    pub fn given(text: &OsStr) -> Result<Self, SourceError> {
        let path = || Ok(Self::Path(text.into()));
        let Some((scheme, rest)) = text.to_str().and_then(|text| text.split_once("://")) else {
            return path();
        };
        let Some(provider) = Provider::ALL.into_iter().find(|known| known.scheme() == scheme)
        else {
            return path();
        };
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        Ok(Self::Bucket(BucketLocation::new(provider, bucket, prefix)?))
    }
}

/// Who keeps a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Provider {
    /// Amazon S3, and whoever speaks as it does.
    S3,
    /// Google Cloud Storage.
    Google,
    /// Azure Blob Storage.
    Azure,
}

impl Provider {
    const ALL: [Self; 3] = [Self::S3, Self::Google, Self::Azure];

    fn scheme(self) -> &'static str {
        match self {
            Self::S3 => "s3",
            Self::Google => "gs",
            Self::Azure => "az",
        }
    }
}

/// A bucket, and the part of it that a registry has for itself.
#[derive(Clone, PartialEq, Eq)]
pub struct BucketLocation {
    pub(crate) provider: Provider,
    pub(crate) bucket: String,
    /// The registry's `rootdirectory`, without `/` at its ends.
    pub(crate) prefix: Path,
    /// What goes before the environment, by the names of its variables; secrets are among them.
    pub(crate) settings: Vec<(&'static str, String)>,
    /// Trust whoever answers.
    pub(crate) skip_verify: bool,
}

impl BucketLocation {
    /// A bucket that the environment tells the rest about.
    ///
    /// # Errors
    /// [`SourceError::Refused`], which repeats nothing that may be a secret.
    pub(crate) fn new(provider: Provider, bucket: &str, prefix: &str) -> Result<Self, SourceError> {
        let scheme = provider.scheme();
        let refused = |what: &str| SourceError::Refused {
            path: format!("the address {scheme}://…"),
            what: what.to_owned(),
        };
        if bucket.contains(['@', ':']) {
            return Err(refused(
                "neither user, password nor port belong into it: credentials and endpoint are \
                 given by environment variables, as AWS_ACCESS_KEY_ID and AWS_ENDPOINT_URL",
            ));
        }
        let is_legal = |character: char| {
            character.is_ascii_alphanumeric() || matches!(character, '.' | '-' | '_')
        };
        if bucket.is_empty() || !bucket.chars().all(is_legal) {
            return Err(refused("it has to begin with a bucket's name, of letters, digits, . _ -"));
        }
        let prefix = Path::parse(prefix.trim_matches('/')).map_err(|_| {
            refused("the prefix may have neither empty parts, nor `.` and `..`, nor control codes")
        })?;
        let settings = Vec::new();
        Ok(Self { provider, bucket: bucket.to_owned(), prefix, settings, skip_verify: false })
    }

    /// The address of something in the bucket, for messages.
    pub(crate) fn url(&self, key: &str) -> String {
        format!("{}://{}/{key}", self.provider.scheme(), self.bucket)
    }
}

impl fmt::Display for BucketLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.url(self.prefix.as_ref()).trim_end_matches('/'))
    }
}

impl fmt::Debug for BucketLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.settings.iter().map(|(name, _)| name).collect();
        let mut shown = f.debug_struct("BucketLocation");
        shown.field("address", &self.to_string()).field("settings", &names);
        shown.field("skip_verify", &self.skip_verify).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(text: &str) -> Result<StorageLocation, SourceError> {
        StorageLocation::given(OsStr::new(text))
    }

    #[test]
    fn addresses_of_buckets() {
        for (text, shown) in [
            ("s3://images", "s3://images"),
            ("s3://images/", "s3://images"),
            ("gs://images//a/b/", "gs://images/a/b"),
            ("az://container/registry", "az://container/registry"),
        ] {
            let StorageLocation::Bucket(bucket) = given(text).unwrap() else {
                panic!("{text} is taken for a path")
            };
            assert_eq!(bucket.to_string(), shown);
        }
    }

    #[test]
    fn what_is_no_address_is_a_path() {
        for text in ["/var/lib/registry", "docker.tar", "s3:/a", "./s3://images", "http://a"] {
            assert_eq!(given(text).unwrap(), StorageLocation::Path(text.into()));
        }
    }

    #[test]
    fn bad_addresses_are_refused_without_their_secrets() {
        for text in
            ["s3://key:secret@images/a", "s3://images:9000", "s3://", "s3:///a", "s3://a b/c"]
        {
            let error = given(text).unwrap_err().to_string();
            assert!(error.starts_with("the address s3://…: "), "{error}");
            assert!(!error.contains("secret"), "{error}");
        }
        for prefix in ["a//b", "../a", "a/./b", "a\u{1}"] {
            let error = given(&format!("s3://images/{prefix}")).unwrap_err().to_string();
            assert!(error.contains("empty parts"), "{error}");
        }
    }
}
