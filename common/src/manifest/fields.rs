//! The fields of a manifest that lead somewhere, read as strictly as Distribution reads them and no
//! more strictly.
//!
//! Distribution is written in Go, whose JSON reader takes a key in any case, `null` for any field, an
//! empty media type and a negative size. What it takes, a registry stores and serves; so it is
//! taken here too, but for keys in another case: clients differ about these, and nobody can say
//! what such a manifest refers to.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::quote::quoted;

/// A manifest as it stands.
#[derive(Debug, Default)]
pub(super) struct Fields {
    pub(super) schema_version: Option<u64>,
    pub(super) media_type: Option<String>,
    pub(super) artifact_type: Loose,
    pub(super) config: Option<Reference>,
    pub(super) layers: Option<Vec<Reference>>,
    pub(super) manifests: Option<Vec<Reference>>,
    pub(super) blobs: Option<Vec<Reference>>,
    pub(super) subject: Loose,
    /// The layers of schema 1.
    pub(super) fs_layers: Option<Vec<Layer>>,
}

/// A descriptor as it stands.
#[derive(Debug, Default)]
pub(super) struct Reference {
    pub(super) media_type: Option<String>,
    pub(super) digest: Option<String>,
    pub(super) size: Option<i64>,
    pub(super) urls: Option<Vec<IgnoredAny>>,
}

/// A field that registries of old do not know, so that they have kept whatever stood in it.
#[derive(Debug, Default)]
pub(super) enum Loose {
    /// A text.
    Text(String),
    /// An object with a digest in it, as descriptors have.
    Digest(String),
    /// Anything else. It leads nowhere and may be of any depth.
    #[default]
    Other,
}

/// A layer of schema 1 as it stands.
#[derive(Debug, Default)]
pub(super) struct Layer {
    pub(super) blob_sum: Option<String>,
}

/// An object whose known keys are taken in their own spelling only.
trait Object: Default {
    const KEYS: &'static [&'static str];
    const WHAT: &'static str;

    /// Reads the value of one of [`KEYS`](Self::KEYS).
    fn take<'de, A: MapAccess<'de>>(
        &mut self,
        key: &'static str,
        map: &mut A,
    ) -> Result<(), A::Error>;
}

impl Object for Fields {
    const KEYS: &'static [&'static str] = &[
        "schemaVersion",
        "mediaType",
        "artifactType",
        "config",
        "layers",
        "manifests",
        "blobs",
        "subject",
        "fsLayers",
    ];
    const WHAT: &'static str = "a manifest";

    fn take<'de, A: MapAccess<'de>>(
        &mut self,
        key: &'static str,
        map: &mut A,
    ) -> Result<(), A::Error> {
        match key {
            "schemaVersion" => self.schema_version = map.next_value()?,
            "mediaType" => self.media_type = map.next_value()?,
            "artifactType" => self.artifact_type = map.next_value()?,
            "config" => self.config = map.next_value()?,
            "layers" => self.layers = map.next_value()?,
            "manifests" => self.manifests = map.next_value()?,
            "blobs" => self.blobs = map.next_value()?,
            "subject" => self.subject = map.next_value()?,
            _ => self.fs_layers = map.next_value()?,
        }
        Ok(())
    }
}

impl Object for Reference {
    const KEYS: &'static [&'static str] = &["mediaType", "digest", "size", "urls"];
    const WHAT: &'static str = "a descriptor";

    fn take<'de, A: MapAccess<'de>>(
        &mut self,
        key: &'static str,
        map: &mut A,
    ) -> Result<(), A::Error> {
        match key {
            "mediaType" => self.media_type = map.next_value()?,
            "digest" => self.digest = map.next_value()?,
            "size" => self.size = map.next_value()?,
            _ => self.urls = map.next_value()?,
        }
        Ok(())
    }
}

impl Object for Layer {
    const KEYS: &'static [&'static str] = &["blobSum"];
    const WHAT: &'static str = "a layer";

    fn take<'de, A: MapAccess<'de>>(
        &mut self,
        _: &'static str,
        map: &mut A,
    ) -> Result<(), A::Error> {
        self.blob_sum = map.next_value()?;
        Ok(())
    }
}

/// The key itself, or `None` for one that is not known.
fn known<O: Object, E: Error>(key: &str) -> Result<Option<&'static str>, E> {
    let exact = O::KEYS.iter().find(|known| **known == key);
    if exact.is_none()
        && let Some(meant) = O::KEYS.iter().find(|known| folds_to(key, known))
    {
        return Err(E::custom(format!(
            "`{}` differs from `{meant}` in case only, so clients differ about what it refers to",
            quoted(key)
        )));
    }
    Ok(exact.copied())
}

/// Whether Go's JSON reader takes one key for the other.
fn folds_to(key: &str, known: &str) -> bool {
    let mut letters = key.chars().map(|letter| match letter {
        // These two fold to an ASCII letter: the long s and the sign for kelvin.
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        other => other.to_ascii_lowercase(),
    });
    known.chars().all(|letter| letters.next() == Some(letter.to_ascii_lowercase()))
        && letters.next().is_none()
}

struct ObjectVisitor<O>(PhantomData<O>);

impl<'de, O: Object> Visitor<'de> for ObjectVisitor<O> {
    type Value = O;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(O::WHAT)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<O, A::Error> {
        let mut object = O::default();
        let mut seen = Vec::new();
        while let Some(key) = map.next_key::<String>()? {
            let Some(key) = known::<O, A::Error>(&key)? else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            if seen.contains(&key) {
                return Err(A::Error::custom(format!("`{key}` stands in {} twice", O::WHAT)));
            }
            seen.push(key);
            object.take(key, &mut map)?;
        }
        Ok(object)
    }
}

struct LooseVisitor;

impl<'de> Visitor<'de> for LooseVisitor {
    type Value = Loose;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_str<E>(self, text: &str) -> Result<Loose, E> {
        Ok(Loose::Text(text.to_owned()))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Loose, E> {
        Ok(Loose::Other)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Loose, E> {
        Ok(Loose::Other)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Loose, E> {
        Ok(Loose::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Loose, E> {
        Ok(Loose::Other)
    }

    fn visit_unit<E>(self) -> Result<Loose, E> {
        Ok(Loose::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Loose, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Loose::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Loose, A::Error> {
        let mut found = Loose::Other;
        while let Some(key) = map.next_key::<String>()? {
            if key != "digest" {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            found = match map.next_value()? {
                Loose::Text(digest) => Loose::Digest(digest),
                _ => Loose::Other,
            };
        }
        Ok(found)
    }
}

impl<'de> Deserialize<'de> for Loose {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(LooseVisitor)
    }
}

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor(PhantomData))
    }
}

impl<'de> Deserialize<'de> for Reference {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor(PhantomData))
    }
}

impl<'de> Deserialize<'de> for Layer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor(PhantomData))
    }
}
