//! Makes the vectors from the text of the specification, without the code that they judge: only
//! digests come from the library.

mod bad;
mod draft;
mod good;
mod referrers;

use serde_json::{Map, Value, json};
use tranship_common::Digest;

/// All vectors and `expected.json`: path below the folder, and bytes.
pub(crate) fn files() -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    let mut good = Map::new();
    for (name, draft) in [
        ("cache", good::cache()),
        ("empty", good::empty()),
        ("image", good::image()),
        ("index", good::index()),
        ("left-out", good::left_out()),
        ("nested", good::nested(32)),
        ("odd", good::odd()),
        ("referrers", referrers::referrers()),
        ("schema1", good::schema1()),
    ] {
        let bytes = draft.bytes();
        let expected = json!({
            "sha256": Digest::of(&bytes).hex(),
            "size": bytes.len(),
            "images": draft.images(),
            "referrers": draft.referrers(),
        });
        good.insert(name.to_owned(), expected);
        files.push((format!("good/{name}.tar"), bytes));
    }
    let mut bad = Map::new();
    for (name, why, message, bytes) in bad::bundles() {
        let expected = json!({"why": why, "message": message});
        assert!(bad.insert(name.to_owned(), expected).is_none(), "two are called {name}");
        files.push((format!("bad/{name}.tar"), bytes));
    }
    let expected: Value = json!({"good": good, "bad": bad});
    let text = serde_json::to_string_pretty(&expected).expect("values serialise") + "\n";
    files.push(("expected.json".into(), text.into_bytes()));
    files
}
