use super::*;
use tranship_common::Manifest;
use tranship_common::bundle::{
    Catalog, FORMAT_VERSION, LeftOut, ManifestEntry, RepositoryEntry, TagEntry,
};

fn rule(text: &str) -> Rule {
    text.parse().unwrap()
}

fn contents(images: &[(&str, &str, u8)]) -> Arc<Contents> {
    let manifest = |number: u8| {
        let json = format!(r#"{{"schemaVersion":2,"layers":[],"number":{number}}}"#);
        Manifest::parse(json.as_bytes()).unwrap()
    };
    let mut repositories: BTreeMap<&str, Vec<TagEntry>> = BTreeMap::new();
    let mut manifests = BTreeMap::new();
    for (second, (repository, tag, number)) in images.iter().enumerate() {
        let manifest = manifest(*number);
        repositories.entry(repository).or_default().push(TagEntry {
            name: tag.parse().unwrap(),
            digest: manifest.digest(),
            pushed: format!("2024-01-01T00:00:{second:02}Z").parse().unwrap(),
            selected_from: None,
        });
        manifests.insert(manifest.digest(), ManifestEntry::describe(&manifest, |_| false));
    }
    let repositories = repositories
        .into_iter()
        .map(|(name, tags)| (name.parse().unwrap(), tags))
        .map(|(name, tags)| RepositoryEntry { name, tags, referrers: Vec::new() });
    let contents = Contents::new(Catalog {
        format_version: FORMAT_VERSION,
        required_features: Vec::new(),
        repositories: repositories.collect(),
        manifests: manifests.into_values().collect(),
        blobs: Vec::new(),
        left_out: LeftOut::default(),
    });
    Arc::new(contents.unwrap())
}

fn names(mapping: &Mapping, images: &[(&str, &str, u8)]) -> Vec<String> {
    let mapped = mapping.apply(&contents(images)).unwrap();
    let repository = |at: usize| &mapped.repositories[at].name;
    let name = |image: &MappedImage| image.name(repository(image.repository), &mapped.contents);
    mapped.images.iter().map(name).collect()
}

fn harbor() -> Mapping {
    Mapping { default_project: Some("library".into()), for_harbor: true, ..Mapping::default() }
}

#[test]
fn harbor_wants_a_project() {
    let images = [("solo", "1", 1), ("team/app", "1", 1)];
    assert_eq!(names(&harbor(), &images), ["library/solo:1", "team/app:1"]);
    let prefixed = Mapping { prefix: Some("old".into()), ..harbor() };
    assert_eq!(names(&prefixed, &images), ["old/solo:1", "old/team/app:1"]);
    let mapped = Mapping {
        rules: vec![rule("solo=x/y"), rule("*=rest/*"), rule("team/*=never/*")].into(),
        ..harbor()
    };
    assert_eq!(names(&mapped, &images), ["rest/team/app:1", "x/y:1"]);
    assert_eq!(names(&Mapping::default(), &images), ["solo:1", "team/app:1"]);
}

#[test]
fn everything_that_harbor_refuses_is_named_at_once() {
    let images = [("a__b/c", "1", 1), ("d--e/f", "1", 1), ("good/one", "1", 1)];
    let errors = harbor().apply(&contents(&images)).unwrap_err();
    let words: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(words.len(), 2);
    assert!(words[0].ends_with("--map 'a__b/*=a_b/*'"), "{}", words[0]);
    assert!(words[1].ends_with("--map 'd--e/*=d-e/*'"), "{}", words[1]);
    let rules = vec![rule("a__b/*=a_b/*"), rule("d--e/*=d-e/*")].into();
    let healed = Mapping { rules, ..harbor() };
    assert_eq!(names(&healed, &images), ["a_b/c:1", "d-e/f:1", "good/one:1"]);
    let no_project = Mapping { rules: vec![rule("good/*=*")].into(), ..harbor() };
    let errors = no_project.apply(&contents(&[("good/one", "1", 1)])).unwrap_err();
    assert!(matches!(errors[..], [MappingError::NoProject { .. }]));
    let long = format!("a/{}", "b".repeat(244));
    let errors = harbor().apply(&contents(&[(&long, "1", 1)])).unwrap_err();
    assert!(matches!(errors[..], [MappingError::TooLong { length: 246, .. }]));
}

#[test]
fn names_that_harbor_takes_for_endpoints() {
    for (name, better) in [
        ("p/blobs", "p/blobs=p/blobs-images"),
        ("p/a/manifests/b", "p/a/manifests/b=p/a/manifests-images/b"),
        ("p/tags/x", "p/tags/x=p/tags-images/x"),
        ("p/referrers", "p/referrers=p/referrers-images"),
    ] {
        let images = [(name, "1", 1)];
        let errors = harbor().apply(&contents(&images)).unwrap_err();
        assert!(errors[0].to_string().ends_with(&format!("--map '{better}'")), "{}", errors[0]);
        let healed = Mapping { rules: vec![rule(better)].into(), ..harbor() };
        assert_eq!(names(&healed, &images).len(), 1);
        assert_eq!(names(&Mapping::default(), &images), [format!("{name}:1")]);
    }
    assert_eq!(names(&harbor(), &[("blobs/tags-of/x", "1", 1)]), ["blobs/tags-of/x:1"]);
}

#[test]
fn referrers_go_where_their_repository_goes_and_come_last() {
    let mut catalog =
        contents(&[("a/x", "1", 1), ("b/x", "2", 2), ("b/x", "3", 3)]).catalog().clone();
    let about = |subject: Digest, number: u8| {
        let json = format!(
            r#"{{"schemaVersion":2,"layers":[],"n":{number},"subject":{{"digest":"{subject}"}}}}"#
        );
        ManifestEntry::describe(&Manifest::parse(json.as_bytes()).unwrap(), |_| false)
    };
    let subject = catalog.repositories[0].tags[0].digest;
    let (one, other) = (about(subject, 1), about(subject, 2));
    let mut referrers = vec![one.digest, other.digest];
    referrers.sort_unstable();
    // One of them is in both, and tagged in one.
    catalog.repositories[0].referrers = referrers.clone();
    catalog.repositories[1].referrers = vec![one.digest];
    catalog.repositories[1].tags[1].digest = other.digest;
    catalog.manifests.extend([one, other]);
    let contents = Arc::new(Contents::new(catalog).unwrap());
    let names = |mapping: &Mapping| -> Vec<String> {
        let mapped = mapping.apply(&contents).unwrap();
        let of = |at: usize| &mapped.repositories[at].name;
        let images = mapped.images.iter();
        images.map(|image| image.name(of(image.repository), &contents)).collect()
    };
    let [first, second] = [referrers[0], referrers[1]];
    let tagged = contents.catalog().repositories[1].tags[1].digest;
    let untagged = if tagged == first { second } else { first };
    assert_eq!(
        names(&harbor()),
        [
            "a/x:1".to_owned(),
            format!("a/x@{first}"),
            format!("a/x@{second}"),
            "b/x:2".to_owned(),
            "b/x:3".to_owned(),
            format!("b/x@{untagged}"),
        ]
    );
    let meet = Mapping { rules: vec![rule("b/*=a/*")].into(), ..harbor() };
    let untagged = format!("a/x@{untagged}");
    assert_eq!(names(&meet), ["a/x:1", "a/x:2", "a/x:3", untagged.as_str()]);
    let ages: Vec<u32> = harbor().apply(&contents).unwrap().images.iter().map(|i| i.age).collect();
    assert_eq!(ages, [0, 3, 4, 1, 2, 5]);
}

#[test]
fn two_repositories_may_meet_but_not_two_images() {
    let meet = Mapping { rules: vec![rule("b/*=a/*")].into(), ..harbor() };
    // Oldest first, wherever a tag comes from; the same image twice is one.
    let images = [("a/x", "2", 1), ("b/x", "1", 2), ("a/x", "3", 3), ("b/x", "3", 3)];
    assert_eq!(names(&meet, &images), ["a/x:2", "a/x:1", "a/x:3"]);
    let errors = meet.apply(&contents(&[("a/x", "1", 1), ("b/x", "1", 2)])).unwrap_err();
    assert_eq!(
        errors[0].to_string(),
        "a/x and b/x would both become a/x:1, with different digests; keep them apart with --map"
    );
}
