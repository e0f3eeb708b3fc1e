use std::os::unix::fs::symlink;

use super::*;

/// A second name for each blob of a storage, as people make them who hand images to skopeo.
fn hard_links(storage: &Storage) {
    let folder = storage.path().join("a-images");
    fs::create_dir(&folder).unwrap();
    for blob in storage.folder().blobs().unwrap() {
        let data = storage.tree().join(blob_path(blob.digest));
        fs::hard_link(data, folder.join(blob.digest.hex())).unwrap();
    }
}

#[test]
fn blobs_that_are_hard_links_to_other_files() {
    let storage = Storage::new();
    hard_links(&storage);
    let want = told(&storage.folder());
    for format in ["gnu", "ustar", "posix"] {
        let format = format!("--format={format}");
        for names in [["a-images", "docker"], ["./a-images", "./docker"]] {
            let archive = storage.archive(&[&[&*format], &names[..]].concat());
            let listing = run("tar", &["-tvf", "-"], &archive);
            let links = String::from_utf8(listing).unwrap().matches(" link to ").count();
            assert_eq!(links, 9);
            assert_eq!(told(&*open(&archive).unwrap()), want, "{format} {names:?}");
            let zstd = run("zstd", &["-qc"], &archive);
            assert_eq!(told(&*open(&zstd).unwrap()), want, "{format} {names:?}");
        }
    }
    let copies = storage.archive(&["--hard-dereference", "a-images", "docker"]);
    assert_eq!(told(&*open(&copies).unwrap()), want);
}

#[test]
fn hard_links_to_what_is_not_there() {
    let storage = Storage::new();
    hard_links(&storage);
    let [digest, ..] = storage.manifests[..] else { unreachable!() };
    let archive = storage.archive(&["a-images", "docker"]);
    let file = format!("a-images/{}", digest.hex());
    // Cut the file that has the bytes out of the archive.
    let header = archive.windows(file.len()).position(|window| window == file.as_bytes()).unwrap();
    let without = [&archive[..header], &archive[header + 1024..]].concat();
    let source = open(&without).unwrap();
    let want = format!("it is a hard link to {file}, and the archive has no such file before it");
    assert_eq!(source.size(digest).unwrap_err().to_string(), want);
    // Behind the link is another file.
    let late = [&storage.archive(&["docker"])[..], &storage.archive(&["a-images"])].concat();
    assert!(open(&late).is_ok());
}

#[test]
fn tags_that_are_hard_links() {
    let storage = Storage::new();
    let want = told(&storage.folder());
    let (repository, tag) = ("team/app".parse().unwrap(), "1".parse().unwrap());
    let link = storage.tree().join(tag_link(&repository, &tag));
    let first = storage.path().join("a-link");
    fs::hard_link(&link, &first).unwrap();
    let archive = storage.archive(&["a-link", "docker"]);
    assert_eq!(told(&*open(&archive).unwrap()), want);
    assert_eq!(told(&*open(&run("gzip", &["-c"], &archive)).unwrap()), want);
}

#[test]
fn of_two_members_of_one_name_the_last_counts() {
    let mut storage = Storage::new();
    let mut archive = storage.archive(&["docker"]);
    // As `tar -r` after another push.
    storage.image("other", "1", 5);
    let want = told(&storage.folder());
    archive.extend(storage.archive(&["docker/registry/v2/repositories"]));
    archive.extend(storage.archive(&["docker/registry/v2/blobs"]));
    assert_eq!(told(&*open(&archive).unwrap()), want);
    assert_eq!(told(&*open(&run("gzip", &["-c"], &archive)).unwrap()), want);

    // A tag's folder alone says nothing of its link.
    let folder = "docker/registry/v2/repositories/other/_manifests/tags/1";
    archive.extend(storage.archive(&["--no-recursion", folder]));
    let link = paths::revision_link(&"other".parse().unwrap(), storage.manifests[2]);
    let link = File::options().write(true).open(storage.tree().join(in_repositories(&link)));
    link.unwrap().set_modified(UNIX_EPOCH + Duration::from_secs(PUSHED + 5000)).unwrap();
    let want = told(&storage.folder());
    archive.extend(storage.archive(&["docker/registry/v2/repositories"]));
    archive.extend(storage.archive(&["--no-recursion", folder]));
    assert_eq!(told(&*open(&archive).unwrap()), want);

    let damaged = storage.write(&blob_path(storage.manifests[0]), b"{}");
    archive.extend(storage.archive(&["docker/registry/v2/blobs"]));
    assert_eq!(told(&*open(&archive).unwrap()), told(&storage.folder()));
    assert_eq!(told(&*open(&run("zstd", &["-qc"], &archive)).unwrap()), told(&storage.folder()));
    fs::remove_file(damaged).unwrap();
}

#[test]
fn sparse_files_are_a_problem_of_their_own_blob() {
    let mut storage = Storage::new();
    storage.image("sparse", "1", 9);
    let digest = storage.blob(&vec![0; 1 << 20]);
    let path = storage.tree().join(blob_path(digest));
    File::create(&path).unwrap().set_len(1 << 20).unwrap();
    fs::remove_file(storage.write("repositories/other/_manifests/tags/1/current/link", b""))
        .unwrap();
    let link = storage.write("repositories/other/_manifests/tags/1/current/link", b"");
    File::create(link).unwrap().set_len(1 << 20).unwrap();
    for options in [
        &["--format=gnu", "-S"][..],
        &["--format=posix", "-S", "--sparse-version=0.0"],
        &["--format=posix", "-S", "--sparse-version=0.1"],
        &["--format=posix", "-S", "--sparse-version=1.0"],
    ] {
        let archive = storage.archive(&[options, &["docker"]].concat());
        let source = open(&archive).unwrap();
        let problem = source.size(digest).unwrap_err().to_string();
        assert!(problem.starts_with("it is stored as a sparse file"), "{options:?} {problem}");
        let broken = broken(&*source);
        assert_eq!(broken.len(), 1, "{broken:?}");
        assert!(broken[0].starts_with("other:1: it is stored as a sparse file"), "{broken:?}");
        // All else is as it was.
        assert_eq!(source.blobs().unwrap().len(), storage.folder().blobs().unwrap().len() - 1);
        source.manifest(storage.manifests[3]).unwrap();
    }
}

#[test]
fn many_holes_do_not_hide_what_follows() {
    let storage = Storage::new();
    // A map of more pieces than the header and one block have room for.
    let file = File::create(storage.path().join("a-holes")).unwrap();
    for piece in 0..100 {
        std::os::unix::fs::FileExt::write_all_at(&file, b"x", piece << 16).unwrap();
    }
    let want = told(&storage.folder());
    for format in ["gnu", "posix"] {
        let archive = storage.archive(&[&format!("--format={format}"), "-S", "a-holes", "docker"]);
        assert_eq!(told(&*open(&archive).unwrap()), want);
    }
}

#[test]
fn a_link_out_of_the_archive_is_said_with_what_to_do() {
    for (folder, what) in [("blobs", "blobs"), ("repositories", "repositories")] {
        let storage = Storage::new();
        let disk = tempfile::tempdir().unwrap();
        fs::rename(storage.tree().join(folder), disk.path().join(what)).unwrap();
        symlink(disk.path().join(what), storage.tree().join(folder)).unwrap();
        let text = refusal(&storage.archive(&["docker"]));
        let want = format!(
            "a.tar: `docker/registry/v2/{folder}` in it is a symbolic link to {}/{what}, and what is \
             there is not in the archive: make the archive with tar's option -h, which puts in what \
             links lead to",
            disk.path().display()
        );
        assert_eq!(text, want);
        let source = open(&storage.archive(&["-h", "docker"])).unwrap();
        assert_eq!(told(&*source), told(&storage.folder()));
    }
}

#[test]
fn links_within_the_archive_are_followed() {
    let storage = Storage::new();
    let want = told(&storage.folder());
    let rename = |from: &str, to: &str| {
        fs::create_dir_all(storage.path().join(to).parent().unwrap()).unwrap();
        fs::rename(storage.tree().join(from), storage.path().join(to)).unwrap();
    };
    rename("blobs", "mnt/disk/registry-blobs");
    symlink("/mnt/disk/registry-blobs", storage.tree().join("blobs")).unwrap();
    rename("repositories/team", "mnt/disk/projects/team");
    let up = "../../../../mnt/disk/projects/team";
    symlink(up, storage.tree().join("repositories/team")).unwrap();
    assert_eq!(told(&*open(&storage.archive(&["."])).unwrap()), want);
    // The first that is met looks like a storage of its own.
    fs::remove_file(storage.tree().join("blobs")).unwrap();
    fs::create_dir(storage.path().join("a-disk")).unwrap();
    let [from, to] =
        ["mnt/disk/registry-blobs", "a-disk/blobs"].map(|path| storage.path().join(path));
    fs::rename(from, to).unwrap();
    symlink("/a-disk/blobs", storage.tree().join("blobs")).unwrap();
    assert_eq!(told(&*open(&storage.archive(&["."])).unwrap()), want);
    rename("repositories", "mnt/repositories");
    symlink("/mnt/repositories", storage.tree().join("repositories")).unwrap();
    fs::remove_file(storage.path().join("mnt/repositories/team")).unwrap();
    symlink("../disk/projects/team", storage.path().join("mnt/repositories/team")).unwrap();
    assert_eq!(told(&*open(&storage.archive(&["."])).unwrap()), want);
}

#[test]
fn links_in_a_storage_that_lead_nowhere_are_findings() {
    let storage = Storage::new();
    let [digest, other, ..] = storage.manifests[..] else { unreachable!() };
    let link = |target: &str, path: &str| {
        let path = storage.tree().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let _ = fs::remove_file(&path);
        let _ = fs::remove_dir_all(&path);
        symlink(target, path).unwrap();
    };
    link("/mnt/project", "repositories/project");
    link("..", "repositories/team/loop");
    link("1", "repositories/team/app/_manifests/tags/linked");
    link("/mnt/manifests", "repositories/away/_manifests");
    link("/mnt/data", &blob_path(digest));
    link("/mnt/blobs", &format!("blobs/sha256/{}", &other.hex()[..2]));
    let source = open(&storage.archive(&["docker"])).unwrap();
    let why = |target: &str| {
        format!(
            "it is a symbolic link to {target}, and what is there is not in the archive: make the \
             archive with tar's option -h, which puts in what links lead to"
        )
    };
    assert_eq!(
        broken(&*source),
        [
            format!("away/_manifests: {}", why("/mnt/manifests")),
            format!("project: {}", why("/mnt/project")),
            format!("team/app:linked: {}", why("1")),
            "team/loop: the symbolic link leads back to a folder that it stands in".into(),
        ]
    );
    assert_eq!(source.size(digest).unwrap_err().to_string(), why("/mnt/data"));
    assert_eq!(source.size(other).unwrap_err().to_string(), why("/mnt/blobs"));
}

#[test]
fn a_few_links_cannot_make_many_names() {
    let storage = Storage::new();
    for number in 0..17 {
        symlink("team", storage.tree().join(format!("repositories/link{number:02}"))).unwrap();
    }
    let names =
        |archive| open(archive).map(|source| source.inventory(&Silent).unwrap().repositories);
    assert_eq!(names(&storage.archive(&["docker"])).unwrap().len(), 19);
    for number in 17..50 {
        symlink("team", storage.tree().join(format!("repositories/link{number:02}"))).unwrap();
    }
    let want = "a.tar: symbolic links in it give its 2 repositories 33 names and more: unpack it and \
                give the folder";
    assert_eq!(refusal(&storage.archive(&["docker"])), want);
}

#[test]
fn a_folder_that_took_the_place_of_a_link() {
    let storage = Storage::new();
    let [blobs, aside] = ["blobs", "aside"].map(|name| storage.tree().join(name));
    fs::rename(&blobs, &aside).unwrap();
    symlink("/mnt/blobs", &blobs).unwrap();
    let mut archive = storage.archive(&["docker/registry/v2/blobs"]);
    fs::remove_file(&blobs).unwrap();
    fs::rename(&aside, &blobs).unwrap();
    archive.extend(storage.archive(&["docker"]));
    assert_eq!(told(&*open(&archive).unwrap()), told(&storage.folder()));
}
