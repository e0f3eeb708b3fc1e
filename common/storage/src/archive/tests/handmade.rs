//! Archives by hand: what GNU tar reads and does not write.

use super::*;
use crate::archive::input::FileInput;
use crate::archive::members::{Kind, Member, Members, TarError};

/// One header and its data. Fields are those of v7; `magic` begins at byte 257.
pub(super) fn entry(name: &[u8], kind: u8, link: &[u8], magic: &[u8], data: &[u8]) -> Vec<u8> {
    let mut block = vec![0; 512];
    block[..name.len()].copy_from_slice(name);
    block[100..108].copy_from_slice(b"0000644\0");
    block[124..136].copy_from_slice(format!("{:011o} ", data.len()).as_bytes());
    block[136..148].copy_from_slice(b"00000000017\0");
    block[156] = kind;
    block[157..157 + link.len()].copy_from_slice(link);
    block[257..257 + magic.len()].copy_from_slice(magic);
    seal(&mut block);
    block.extend_from_slice(data);
    block.resize(block.len().next_multiple_of(512), 0);
    block
}

/// Gives a header its checksum.
pub(super) fn seal(block: &mut [u8]) {
    block[148..156].fill(b' ');
    let sum: u32 = block[..512].iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

const GNU: &[u8] = b"ustar  \0";
const POSIX: &[u8] = b"ustar\x0000";

/// The members of an archive whose end is added, with their data.
fn members(entries: &[Vec<u8>]) -> Result<Vec<(Member, Vec<u8>)>, TarError> {
    let mut file = tempfile::tempfile().unwrap();
    let bytes = [entries.concat(), vec![0; 1024]].concat();
    file.write_all(&bytes).unwrap();
    let mut members = Members::new(FileInput::new(&file, bytes.len() as u64, &Silent));
    let mut all = Vec::new();
    while let Some(member) = members.next()? {
        let mut data = Vec::new();
        members.read_to_end(&mut data)?;
        assert_eq!(data.len() as u64, member.size);
        assert_eq!(&bytes[member.offset as usize..][..data.len()], data);
        all.push((member, data));
    }
    Ok(all)
}

fn one(entries: &[Vec<u8>]) -> (Member, Vec<u8>) {
    let mut all = members(entries).unwrap();
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

#[test]
fn the_oldest_format() {
    let all = members(&[
        entry(b"a/", 0, b"", b"", b""),
        entry(b"a/b", 0, b"", b"", b"data"),
        // Old programs state the size of the file that a link leads to, whose data do not follow.
        {
            let mut link = entry(b"./a/c", b'1', b"./a/b", b"", b"");
            link[124..136].copy_from_slice(b"00000000004 ");
            seal(&mut link);
            link
        },
        entry(b"a/d", b'7', b"", b"", b"contiguous"),
    ]);
    let all: Vec<_> =
        all.unwrap().into_iter().map(|(member, data)| (member.name, member.kind, data)).collect();
    assert_eq!(
        all,
        [
            ("a".into(), Kind::Folder, vec![]),
            ("a/b".into(), Kind::File, b"data".to_vec()),
            ("a/c".into(), Kind::HardLink("a/b".into()), vec![]),
            ("a/d".into(), Kind::File, b"contiguous".to_vec()),
        ]
    );
}

#[test]
fn long_names_of_gnu_in_either_order() {
    let name = "n/".repeat(100);
    let target = "t".repeat(300);
    let long = [format!("{name}f\0"), format!("{target}\0")];
    let mut headers = [
        entry(b"././@LongLink", b'L', b"", GNU, long[0].as_bytes()),
        entry(b"././@LongLink", b'K', b"", GNU, long[1].as_bytes()),
    ];
    for _ in 0..2 {
        headers.reverse();
        let link = entry(b"short", b'1', b"also", GNU, b"");
        let (member, _) = one(&[headers[0].clone(), headers[1].clone(), link]);
        assert_eq!(member.name, format!("{name}f"));
        assert_eq!(member.kind, Kind::HardLink(target.clone()));
    }
}

#[test]
fn pax_records_hold_for_one_member_and_global_ones_for_all() {
    let global = entry(b"g", b'g', b"", POSIX, b"12 mtime=99\n13 comment=x\n");
    let local = entry(b"x", b'x', b"", POSIX, b"12 path=./a\n14 mtime=-0.5\n9 size=3\n");
    let mut file = entry(b"b", b'0', b"", POSIX, b"abc");
    file[124..136].copy_from_slice(b"00000000000\0");
    seal(&mut file);
    let all = members(&[global, local, file, entry(b"c", b'0', b"", POSIX, b"")]).unwrap();
    let told: Vec<_> =
        all.iter().map(|(member, data)| (&*member.name, member.modified, &data[..])).collect();
    assert_eq!(told, [("a", -1, &b"abc"[..]), ("c", 99, b"")]);
}

#[test]
fn sizes_and_times_in_base_256() {
    let mut file = entry(b"b", b'0', b"", GNU, b"abc");
    file[124..136].copy_from_slice(&[0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3]);
    file[136..148].fill(0xff);
    seal(&mut file);
    let (member, data) = one(&[file.clone()]);
    assert_eq!((member.modified, &data[..]), (-1, &b"abc"[..]));
    for size in [[0xff; 12], *b"\x80\0\0\0\x7f\0\0\0\0\0\0\0", *b"00000000008\0"] {
        file[124..136].copy_from_slice(&size);
        seal(&mut file);
        let error = members(&[file.clone()]).unwrap_err().to_string();
        assert!(error.contains("at byte 0 of the archive is damaged (its size is no"), "{error}");
    }
}

#[test]
fn labels_and_unknown_kinds() {
    let all = members(&[
        entry(b"label", b'V', b"", GNU, b"passed over"),
        entry(b"dump", b'D', b"", GNU, b"Yname\0"),
        entry(b"fifo", b'6', b"", GNU, b""),
        entry(b"odd", b'q', b"", GNU, b"x"),
    ]);
    let kinds: Vec<_> = all.unwrap().into_iter().map(|(member, _)| member.kind).collect();
    assert_eq!(kinds, [Kind::Folder, Kind::Special, Kind::File]);
}

#[test]
fn what_is_refused() {
    let error = |entries: &[Vec<u8>]| members(entries).unwrap_err().to_string();
    let file = || entry(b"a", b'0', b"", POSIX, b"");
    let volume = error(&[file(), entry(b"a", b'M', b"", GNU, b"rest")]);
    assert!(volume.starts_with("the member at byte 512 goes on with a file of another volume"));
    let bad = error(&[file(), entry(b"x", b'x', b"", POSIX, b"99 path=a\n"), file()]);
    assert!(bad.contains("at byte 512 of the archive is damaged (its records are none)"), "{bad}");
    let lone = error(&[file(), entry(b"x", b'x', b"", POSIX, b"9 size=3\n")]);
    assert!(lone.contains("at byte 1536 of the archive is damaged (there is none"), "{lone}");
    let huge = error(&[entry(b"x", b'L', b"", GNU, &vec![b'a'; (1 << 20) + 1])]);
    assert!(huge.contains("an extended header of more than 1 MiB"), "{huge}");
    let cut = error(&[entry(b"x", b'x', b"", POSIX, b"20 size=99999999999\n"), file()]);
    assert!(cut.contains("cut off at byte 2560: `a` goes on to byte 100000001536"), "{cut}");
}

#[test]
fn names_that_no_registry_can_open_are_no_ones() {
    let long = [b"docker/".repeat(600), b"\0".to_vec()].concat();
    let (member, _) = one(&[entry(b"x", b'L', b"", GNU, &long), entry(b"a", b'0', b"", GNU, b"")]);
    assert_eq!(member.name, "");
    let (member, _) = one(&[entry(b"a/\xff/b", b'0', b"", GNU, b"")]);
    assert_eq!(member.name, "a/\u{fffd}/b");
}

#[test]
fn two_blobs_cannot_be_one_file() {
    let storage = Storage::new();
    let [first, second, third] = storage.manifests[..] else { unreachable!() };
    let path = |digest| format!("blobs/sha256/{}", paths::blob(digest)).into_bytes();
    let mut archive = entry(&path(first), b'0', b"", GNU, b"{}");
    archive.extend(entry(b"file", b'0', b"", GNU, b"{}"));
    archive.extend(entry(&path(second), b'1', &path(first), GNU, b""));
    archive.extend(entry(&path(third), b'1', b"file", GNU, b""));
    let fourth = Digest::of(b"");
    archive.extend(entry(&path(fourth), b'1', b"file", GNU, b""));
    archive.extend([0; 1024]);
    for archive in [archive.clone(), run("gzip", &["-c"], &archive)] {
        let source = open(&archive).unwrap();
        assert_eq!(source.size(first).unwrap(), 2);
        assert_eq!(source.size(third).unwrap(), 2);
        for shared in [second, fourth] {
            let problem = source.size(shared).unwrap_err().to_string();
            assert!(problem.contains("the bytes of another blob"), "{problem}");
        }
    }
}

#[test]
fn a_hard_link_leads_to_what_stands_before_it() {
    let digest = Digest::of(b"first");
    let path = format!("v2/blobs/sha256/{}", paths::blob(digest)).into_bytes();
    let file = |data: &[u8]| entry(b"file", b'0', b"", GNU, data);
    let link = entry(&path, b'1', b"file", GNU, b"");
    let archive = [file(b"older"), file(b"first"), link, file(b"later"), vec![0; 1024]].concat();
    for archive in [archive.clone(), run("gzip", &["-c"], &archive)] {
        let source = open(&archive).unwrap();
        let mut bytes = Vec::new();
        source.open(digest).unwrap().read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes, b"first");
    }
}
