//! Platforms, and when two are one.

use std::fmt;
use std::str::FromStr;

/// A platform, `OS/ARCHITECTURE` or `OS/ARCHITECTURE/VARIANT`, with the names that containerd gives
/// them: `x86_64` is `amd64`, `arm64` is `arm64/v8`, `arm` is `arm/v7`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Platform {
    os: String,
    architecture: String,
    variant: String,
}

/// A text that is no platform.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a platform is of the form OS/ARCHITECTURE or OS/ARCHITECTURE/VARIANT, as linux/amd64")]
pub struct PlatformError;

impl Platform {
    /// A platform from its parts, of which the variant may be empty.
    pub(crate) fn new(os: &str, architecture: &str, variant: &str) -> Self {
        let architecture = architecture.to_ascii_lowercase();
        let variant = variant.to_ascii_lowercase();
        let (architecture, variant) = match (architecture.as_str(), variant.as_str()) {
            ("i386", _) => ("386", ""),
            ("x86_64" | "x86-64" | "amd64", "v1") => ("amd64", ""),
            ("x86_64" | "x86-64", variant) => ("amd64", variant),
            ("aarch64" | "arm64", "" | "8" | "v8") => ("arm64", "v8"),
            ("aarch64", variant) => ("arm64", variant),
            ("armhf", _) => ("arm", "v7"),
            ("armel", _) => ("arm", "v6"),
            ("arm", "" | "7") => ("arm", "v7"),
            ("arm", "5") => ("arm", "v5"),
            ("arm", "6") => ("arm", "v6"),
            ("arm", "8") => ("arm", "v8"),
            other => other,
        };
        let os = match os.to_ascii_lowercase().as_str() {
            "macos" => "darwin".to_owned(),
            os => os.to_owned(),
        };
        Self { os, architecture: architecture.to_owned(), variant: variant.to_owned() }
    }
}

impl FromStr for Platform {
    type Err = PlatformError;

    fn from_str(text: &str) -> Result<Self, PlatformError> {
        let parts: Vec<&str> = text.split('/').collect();
        let is_word = |part: &&str| {
            let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
            !part.is_empty() && part.bytes().all(legal)
        };
        match parts.as_slice() {
            parts if !parts.iter().all(is_word) => Err(PlatformError),
            [os, architecture] => Ok(Self::new(os, architecture, "")),
            [os, architecture, variant] => Ok(Self::new(os, architecture, variant)),
            _ => Err(PlatformError),
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { os, architecture, variant } = self;
        match (architecture.as_str(), variant.as_str()) {
            (_, "") | ("arm64", "v8") => write!(f, "{os}/{architecture}"),
            _ => write!(f, "{os}/{architecture}/{variant}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_platform_has_many_names() {
        for (one, other, shown) in [
            ("linux/arm64", "linux/aarch64/v8", "linux/arm64"),
            ("linux/arm", "linux/armhf", "linux/arm/v7"),
            ("linux/x86_64", "Linux/AMD64/v1", "linux/amd64"),
            ("linux/arm/6", "linux/armel", "linux/arm/v6"),
        ] {
            let [one, other]: [Platform; 2] = [one, other].map(|text| text.parse().unwrap());
            assert_eq!(one, other);
            assert_eq!(one.to_string(), shown);
        }
        let [v6, v7]: [Platform; 2] = ["linux/arm/v6", "linux/arm"].map(|t| t.parse().unwrap());
        assert_ne!(v6, v7);
        for bad in ["", "linux", "linux/", "linux/a/b/c", "linux/a b"] {
            assert_eq!(bad.parse::<Platform>(), Err(PlatformError), "{bad}");
        }
    }
}
