use std::collections::BTreeMap;
use std::io;

use super::*;
use crate::source::Passing;

/// What a pass hands over, in its order.
fn passed(passing: &dyn Passing, is_wanted: &dyn Fn(Digest) -> bool) -> Vec<(Digest, Vec<u8>)> {
    let mut all = Vec::new();
    let take = &mut |digest, bytes: &mut dyn Read| {
        let mut data = Vec::new();
        bytes.read_to_end(&mut data)?;
        all.push((digest, data));
        Ok(())
    };
    passing.pass(is_wanted, take).unwrap();
    all
}

#[test]
fn a_pass_hands_over_what_is_wanted_each_once() {
    let mut storage = Storage::new();
    let mut archive = storage.archive(&["docker"]);
    storage.image("other", "2", 4);
    archive.extend(storage.archive(&["docker"]));
    let source = open(&run("gzip", &["-c"], &archive)).unwrap();
    let passing = source.as_passing().unwrap();
    let all = passed(passing, &|_| true);
    assert_eq!(all.len(), 12);
    assert!(all.iter().all(|(digest, data)| Digest::of(data) == *digest));
    let all: BTreeMap<_, _> = all.into_iter().collect();
    assert_eq!(all.len(), 12);
    let wanted = storage.manifests[1];
    assert_eq!(passed(passing, &|digest| digest == wanted), [(wanted, all[&wanted].clone())]);
    assert!(passed(passing, &|_| false).is_empty());
}

#[test]
fn what_is_not_read_of_a_blob_is_passed_over() {
    let storage = Storage::new();
    let source = open(&run("zstd", &["-qc"], &storage.archive(&["docker"]))).unwrap();
    let mut firsts = Vec::new();
    let take = &mut |digest, bytes: &mut dyn Read| {
        let mut first = [0];
        bytes.read_exact(&mut first)?;
        firsts.push((digest, first));
        Ok(())
    };
    source.as_passing().unwrap().pass(&|_| true, take).unwrap();
    assert_eq!(firsts.len(), 9);
    assert_eq!(firsts.iter().filter(|(_, first)| first == b"{").count(), 6);
}

#[test]
fn a_pass_ends_with_the_first_error_of_who_takes() {
    let storage = Storage::new();
    let source = open(&run("gzip", &["-c"], &storage.archive(&["docker"]))).unwrap();
    let mut count = 0;
    let take = &mut |_, _: &mut dyn Read| {
        count += 1;
        Err(io::Error::other("enough"))
    };
    let error = source.as_passing().unwrap().pass(&|_| true, take).unwrap_err();
    assert_eq!((error.to_string().as_str(), count), ("enough", 1));
}

#[test]
fn manifests_are_known_without_a_second_pass() {
    let storage = Storage::new();
    let bad = storage.blob(b"{\"schemaVersion\":2}");
    let large = storage.blob(&vec![b' '; (4 << 20) + 1]);
    let repository = "other".parse().unwrap();
    for digest in [bad, large] {
        storage.write(&in_repositories(&paths::revision_link(&repository, digest)), b"");
    }
    let linked = storage.tree().join(blob_path(storage.manifests[0]));
    fs::hard_link(linked, storage.path().join("a-link")).unwrap();
    let path = storage.path().join("a.tar.gz");
    fs::write(&path, run("gzip", &["-c"], &storage.archive(&["a-link", "docker"]))).unwrap();
    let source = open_archive(
        File::open(&path).unwrap(),
        "a.tar",
        Order::AsTheyPass,
        storage.path(),
        &Silent,
    )
    .unwrap();
    // What would have to be read again is gone.
    File::options().write(true).open(&path).unwrap().set_len(0).unwrap();
    for digest in &storage.manifests {
        assert_eq!(source.manifest(*digest).unwrap().digest(), *digest);
    }
    let text = |digest| source.manifest(digest).unwrap_err().to_string();
    assert!(text(bad).starts_with("nothing is known of media type"), "{}", text(bad));
    assert_eq!(
        text(large),
        "the manifest has 4194305 bytes, more than the 4194304 that registries accept"
    );
    let missing = Digest::of(b"missing");
    assert_eq!(text(missing), "the blob is missing");
    // And what does need a pass says what has become of the file.
    let layer = source.blobs().unwrap().into_iter().find(|blob| blob.size == 160_000).unwrap();
    let mut data = Vec::new();
    let read = source.open(layer.digest).map(|mut bytes| bytes.read_to_end(&mut data));
    assert!(matches!(read, Err(_) | Ok(Err(_))));
}

#[test]
fn a_pipe_is_kept_in_a_file_that_has_no_name() {
    let storage = Storage::new();
    let want = told(&storage.folder());
    let archive = storage.archive(&["docker"]);
    for bytes in [archive.clone(), run("gzip", &["-c"], &archive), run("zstd", &["-qc"], &archive)]
    {
        let folder = tempfile::tempdir().unwrap();
        let heard = Heard::default();
        let (reader, mut writer) = io::pipe().unwrap();
        let source = std::thread::scope(|scope| {
            scope.spawn(move || writer.write_all(&bytes));
            let file = File::from(std::os::fd::OwnedFd::from(reader));
            open_archive(file, "standard input", Order::AsTheyPass, folder.path(), &heard).unwrap()
        });
        assert!(source.as_passing().is_none());
        assert_eq!(told(&*source), want);
        let said = format!(
            "{} bytes of standard input are kept in {} for as long as this runs",
            archive.len(),
            folder.path().display()
        );
        assert_eq!(heard.0.into_inner().unwrap(), [said]);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}

#[test]
fn a_pipe_that_breaks_off_or_brings_something_else() {
    let storage = Storage::new();
    let archive = storage.archive(&["docker"]);
    let gzip = run("gzip", &["-c"], &archive);
    for (bytes, want) in [
        (&archive[..5000], "standard input: the archive is cut off at byte 5000: "),
        (&gzip[..5000], "standard input: its gzip data are cut off at byte 5000, "),
        (b"", "standard input: it is empty"),
        (b"BZh9", "standard input: it is a bzip2 file, which is not read here; "),
    ] {
        let (reader, mut writer) = io::pipe().unwrap();
        writer.write_all(bytes).unwrap();
        drop(writer);
        let file = File::from(std::os::fd::OwnedFd::from(reader));
        let error =
            open_archive(file, "standard input", Order::AsTheyPass, storage.path(), &Silent)
                .unwrap_err();
        assert!(error.to_string().starts_with(want), "{error}");
    }
}

#[test]
fn a_file_that_is_redirected_is_read_in_place_unless_read_from() {
    let storage = Storage::new();
    let path = storage.path().join("a.tar");
    let archive = storage.archive(&["docker"]);
    fs::write(&path, [b"line\n", &archive[..]].concat()).unwrap();
    let mut file = File::open(&path).unwrap();
    file.read_exact(&mut [0; 5]).unwrap();
    let heard = Heard::default();
    let source = open_archive(file, "a.tar", Order::AsTheyPass, storage.path(), &heard).unwrap();
    assert_eq!(told(&*source), told(&storage.folder()));
    assert_eq!(heard.0.into_inner().unwrap().len(), 1);
    fs::write(&path, &archive).unwrap();
    let heard = Heard::default();
    open_archive(File::open(&path).unwrap(), "a.tar", Order::AsTheyPass, storage.path(), &heard)
        .unwrap();
    assert!(heard.0.into_inner().unwrap().is_empty());
}

#[test]
fn a_folder_that_cannot_keep_it() {
    let storage = Storage::new();
    let (reader, mut writer) = io::pipe().unwrap();
    writer.write_all(&storage.archive(&["-C", TREE, "repositories"])[..4096]).unwrap();
    drop(writer);
    let file = File::from(std::os::fd::OwnedFd::from(reader));
    let gone = storage.path().join("gone");
    let error = open_archive(file, "standard input", Order::AsTheyPass, &gone, &Silent)
        .unwrap_err()
        .to_string();
    let want = format!("{}: the archive cannot be kept there while it is read (", gone.display());
    assert!(error.starts_with(&want), "{error}");
    assert!(error.ends_with("name a folder with more room in TMPDIR"), "{error}");
}

#[test]
fn a_compressed_archive_that_is_wanted_in_any_order_is_kept_inflated() {
    let storage = Storage::new();
    let archive = storage.archive(&["docker"]);
    let path = storage.path().join("a.tar.gz");
    fs::write(&path, run("gzip", &["-c"], &archive)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let open =
        || open_archive(File::open(&path).unwrap(), "a.tar", Order::Any, folder.path(), &Silent);
    let source = open().unwrap();
    assert!(source.as_passing().is_none());
    assert_eq!(told(&*source), told(&storage.folder()));
    assert!(source.contains(&path));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}
