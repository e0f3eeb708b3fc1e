use super::*;

#[test]
fn every_format_and_every_root_tell_what_the_folder_tells() {
    let storage = Storage::new();
    let want = told(&storage.folder());
    assert_eq!(want.matches("Tag(").count().max(3), 3, "{want}");
    assert_eq!(want.matches("true Ok(Manifest").count(), 3, "{want}");
    assert!(want.contains("2017-07-14T02:40:02Z"), "{want}");
    for format in ["gnu", "oldgnu", "ustar", "posix"] {
        let format = format!("--format={format}");
        for root in [
            &["docker"][..],
            &["./docker"],
            &["."],
            &["-C", "docker", "registry"],
            &["-C", "docker/registry", "v2"],
            &["-C", TREE, "."],
            &["-C", TREE, "repositories", "blobs"],
            &["--transform=s,^docker,/var/lib/registry/docker,S", "-P", "docker"],
            &["--transform=s,^docker,../registry/docker,S", "-P", "docker"],
        ] {
            let archive = storage.archive(&[&[&*format], root].concat());
            assert_eq!(told(&*open(&archive).unwrap()), want, "{format} {root:?}");
        }
    }
}

#[test]
fn compressed_ones_too_whatever_made_them() {
    let storage = Storage::new();
    let want = told(&storage.folder());
    let archive = storage.archive(&["docker"]);
    let (half, other) = archive.split_at(archive.len() / 3);
    let gzip = |bytes: &[u8]| run("gzip", &["-nc"], bytes);
    let zstd = |bytes: &[u8]| run("zstd", &["-qc"], bytes);
    let skippable = b"\x50\x2a\x4d\x18\x03\0\0\0abc";
    for (what, bytes) in [
        ("gzip", gzip(&archive)),
        ("gzip of two members", [gzip(half), gzip(other)].concat()),
        ("gzip with an empty member", [gzip(&archive), gzip(b"")].concat()),
        ("gzip with zeros behind", [&gzip(&archive)[..], &[0; 70_000]].concat()),
        ("zstd", zstd(&archive)),
        ("zstd of two frames", [zstd(half), zstd(other)].concat()),
        ("zstd with frames to pass over", [&skippable[..], &zstd(&archive), skippable].concat()),
        ("zstd with a checksum", run("zstd", &["-qc", "--check"], &archive)),
    ] {
        let source = open(&bytes).unwrap();
        assert!(source.as_passing().is_some(), "{what}");
        assert_eq!(told(&*source), want, "{what}");
    }
}

#[test]
fn a_host_archived_as_a_whole() {
    let storage = Storage::new();
    let root = tempfile::tempdir().unwrap();
    let lib = root.path().join("var/lib/registry");
    fs::create_dir_all(&lib).unwrap();
    fs::rename(storage.path().join("docker"), lib.join("docker")).unwrap();
    fs::create_dir_all(root.path().join("srv/git/repositories/a/_manifests")).unwrap();
    std::os::unix::fs::symlink("/nowhere", root.path().join("srv/git/blobs")).unwrap();
    for number in 0..20 {
        let link = root.path().join(format!("srv/git{number}/repositories"));
        fs::create_dir(link.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink("../git/repositories", link).unwrap();
    }
    let want = told(&Folder::locate(&lib, false).unwrap());
    let arguments = ["-C", root.path().to_str().unwrap(), "-cf", "-", "."];
    let source = open(&run("tar", &arguments, b"")).unwrap();
    assert_eq!(told(&*source), want);
    let digest = storage.manifests[0];
    let tree = "var/lib/registry/docker/registry/v2";
    assert_eq!(source.location(digest), format!("a.tar: {tree}/{}", blob_path(digest)));
}

#[test]
fn what_is_broken_in_the_folder_is_broken_in_the_archive() {
    let storage = Storage::new();
    let hex = storage.manifests[0].hex();
    storage.write("repositories/empty/_manifests/tags/1/current/link", b"");
    storage.write("repositories/team/app/_manifests/tags/unfinished/index/x/link", b"");
    storage.write("repositories/Upper/_manifests/tags/1/current/link", b"sha256:");
    storage.write(
        "repositories/other/_manifests/tags/deleted/current/link",
        format!("sha256:{}", hex.replace('a', "b")).as_bytes(),
    );
    storage.write("repositories/team/app/_manifests/tags/a file", b"");
    storage.write("repositories/team/_uploads/a/_manifests/tags/1/current/link", b"");
    let deep = format!("repositories/{}/_manifests/tags/1/current/link", "abc/".repeat(70));
    storage.write(&deep.replace("//", "/"), b"");
    fs::create_dir_all(storage.tree().join("repositories/other/_manifests/tags/folder")).unwrap();
    let (archived, folder) = (open(&storage.archive(&["docker"])).unwrap(), storage.folder());
    let told = |source: &dyn Source| {
        let mut broken = broken(source);
        // The folder stops at the first level that is too deep, where nothing says what is below.
        broken.iter_mut().filter(|text| text.starts_with("abc")).for_each(|text| {
            *text = text.replace("/abc", "");
        });
        broken
    };
    assert_eq!(told(&*archived), told(&folder));
    assert_eq!(archived.inventory(&Silent).unwrap().passed_over, [""; 0]);
    assert_eq!(archived.inventory(&Silent).unwrap().broken.len(), 6, "{:?}", broken(&*archived));
}

#[test]
fn folders_of_others_and_the_mark_of_a_database() {
    let storage = Storage::new();
    storage.write("repositories/team/@eaDir/a/_manifests/tags/1/current/link", b"");
    storage.write("repositories/other/_manifests/tags/.snapshot/1/current/link", b"");
    let source = open(&storage.archive(&["docker"])).unwrap();
    let inventory = source.inventory(&Silent).unwrap();
    let tree = "a.tar: docker/registry/v2/repositories";
    let want = ["other/_manifests/tags/.snapshot", "team/@eaDir"];
    assert_eq!(
        inventory.passed_over,
        want.map(|folder| format!("no registry has made {tree}/{folder}: passed over"))
    );
    assert!(inventory.broken.is_empty() && !inventory.database_mark);
    storage.write("../lockfiles/database-in-use", b"");
    for root in [&["docker"][..], &["-C", "docker", "registry"], &["-C", "docker/registry", "."]] {
        let source = open(&storage.archive(root)).unwrap();
        assert!(source.inventory(&Silent).unwrap().database_mark, "{root:?}");
    }
}

#[test]
fn one_tag_and_its_place() {
    let storage = Storage::new();
    storage.write("repositories/other/_manifests/tags/bad/current/link", b"x");
    let source = open(&storage.archive(&["docker"])).unwrap();
    let (repository, tag) = ("team/app".parse().unwrap(), "latest".parse().unwrap());
    let found = source.tag(&repository, &tag).unwrap().unwrap();
    assert_eq!((found.digest, found.pushed.unix()), (storage.manifests[1], PUSHED as i64 + 1));
    let place =
        "a.tar: docker/registry/v2/repositories/team/app/_manifests/tags/latest/current/link";
    assert_eq!(source.tag_location(&repository, &tag), place);
    assert!(source.tag(&repository, &"none".parse().unwrap()).unwrap().is_none());
    assert!(source.tag(&"none".parse().unwrap(), &tag).unwrap().is_none());
    assert!(source.tag(&"other".parse().unwrap(), &"bad".parse().unwrap()).is_err());
    assert!(!source.may_change());
}

#[test]
fn an_archive_contains_itself_under_any_name() {
    let storage = Storage::new();
    let [path, link] = ["a.tar", "b.tar"].map(|name| storage.path().join(name));
    fs::write(&path, storage.archive(&["docker"])).unwrap();
    fs::hard_link(&path, &link).unwrap();
    let file = File::open(&path).unwrap();
    let source = open_archive(file, "a.tar", Order::AsTheyPass, storage.path(), &Silent).unwrap();
    assert!(source.contains(&path) && source.contains(&link));
    assert!(!source.contains(&storage.path().join("c.tar")) && !source.contains(storage.path()));
}
