//! A registry's own configuration, read for where its storage is.
//!
//! The format is Distribution's `config.yml`; variables `REGISTRY_STORAGE…` of the registry's
//! environment go before what stands in it.

mod drivers;
mod yaml;

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::location::StorageLocation;
use crate::problem::SourceError;
use yaml::{Map, Node};

/// No configuration is larger (bytes).
const MAX_CONFIG: u64 = 1 << 20;

/// The variable that stands for the whole section.
const SECTION: &str = "REGISTRY_STORAGE";

/// What stands beside the driver in the section.
const NO_DRIVERS: [&str; 6] = ["cache", "delete", "link", "maintenance", "redirect", "tag"];

impl StorageLocation {
    /// Reads where a registry has its storage from its configuration, and from those of its
    /// environment variables that say it otherwise.
    ///
    /// # Errors
    /// [`SourceError`] when the file cannot be read, is no YAML, or names a storage that cannot be
    /// read here. Values that may be secrets stand in none.
    pub fn of_registry(
        config: &Path,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, SourceError> {
        let read = |config: &Path| {
            let mut text = String::new();
            File::open(config)?.take(MAX_CONFIG + 1).read_to_string(&mut text)?;
            Ok(text)
        };
        let path = config.display().to_string();
        let text = match read(config) {
            Ok(text) => text,
            Err(error) => return Err(SourceError::of_io(path, error)),
        };
        let located = match text.len() as u64 {
            0..=MAX_CONFIG => locate(&text, environment),
            _ => Err(Refused::Says(format!("it has more than {MAX_CONFIG} bytes"))),
        };
        located.map_err(|refused| match refused {
            Refused::Says(what) => SourceError::Refused { path, what },
            Refused::Address(error) => error,
        })
    }
}

/// Why a configuration leads to no storage.
#[derive(Debug)]
enum Refused {
    /// What is wrong with it.
    Says(String),
    /// The bucket that it names cannot be one.
    Address(SourceError),
}

impl From<String> for Refused {
    fn from(what: String) -> Self {
        Self::Says(what)
    }
}

impl From<SourceError> for Refused {
    fn from(error: SourceError) -> Self {
        Self::Address(error)
    }
}

fn locate(
    text: &str,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<StorageLocation, Refused> {
    let mut section = match Node::parse(text)? {
        Node::Map(mut config) => config.remove("storage").unwrap_or(Node::Nothing),
        _ => return Err("it is no registry's configuration".to_owned().into()),
    };
    let mut overrides: Vec<_> = environment
        .into_iter()
        .filter_map(|(name, value)| Some((name.strip_prefix(SECTION)?.to_owned(), value)))
        .collect();
    // The whole goes before its parts.
    overrides.sort();
    for (name, value) in overrides {
        // The registry reads YAML in variables too; what is none is a text.
        let value = Node::parse(&value).unwrap_or(Node::Text(value));
        let name = name.to_ascii_lowercase();
        match name.strip_prefix('_') {
            Some(name) => section = with(section, &name.split('_').collect::<Vec<_>>(), value),
            None if name.is_empty() => section = value,
            // It only begins with the same letters.
            None => {}
        }
    }
    let section = into_map(section);
    let mut drivers: Vec<_> = section.iter().collect();
    drivers.retain(|(name, _)| !NO_DRIVERS.contains(&name.as_str()));
    match drivers[..] {
        [(name, Node::Map(parameters))] => drivers::locate(name, parameters),
        [(name, _)] => drivers::locate(name, &Map::new()),
        [] => Err("its section `storage` names no driver".to_owned().into()),
        _ => {
            let names: Vec<_> = drivers.iter().map(|(name, _)| name.as_str()).collect();
            let names = names.join(", ");
            Err(format!(
                "its section `storage` and the variables {SECTION}_… name several drivers: {names}"
            )
            .into())
        }
    }
}

/// A node with a value at a place in it.
fn with(node: Node, place: &[&str], value: Node) -> Node {
    let [name, rest @ ..] = place else {
        return value;
    };
    let mut map = into_map(node);
    let inner = map.remove(*name).unwrap_or(Node::Nothing);
    map.insert((*name).to_owned(), with(inner, rest, value));
    Node::Map(map)
}

/// The mapping that a node is. A name alone is a mapping of that name to nothing, as in
/// `storage: inmemory`.
fn into_map(node: Node) -> Map {
    match node {
        Node::Map(map) => map,
        Node::Text(name) => Map::from([(name, Node::Nothing)]),
        Node::Nothing | Node::List => Map::new(),
    }
}

#[cfg(test)]
mod tests;
