//! Makes the store of a bucket from its address and the environment.

use std::str::FromStr;
use std::sync::Arc;

use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::{BackoffConfig, ObjectStore, RetryConfig};

use super::transport::Transport;
use crate::location::{BucketLocation, Provider};

/// The variables that say who we are. Where the location says so, none of them counts: a token of
/// one does not go with a key of the other.
const CREDENTIALS: [&str; 12] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AZURE_CLIENT_ID",
    "AZURE_CLIENT_SECRET",
    "AZURE_STORAGE_ACCOUNT_KEY",
    "AZURE_STORAGE_SAS_TOKEN",
    "AZURE_TENANT_ID",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "GOOGLE_SERVICE_ACCOUNT",
    "GOOGLE_SERVICE_ACCOUNT_KEY",
    "GOOGLE_SERVICE_ACCOUNT_PATH",
];

/// Makes the store.
pub(super) fn connect(
    location: &BucketLocation,
    environment: &[(String, String)],
    transport: Transport,
) -> object_store::Result<Arc<dyn ObjectStore>> {
    let settings = Settings { location, environment };
    let bucket = &location.bucket;
    // The transport has its own patience.
    let once =
        RetryConfig { max_retries: 0, backoff: BackoffConfig::default(), ..RetryConfig::default() };
    Ok(match location.provider {
        Provider::S3 => Arc::new(
            settings
                .applied("AWS_", AmazonS3Builder::new(), |builder, key, value| {
                    builder.with_config(key, value)
                })
                .with_bucket_name(bucket)
                .with_retry(once)
                .with_http_connector(transport)
                .build()?,
        ),
        Provider::Google => Arc::new(
            settings
                .applied("GOOGLE_", GoogleCloudStorageBuilder::new(), |builder, key, value| {
                    builder.with_config(key, value)
                })
                .with_bucket_name(bucket)
                .with_retry(once)
                .with_http_connector(transport)
                .build()?,
        ),
        Provider::Azure => Arc::new(
            settings
                .applied("AZURE_", MicrosoftAzureBuilder::new(), |builder, key, value| {
                    builder.with_config(key, value)
                })
                .with_container_name(bucket)
                .with_retry(once)
                .with_http_connector(transport)
                .build()?,
        ),
    })
}

/// What the environment and the location say.
struct Settings<'a> {
    location: &'a BucketLocation,
    environment: &'a [(String, String)],
}

impl Settings<'_> {
    /// Applies the variables that begin so and that the builder knows; the location's last.
    fn applied<B, K: FromStr>(
        &self,
        beginning: &str,
        builder: B,
        apply: impl Fn(B, K, &str) -> B,
    ) -> B {
        let of_location = self.location.settings.iter().map(|(name, value)| (*name, &**value));
        let has_credentials = of_location.clone().any(|(name, _)| CREDENTIALS.contains(&name));
        let of_environment = self.environment.iter().map(|(name, value)| (&**name, &**value));
        of_environment
            .filter(|(name, _)| !(has_credentials && CREDENTIALS.contains(name)))
            .chain(of_location)
            .filter(|(name, value)| name.starts_with(beginning) && !value.is_empty())
            .filter_map(|(name, value)| Some((name.to_ascii_lowercase().parse().ok()?, value)))
            .fold(builder, |builder, (key, value)| apply(builder, key, value))
    }
}
