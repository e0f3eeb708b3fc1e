//! The order of a repository's images: a signature, or another artifact that refers to an image,
//! comes after what it refers to, tagged or not, so that the target can link the two.

use std::collections::{HashMap, HashSet, VecDeque};

use tranship_common::bundle::ManifestEntry;
use tranship_common::{Digest, Tag};

/// The same images, in the same order but for those that stand before their subject. `tag` and
/// `manifests` tell of an image what its place follows from.
pub(super) fn subjects_first<'a, M: Iterator<Item = &'a ManifestEntry>>(
    queue: VecDeque<u32>,
    tag: impl Fn(u32) -> Option<&'a Tag>,
    manifests: impl Fn(u32) -> M,
) -> VecDeque<u32> {
    let mut holders: HashMap<Digest, u32> = HashMap::new();
    for image in &queue {
        for part in manifests(*image) {
            holders.entry(part.digest).or_insert(*image);
        }
    }
    let subjects = |image: u32| {
        let parts = manifests(image).filter_map(|part| part.subject);
        parts.chain(tag(image).and_then(signed_by)).collect::<Vec<_>>()
    };
    let mut ordered = VecDeque::with_capacity(queue.len());
    let mut begun = HashSet::new();
    for image in queue {
        // Each is entered when all before it are; one that is begun already is on its way.
        let mut path = vec![(image, false)];
        while let Some((image, is_ready)) = path.pop() {
            if is_ready {
                ordered.push_back(image);
            } else if begun.insert(image) {
                path.push((image, true));
                let before = subjects(image).into_iter().filter_map(|of| holders.get(&of));
                path.extend(before.map(|before| (*before, false)));
            }
        }
    }
    ordered
}

/// What cosign's tags, as `sha256-HEX.sig`, and the tags of the referrers tag schema (OCI
/// distribution specification, "Referrers Tag Schema"), as `sha256-HEX`, say that they are about.
fn signed_by(tag: &Tag) -> Option<Digest> {
    let (hex, ending) = tag.as_str().strip_prefix("sha256-")?.split_at_checked(64)?;
    let is_whole = ending.is_empty() || ending.starts_with('.');
    format!("sha256:{hex}").parse().ok().filter(|_| is_whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Image(Option<Tag>, Vec<ManifestEntry>);

    /// Untagged where the text is no tag.
    fn image(tag: &str, content: &str, subject: Option<&str>) -> Image {
        let entry = serde_json::json!({
            "digest": Digest::of(content.as_bytes()).to_string(),
            "size": 1,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
        });
        let mut entry: ManifestEntry = serde_json::from_value(entry).unwrap();
        entry.subject = subject.map(|of| Digest::of(of.as_bytes()));
        Image(tag.parse().ok(), vec![entry])
    }

    fn ordered(images: &[Image]) -> Vec<u32> {
        let all = (0..images.len() as u32).collect();
        let image = |at: u32| &images[at as usize];
        subjects_first(all, |at| image(at).0.as_ref(), |at| image(at).1.iter()).into()
    }

    #[test]
    fn what_refers_comes_after_what_it_refers_to() {
        let signature = format!("sha256-{}.sig", Digest::of(b"image").hex());
        let images = [
            image("first", "first", None),
            image(&signature, "signature", None),
            image("sbom-of-sbom", "outer", Some("inner")),
            image("sbom", "inner", Some("image")),
            image("image", "image", None),
            image("stray", "stray", Some("elsewhere")),
            image("of-untagged", "about it", Some("untagged")),
            image("", "untagged", Some("image")),
        ];
        assert_eq!(ordered(&images), [0, 4, 1, 3, 2, 5, 7, 6]);
    }

    #[test]
    fn a_circle_keeps_all_of_its_images() {
        let images = [image("a", "a", Some("b")), image("b", "b", Some("a"))];
        let mut order = ordered(&images);
        order.sort_unstable();
        assert_eq!(order, [0, 1]);
        assert_eq!(ordered(&[image("self", "self", Some("self"))]), [0]);
    }

    #[test]
    fn tags_that_only_look_like_it() {
        let hex = Digest::of(b"x").hex();
        for (tag, is_one) in [
            (format!("sha256-{hex}"), true),
            (format!("sha256-{hex}.att"), true),
            (format!("sha256-{hex}x"), false),
            (format!("sha256-{}.sig", &hex[1..]), false),
            ("latest".to_owned(), false),
        ] {
            assert_eq!(signed_by(&tag.parse().unwrap()).is_some(), is_one, "{tag}");
        }
    }
}
