//! Keys that no registry writes, and that make `object_store` refuse the page of a listing that
//! they stand on: those with empty parts, `.`, `..` or control codes.

use std::sync::{Arc, Mutex, PoisonError};

use object_store::path::Path;

/// The elements of a page that stand for a key or a folder, and that in them which has its name: of
/// S3 and Google, and of Azure.
const ENTRIES: [(&str, &str); 4] =
    [("Contents", "Key"), ("CommonPrefixes", "Prefix"), ("Blob", "Name"), ("BlobPrefix", "Name")];

/// Takes odd keys out of listings and remembers that there were some.
#[derive(Debug, Clone, Default)]
pub(super) struct OddKeys(Arc<Mutex<Option<String>>>);

impl OddKeys {
    /// A page of a listing without them.
    pub(super) fn taken_out(&self, page: Vec<u8>) -> Vec<u8> {
        let mut page = match String::from_utf8(page) {
            Ok(page) => page,
            // No XML that could be read; it is refused where it is read.
            Err(error) => return error.into_bytes(),
        };
        for (entry, name) in ENTRIES {
            page = self.without(page, entry, name);
        }
        page.into_bytes()
    }

    fn without(&self, page: String, entry: &str, name: &str) -> String {
        let (open, close) = (format!("<{entry}>"), format!("</{entry}>"));
        let mut kept = String::new();
        let mut rest = page.as_str();
        while let Some(begin) = rest.find(&open) {
            let Some(length) = rest[begin..].find(&close) else {
                break;
            };
            let end = begin + length + close.len();
            let odd = element(&rest[begin..end], name).filter(|key| is_odd(key));
            kept.push_str(&rest[..if odd.is_some() { begin } else { end }]);
            if let Some(key) = odd {
                let mut example = self.0.lock().unwrap_or_else(PoisonError::into_inner);
                example.get_or_insert_with(|| key.to_owned());
            }
            rest = &rest[end..];
        }
        if kept.is_empty() {
            return page;
        }
        kept + rest
    }

    /// What there is to say of them.
    pub(super) fn sentence(&self) -> Option<String> {
        let example = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        example.as_ref().map(|key| {
            format!(
                "objects whose keys no registry writes are passed over, as `{}`",
                key.escape_debug()
            )
        })
    }
}

/// The text of an element, which may have attributes.
fn element<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!("<{name}"))?;
    let (_, rest) = rest.split_once('>')?;
    Some(rest.split_once(&format!("</{name}>"))?.0)
}

fn is_odd(key: &str) -> bool {
    Path::parse(key).is_err() || key.starts_with('/') || has_control_code(key)
}

/// Whether there is a control code that is written as a reference, `&#13;` or `&#xD;`.
fn has_control_code(key: &str) -> bool {
    key.split("&#").skip(1).any(|reference| {
        let code = reference.split(';').next().unwrap_or_default();
        let code = match code.strip_prefix(['x', 'X']) {
            Some(hex) => u32::from_str_radix(hex, 16),
            None => code.parse(),
        };
        code.is_ok_and(|code| code < 0x20 || code == 0x7f)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken_out(page: &str) -> (String, Option<String>) {
        let odd = OddKeys::default();
        let page = odd.taken_out(page.as_bytes().to_owned());
        (String::from_utf8(page).unwrap(), odd.sentence())
    }

    #[test]
    fn pages_without_odd_keys_stay_as_they_are() {
        let page = "<?xml?><ListBucketResult><Prefix>a//b</Prefix><Contents><Key>a/b</Key><Size>1\
                    </Size></Contents><Contents><Key>c&#38;d&amp;</Key></Contents><CommonPrefixes>\
                    <Prefix>a/</Prefix></CommonPrefixes></ListBucketResult>";
        assert_eq!(taken_out(page), (page.to_owned(), None));
        assert_eq!(taken_out("<Contents><Key>a//b</Key>").1, None);
    }

    #[test]
    fn odd_keys_are_taken_out_and_told() {
        for key in ["a//b", "/a", "a/../b", "./a", "a/&#13;", "a/&#x1;b", "a/\tb"] {
            let kept = "<Contents><Key>a</Key></Contents>";
            let odd = format!("<Contents><Size>1</Size><Key>{key}</Key></Contents>");
            let (page, sentence) = taken_out(&format!("<L>{odd}{kept}{odd}</L>"));
            assert_eq!(page, format!("<L>{kept}</L>"), "{key}");
            assert!(sentence.unwrap().contains("are passed over, as `"));
        }
        let (page, _) = taken_out("<L><CommonPrefixes><Prefix>a//</Prefix></CommonPrefixes></L>");
        assert_eq!(page, "<L></L>");
        let azure = "<Blobs><Blob><Name>a//b</Name></Blob><BlobPrefix><Name>a/</Name></BlobPrefix>\
                     <Blob><Name Encoded=\"true\">../b</Name></Blob></Blobs>";
        let (page, _) = taken_out(azure);
        assert_eq!(page, "<Blobs><BlobPrefix><Name>a/</Name></BlobPrefix></Blobs>");
    }
}
