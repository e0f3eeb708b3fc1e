//! The members of a tar archive, one after another, from front to back.
//!
//! Read are the formats of Unix v7, POSIX (ustar and pax) and GNU tar. Nothing is guessed: a header
//! with a wrong checksum and an archive without an end are errors that say where. Archives may
//! follow one another in one file, as `cat` makes it.

use std::io::{self, Read};

use super::extension::Extension;
use super::header::{BLOCK, Header, sparse_block_goes_on};
use super::input::Input;

/// No extended header is larger (bytes). Real ones hold a path or two and the attributes of a
/// file, which Linux bounds at 64 KiB each.
const MAX_EXTENSION: u64 = 1 << 20;

/// A longer name belongs to no file of a registry, which opens its files by their paths: Linux
/// takes no longer one (bytes).
const MAX_NAME: usize = 4096;

/// A size that no archive has (bytes).
const MAX_SIZE: u64 = 1 << 60;

/// What a member is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// A file with its bytes.
    File,
    /// A file without those of its bytes that are zero: they cannot be read from here.
    Sparse,
    /// Another name of the file that an earlier member is, by the name of that.
    HardLink(String),
    /// A symbolic link, as it stands.
    SymbolicLink(String),
    /// A folder.
    Folder,
    /// A device, a pipe.
    Special,
}

/// A member of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Member {
    /// Its path in plain form: no `.` and nothing empty between the slashes, none of which is the
    /// first or the last. Empty for the root, and for a name that is too long for any file of a
    /// registry.
    pub(super) name: String,
    /// What it is.
    pub(super) kind: Kind,
    /// When the file was last modified, in seconds since 1970.
    pub(super) modified: i64,
    /// Where its header begins, in bytes from the front of the archive.
    pub(super) at: u64,
    /// Where its data begin.
    pub(super) offset: u64,
    /// The size of its data in bytes.
    pub(super) size: u64,
}

/// Why the members of an archive cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum TarError {
    #[error(
        "the archive is cut off at byte {at}: {what}. Copy it again; if there is no whole one, \
         unpack what is left with `tar -x` and give the folder"
    )]
    Cut { at: u64, what: String },
    #[error(
        "the header of a member at byte {at} of the archive is damaged ({what}), so that nothing \
         behind it can be found. Copy the archive again; if there is no whole one, unpack what is \
         left with `tar -x` and give the folder"
    )]
    Damaged { at: u64, what: &'static str },
    #[error(
        "the member at byte {at} goes on with a file of another volume: this is one of the volumes \
         that `tar -M` makes. Unpack all of them together and give the folder"
    )]
    Volume { at: u64 },
    #[error(transparent)]
    Read(io::Error),
}

impl From<io::Error> for TarError {
    fn from(error: io::Error) -> Self {
        error.downcast().unwrap_or_else(Self::Read)
    }
}

/// What stands behind an archive's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Tail {
    /// How many zero bytes.
    pub(super) zeros: u64,
    /// Where bytes begin that are neither zeros nor another archive. They are not read.
    pub(super) foreign: Option<u64>,
}

/// Reads the members of an archive.
#[derive(Debug)]
pub(super) struct Members<I> {
    input: I,
    /// How many bytes have been read.
    at: u64,
    /// Data of the current member that nobody has read.
    unread: u64,
    padding: u64,
    name: String,
    /// What holds for all members from here on.
    global: Extension,
    has_ended: bool,
    tail: Tail,
}

impl<I: Input> Members<I> {
    /// At the front of an archive.
    pub(super) fn new(input: I) -> Self {
        Self {
            input,
            at: 0,
            unread: 0,
            padding: 0,
            name: String::new(),
            global: Extension::default(),
            has_ended: false,
            tail: Tail::default(),
        }
    }

    /// What is there behind the end, once that is reached.
    pub(super) fn tail(&self) -> Tail {
        self.tail
    }

    /// The input, where it stands.
    pub(super) fn into_input(self) -> I {
        self.input
    }

    /// The next member, or `None` at the end. Its data can then be read from `self`.
    pub(super) fn next(&mut self) -> Result<Option<Member>, TarError> {
        let mut extension = self.global.clone();
        loop {
            self.finish_member()?;
            let start = self.at;
            let mut block = [0; BLOCK];
            let read = read_fully(&mut self.input, &mut block)?;
            self.at += read as u64;
            if block == [0; BLOCK] && (read == BLOCK || self.has_ended) {
                if read == 0 {
                    return Ok(None);
                }
                if extension != self.global {
                    let what = "there is none, though an extended header announces one";
                    return Err(TarError::Damaged { at: start, what });
                }
                self.has_ended = true;
                self.tail.zeros += read as u64;
                continue;
            }
            if !self.has_ended && read < BLOCK {
                return Err(TarError::Cut { at: self.at, what: "it has no end there".into() });
            }
            let header = Header(&block);
            if !header.is_sound() {
                if self.has_ended {
                    self.tail.foreign = Some(start);
                    return Ok(None);
                }
                return Err(TarError::Damaged { at: start, what: "its checksum is wrong" });
            }
            (self.has_ended, self.tail.zeros) = (false, 0);
            let unreadable = |what| TarError::Damaged { at: start, what };
            let stated = header.size().filter(|size| *size <= MAX_SIZE);
            let stated = stated.ok_or(unreadable("its size is no number"))?;
            match header.type_flag() {
                b'x' | b'X' => {
                    let records = self.extension(start, stated)?;
                    extension.read_pax(&records).ok_or(unreadable("its records are none"))?;
                }
                b'g' => {
                    let records = self.extension(start, stated)?;
                    self.global.read_pax(&records).ok_or(unreadable("its records are none"))?;
                    extension.read_pax(&records).ok_or(unreadable("its records are none"))?;
                }
                b'L' => extension.read_long_name(&self.extension(start, stated)?),
                b'K' => extension.read_long_link(&self.extension(start, stated)?),
                b'M' => return Err(TarError::Volume { at: start }),
                // The label of a volume; the table of long names of a tar of 1990.
                b'V' | b'N' => self.begin_data(stated, "a label"),
                _ => {
                    let size = extension.size.unwrap_or(stated);
                    let size = if size <= MAX_SIZE { size } else { MAX_SIZE };
                    return self.member(header, extension, start, size).map(Some);
                }
            }
        }
    }

    /// The member that a header begins.
    fn member(
        &mut self,
        header: Header<'_>,
        mut extension: Extension,
        start: u64,
        size: u64,
    ) -> Result<Member, TarError> {
        let modified = extension.modified.or(header.modified()).unwrap_or_default();
        let link = |extension: &mut Extension| {
            extension.link.take().unwrap_or_else(|| header.link().to_owned())
        };
        let is_sparse = extension.is_sparse;
        let name = extension.take_name().unwrap_or_else(|| header.name());
        let kind = match header.type_flag() {
            b'1' => Kind::HardLink(plain(&link(&mut extension))),
            b'2' => Kind::SymbolicLink(String::from_utf8_lossy(&link(&mut extension)).into_owned()),
            b'3' | b'4' | b'6' => Kind::Special,
            b'5' | b'D' => Kind::Folder,
            // In the oldest format a slash is all that makes a folder.
            b'0' | 0 if name.ends_with(b"/") => Kind::Folder,
            b'S' => Kind::Sparse,
            _ if is_sparse => Kind::Sparse,
            // POSIX: what is not known is taken for a file.
            _ => Kind::File,
        };
        if header.type_flag() == b'S' {
            self.pass_over_sparse_map(header, start)?;
        }
        // These have no data, whatever size is stated, as the readers of GNU, Go and Python have it.
        let size = if matches!(header.type_flag(), b'1'..=b'6') { 0 } else { size };
        let name = plain(&name);
        self.begin_data(size, &name);
        Ok(Member { name, kind, modified, at: start, offset: self.at, size })
    }

    /// The data of an extended header.
    fn extension(&mut self, start: u64, size: u64) -> Result<Vec<u8>, TarError> {
        if size > MAX_EXTENSION {
            return Err(TarError::Damaged {
                at: start,
                what: "an extended header of more than 1 MiB",
            });
        }
        self.begin_data(size, "an extended header");
        let mut data = Vec::new();
        self.read_to_end(&mut data)?;
        Ok(data)
    }

    fn pass_over_sparse_map(&mut self, header: Header<'_>, start: u64) -> Result<(), TarError> {
        let mut goes_on = header.sparse_map_goes_on();
        while goes_on {
            let mut block = [0; BLOCK];
            let read = read_fully(&mut self.input, &mut block)?;
            self.at += read as u64;
            if read < BLOCK {
                let what = format!("the map of the sparse file at byte {start} does not end");
                return Err(TarError::Cut { at: self.at, what });
            }
            goes_on = sparse_block_goes_on(&block);
        }
        Ok(())
    }

    fn begin_data(&mut self, size: u64, name: &str) {
        self.unread = size;
        self.padding = size.next_multiple_of(BLOCK as u64) - size;
        name.clone_into(&mut self.name);
    }

    /// Passes over what is left of the current member.
    fn finish_member(&mut self) -> Result<(), TarError> {
        let rest = self.unread + self.padding;
        if rest == 0 {
            return Ok(());
        }
        let passed = self.input.pass_over(rest)?;
        if passed < rest {
            return Err(self.cut(passed, rest));
        }
        self.at += rest;
        (self.unread, self.padding) = (0, 0);
        Ok(())
    }

    fn cut(&self, passed: u64, rest: u64) -> TarError {
        let what = format!("`{}` goes on to byte {}", self.name, self.at + rest);
        TarError::Cut { at: self.at + passed, what }
    }
}

/// The current member's data.
impl<I: Input> Read for Members<I> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.unread).unwrap_or(usize::MAX).min(buffer.len());
        if most == 0 {
            return Ok(0);
        }
        let read = self.input.read(&mut buffer[..most])?;
        if read == 0 {
            return Err(io::Error::other(self.cut(0, self.unread + self.padding)));
        }
        self.at += read as u64;
        self.unread -= read as u64;
        Ok(read)
    }
}

/// Reads until the buffer is full or the input ends, and tells how much that was.
fn read_fully(input: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match input.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// A path in the form of [`Member::name`].
pub(super) fn plain(path: &[u8]) -> String {
    if path.len() > MAX_NAME {
        return String::new();
    }
    let path = String::from_utf8_lossy(path);
    let mut plain = String::with_capacity(path.len());
    for component in path.split('/').filter(|component| !matches!(*component, "" | ".")) {
        if !plain.is_empty() {
            plain.push('/');
        }
        plain.push_str(component);
    }
    plain
}
