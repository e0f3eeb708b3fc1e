//! Reads the catalog as it comes, field by field, without keeping its text.

use std::fmt;
use std::io::Read;

use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, Visitor};

use super::catalog::{BlobEntry, Catalog, ManifestEntry, RepositoryEntry};
use super::catalog_error::CatalogError;
use super::left_out::LeftOut;
use super::soundness::{check_features, check_version};

/// Why no catalog came of what was read.
#[derive(Debug)]
pub(super) enum Unread {
    /// The catalog says itself that it cannot be used.
    Refused(CatalogError),
    /// The text is no catalog, ends too early, or could not be read.
    Json(serde_json::Error),
}

/// Reads the bytes of `bundle.json`. Version and features are judged before anything else is
/// looked at, so that a newer bundle is called newer and not broken.
pub(super) fn read_catalog(input: impl Read) -> Result<Catalog, Unread> {
    let mut refusal = None;
    let mut json = serde_json::Deserializer::from_reader(input);
    json.deserialize_map(CatalogVisitor { refusal: &mut refusal })
        .and_then(|catalog| json.end().map(|()| catalog))
        .map_err(|error| refusal.map_or(Unread::Json(error), Unread::Refused))
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "camelCase")]
enum Field {
    FormatVersion,
    RequiredFeatures,
    Repositories,
    Manifests,
    Blobs,
    LeftOut,
    #[serde(other)]
    Unknown,
}

struct CatalogVisitor<'a> {
    /// Filled where there is more to say than where the text is wrong.
    refusal: &'a mut Option<CatalogError>,
}

impl CatalogVisitor<'_> {
    /// Reads version and features, which stand first.
    fn head<'de, A: MapAccess<'de>>(
        &mut self,
        fields: &mut A,
    ) -> Result<(u32, Vec<String>), A::Error> {
        let Some(Field::FormatVersion) = fields.next_key()? else {
            return Err(A::Error::custom("its first field is not `formatVersion`"));
        };
        let version = self.judged(check_version(fields.next_value()?))?;
        let Some(Field::RequiredFeatures) = fields.next_key()? else {
            return Err(A::Error::custom("its second field is not `requiredFeatures`"));
        };
        let features: Vec<String> = fields.next_value()?;
        self.judged(check_features(&features))?;
        Ok((version, features))
    }

    fn judged<T, E: Error>(&mut self, judgement: Result<T, CatalogError>) -> Result<T, E> {
        judgement.map_err(|refusal| {
            let error = E::custom(&refusal);
            *self.refusal = Some(refusal);
            error
        })
    }
}

impl<'de> Visitor<'de> for CatalogVisitor<'_> {
    type Value = Catalog;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a catalog")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut fields: A) -> Result<Catalog, A::Error> {
        let (format_version, required_features) = self.head(&mut fields)?;
        let mut repositories: Option<Vec<RepositoryEntry>> = None;
        let mut manifests: Option<Vec<ManifestEntry>> = None;
        let mut blobs: Option<Vec<BlobEntry>> = None;
        let mut left_out: Option<LeftOut> = None;
        while let Some(field) = fields.next_key()? {
            let is_new = match field {
                Field::Repositories => repositories.replace(fields.next_value()?).is_none(),
                Field::Manifests => manifests.replace(fields.next_value()?).is_none(),
                Field::Blobs => blobs.replace(fields.next_value()?).is_none(),
                Field::LeftOut => left_out.replace(fields.next_value()?).is_none(),
                Field::Unknown => fields.next_value::<IgnoredAny>().map(|_| true)?,
                Field::FormatVersion | Field::RequiredFeatures => false,
            };
            if !is_new {
                return Err(A::Error::custom("a field stands in it twice"));
            }
        }
        let missing = A::Error::missing_field;
        Ok(Catalog {
            format_version,
            required_features,
            repositories: repositories.ok_or_else(|| missing("repositories"))?,
            manifests: manifests.ok_or_else(|| missing("manifests"))?,
            blobs: blobs.ok_or_else(|| missing("blobs"))?,
            left_out: left_out.unwrap_or_default(),
        })
    }
}
