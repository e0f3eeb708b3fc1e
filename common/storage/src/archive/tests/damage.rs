use super::*;

/// An archive without long names of their own, and where the data of a blob begin in it.
fn with_place(storage: &Storage, blob: Digest) -> (Vec<u8>, usize) {
    let archive = storage.archive(&["--format=ustar", "docker"]);
    // That of the folder comes before.
    let path = blob_path(blob).replace("/data", "");
    let at = archive.windows(path.len()).rposition(|window| window == path.as_bytes()).unwrap();
    (archive, at / 512 * 512 + 512)
}

#[test]
fn an_archive_cut_anywhere_says_where() {
    let storage = Storage::new();
    let archive = storage.archive(&["docker/registry/v2/repositories"]);
    let end = archive.iter().rposition(|byte| *byte != 0).unwrap().next_multiple_of(512);
    let mut cuts: Vec<_> = (1..end / 512).map(|block| block * 512).collect();
    cuts.extend((1..end).step_by(97));
    for cut in cuts.into_iter().filter(|cut| *cut >= 512) {
        let text = refusal(&archive[..cut]);
        assert!(
            text.starts_with(&format!("a.tar: the archive is cut off at byte {cut}: ")),
            "{cut}: {text}"
        );
    }
    // The end is one block of zeros at least.
    assert!(open(&archive[..end + 512]).is_ok());
    assert!(open(&archive[..end + 700]).is_ok());
    assert!(open(&archive[..end]).is_err());
}

#[test]
fn what_was_cut_off_is_named() {
    let storage = Storage::new();
    let member = blob_path(storage.manifests[0]);
    let (archive, data) = with_place(&storage, storage.manifests[0]);
    let text = refusal(&archive[..data + 10]);
    let end = data + 512;
    let want = format!(
        "a.tar: the archive is cut off at byte {}: `{TREE}/{member}` goes on to byte {end}. Copy it \
         again; if there is no whole one, unpack what is left with `tar -x` and give the folder",
        data + 10
    );
    assert_eq!(text, want);
}

#[test]
fn a_damaged_header_says_where() {
    let storage = Storage::new();
    let (archive, data) = with_place(&storage, storage.manifests[0]);
    let header = data - 512;
    let mut damaged = archive.clone();
    damaged[header + 3] ^= 1;
    let text = refusal(&damaged);
    let want = format!(
        "a.tar: the header of a member at byte {header} of the archive is damaged (its checksum is \
         wrong), so that nothing behind it can be found."
    );
    assert!(text.starts_with(&want), "{text}");
    // The first header, which tells what the file is.
    let mut damaged = archive;
    damaged[3] ^= 1;
    assert!(refusal(&damaged).contains("at byte 0 of the archive is damaged"));
}

#[test]
fn damaged_bytes_of_a_blob_are_the_readers_to_find() {
    let storage = Storage::new();
    let digest = storage.manifests[0];
    let (mut archive, data) = with_place(&storage, digest);
    archive[data] = b' ';
    let gzip = run("gzip", &["-c"], &archive);
    for bytes in [archive, gzip] {
        let problem = open(&bytes).unwrap().manifest(digest).unwrap_err();
        assert!(problem.to_string().starts_with(&format!("blob {digest} hashes to ")), "{problem}");
    }
}

#[test]
fn a_damaged_or_cut_gzip_file_is_said_to_be_so() {
    let storage = Storage::new();
    let gzip = run("gzip", &["-c"], &storage.archive(&["docker"]));
    for cut in [20, gzip.len() / 2, gzip.len() - 9, gzip.len() - 1] {
        let text = refusal(&gzip[..cut]);
        let want =
            format!("its gzip data are cut off at byte {cut}, the end of the file: copy it again");
        assert_eq!(text, format!("a.tar: {want}"));
    }
    for from_end in [1, 5] {
        // The length, the checksum.
        let mut damaged = gzip.clone();
        let at = damaged.len() - from_end;
        damaged[at] ^= 1;
        let text = refusal(&damaged);
        assert!(text.starts_with("a.tar: its gzip data are damaged before byte "), "{text}");
    }
    // What follows the archive is not looked at, and yet checked.
    let mut damaged =
        run("gzip", &["-c"], &[&storage.archive(&["docker"])[..], &[1; 1 << 20]].concat());
    assert!(open(&damaged).is_ok());
    let at = damaged.len() - 5;
    damaged[at] ^= 1;
    assert!(refusal(&damaged).starts_with("a.tar: its gzip data are damaged before byte "));
    let text = refusal(&[&gzip[..], b"garbage"].concat());
    assert!(text.starts_with("a.tar: its gzip data are damaged before byte "), "{text}");
}

#[test]
fn a_damaged_or_cut_zstd_file_is_said_to_be_so() {
    let storage = Storage::new();
    let archive = storage.archive(&["docker"]);
    let zstd = run("zstd", &["-qc", "--check"], &archive);
    for cut in [20, zstd.len() / 2, zstd.len() - 1] {
        let text = refusal(&zstd[..cut]);
        let want = format!(
            "its Zstandard data are cut off at byte {cut}, the end of the file: copy it again"
        );
        assert_eq!(text, format!("a.tar: {want}"));
    }
    let mut damaged = zstd;
    *damaged.last_mut().unwrap() ^= 1;
    let text = refusal(&damaged);
    assert!(text.starts_with("a.tar: its Zstandard data are damaged before byte "), "{text}");
    let wide = run("zstd", &["-qc", "--ultra", "-1", "--long=28"], &archive);
    let text = refusal(&wide);
    let want = "a.tar: it was compressed with a window of more than 128 MiB; unpack it on the way, \
                with `zstd -dc --long=31 FILE | packer … --storage -`";
    assert_eq!(text, want);
}

#[test]
fn what_is_no_archive_of_a_storage() {
    let storage = Storage::new();
    assert_eq!(refusal(b""), "a.tar: it is empty");
    assert!(refusal(b"hello").contains("it is no tar archive"));
    assert!(refusal(&run("gzip", &["-c"], b"hello")).contains("cut off at byte 5"));
    let other = storage.archive(&["-C", "docker/registry/v2/repositories", "other/_layers"]);
    let text = refusal(&other);
    let want = "a.tar: it holds no registry storage, which has tags in `repositories/…/_manifests` \
                and blobs in `blobs/sha256`: there are 4 members, the first of which is \
                `other/_layers`. Make the archive of the folder that the registry's configuration \
                calls `rootdirectory`";
    assert_eq!(text, want);
    assert!(refusal(&[0; 10_240]).contains("there are nothing with a name"));
}

#[test]
fn two_storages_are_one_too_many() {
    let storage = Storage::new();
    let copy = "--transform=s,^docker,backup/docker,S";
    let mut both = storage.archive(&["docker"]);
    both.extend(storage.archive(&[copy, "docker"]));
    let want = "a.tar: it holds two registry storages, one in `backup/docker/registry/v2` and one \
                in `docker/registry/v2`: unpack the one that is meant, and give its folder";
    assert_eq!(refusal(&both), want);
    // The blobs of one and the tags of the other.
    let mut both = storage.archive(&["docker/registry/v2/blobs"]);
    both.extend(storage.archive(&[copy, "docker/registry/v2/repositories"]));
    assert!(refusal(&both).contains("`backup/docker/registry/v2` and"), "{}", refusal(&both));
}

#[test]
fn what_follows_the_end() {
    let storage = Storage::new();
    let archive = storage.archive(&["docker"]);
    let passed_over = |tail: &[u8]| {
        let source = open(&[&archive[..], tail].concat()).unwrap();
        source.inventory(&Silent).unwrap().passed_over
    };
    assert_eq!(passed_over(&[0; 9000]), [""; 0]);
    let at = archive.len() + 512;
    let tail = [&[0; 512][..], b"garbage"].concat();
    let want = format!(
        "what follows the end of a.tar, from byte {at} on, is no archive and is passed over"
    );
    for tail in [tail.clone(), [&tail[..], &[1; 5000]].concat()] {
        assert_eq!(passed_over(&tail)[..], *std::slice::from_ref(&want));
    }
    let [many] = &passed_over(&vec![0; 2 << 20])[..] else { panic!() };
    assert!(many.contains("zero bytes: where a copy of it broke off"), "{many}");
}

#[test]
fn the_second_of_two_archives_is_cut_off() {
    let storage = Storage::new();
    let one = storage.archive(&["docker/registry/v2/blobs"]);
    let other = storage.archive(&["docker/registry/v2/repositories"]);
    let text = refusal(&[&one[..], &other[..5120]].concat());
    let cut = one.len() + 5120;
    assert!(text.starts_with(&format!("a.tar: the archive is cut off at byte {cut}: ")), "{text}");
}

#[test]
fn archives_behind_one_another_are_one() {
    let storage = Storage::new();
    let want = told(&storage.folder());
    let mut both = storage.archive(&["docker/registry/v2/repositories"]);
    both.extend(storage.archive(&["--format=posix", "docker/registry/v2/blobs"]));
    assert_eq!(told(&*open(&both).unwrap()), want);
    let gzip = run("gzip", &["-c"], &both);
    assert_eq!(told(&*open(&gzip).unwrap()), want);
}
