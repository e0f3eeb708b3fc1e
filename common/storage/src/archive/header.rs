//! One header block of a tar archive: POSIX.1-2008 pax, "ustar Interchange Format"; GNU tar's
//! manual, "Basic Tar Format"; the old format of Unix v7, which has no magic.

use std::ops::Range;

/// Tar counts in blocks of this many bytes.
pub(super) const BLOCK: usize = 512;

const NAME: Range<usize> = 0..100;
const SIZE: Range<usize> = 124..136;
const MODIFIED: Range<usize> = 136..148;
const CHECKSUM: Range<usize> = 148..156;
const TYPE: usize = 156;
const LINK: Range<usize> = 157..257;
const MAGIC: Range<usize> = 257..265;
const PREFIX: Range<usize> = 345..500;
/// Joerg Schilling's star keeps times where ustar has the end of the prefix, and marks that.
const STAR_PREFIX: Range<usize> = 345..476;
const STAR_MAGIC: Range<usize> = 508..512;
/// GNU's old sparse files: whether a block with more of the map follows, in the header and in each
/// such block.
const SPARSE_GOES_ON: usize = 482;
const SPARSE_BLOCK_GOES_ON: usize = 504;

/// A block of 512 bytes that is to be a header.
#[derive(Debug, Clone, Copy)]
pub(super) struct Header<'a>(pub(super) &'a [u8; BLOCK]);

impl<'a> Header<'a> {
    /// Whether the checksum is that of the block. Some old programs added signed bytes.
    pub(super) fn is_sound(self) -> bool {
        let Some(Ok(stated)) = number(&self.0[CHECKSUM]).map(i64::try_from) else { return false };
        let counted = |at: usize, byte: u8| if CHECKSUM.contains(&at) { b' ' } else { byte };
        let bytes = || self.0.iter().enumerate().map(|(at, byte)| counted(at, *byte));
        let unsigned: i64 = bytes().map(i64::from).sum();
        let signed: i64 = bytes().map(|byte| i64::from(byte.cast_signed())).sum();
        stated == unsigned || stated == signed
    }

    /// Whether it says that it is a header, sound or not.
    pub(super) fn has_magic(self) -> bool {
        self.0[MAGIC].starts_with(b"ustar")
    }

    /// What kind of member it begins.
    pub(super) fn type_flag(self) -> u8 {
        self.0[TYPE]
    }

    /// The member's name.
    pub(super) fn name(self) -> Vec<u8> {
        let is_posix = self.0[MAGIC].starts_with(b"ustar\0");
        let is_star = self.0[STAR_MAGIC] == *b"tar\0";
        let prefix = match (is_posix, is_star) {
            (true, false) => text(&self.0[PREFIX]),
            (true, true) => text(&self.0[STAR_PREFIX]),
            (false, _) => b"",
        };
        let name = text(&self.0[NAME]);
        if prefix.is_empty() { name.to_owned() } else { [prefix, b"/", name].concat() }
    }

    /// What a link leads to.
    pub(super) fn link(self) -> &'a [u8] {
        text(&self.0[LINK])
    }

    /// The size of the data behind the header in bytes, if that can be read.
    pub(super) fn size(self) -> Option<u64> {
        number(&self.0[SIZE]).and_then(|size| u64::try_from(size).ok())
    }

    /// When the file was last modified, in seconds since 1970, if that can be read.
    pub(super) fn modified(self) -> Option<i64> {
        number(&self.0[MODIFIED]).and_then(|seconds| i64::try_from(seconds).ok())
    }

    /// Whether more of a sparse file's map stands in the block behind.
    pub(super) fn sparse_map_goes_on(self) -> bool {
        self.0[SPARSE_GOES_ON] != 0
    }
}

/// Whether more of a sparse file's map stands behind this block of it.
pub(super) fn sparse_block_goes_on(block: &[u8; BLOCK]) -> bool {
    block[SPARSE_BLOCK_GOES_ON] != 0
}

/// A field up to its first NUL.
fn text(field: &[u8]) -> &[u8] {
    field.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// A number of a header: octal digits, or GNU's base 256, whose first byte begins with a set bit.
/// A blank field is zero.
fn number(field: &[u8]) -> Option<i128> {
    if let [first, rest @ ..] = field
        && first & 0x80 != 0
    {
        // Two's complement in the bits behind that one.
        let sign = if first & 0x40 == 0 { 0 } else { -1 };
        let top = sign << 7 | i128::from(first & 0x7f);
        return Some(rest.iter().fold(top, |value, byte| value << 8 | i128::from(*byte)));
    }
    let digits = field.trim_ascii_start().split(|byte| matches!(byte, 0 | b' ')).next()?;
    digits.iter().try_fold(0, |value, digit| match digit {
        b'0'..=b'7' => Some(value << 3 | i128::from(digit - b'0')),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers() {
        assert_eq!(number(b"00000000017\0"), Some(15));
        assert_eq!(number(b"     17 \0   "), Some(15));
        assert_eq!(number(b"777777777777"), Some((1 << 36) - 1));
        assert_eq!(number(&[0; 12]), Some(0));
        assert_eq!(number(b"            "), Some(0));
        assert_eq!(number(b"0000000008\0\0"), None);
        assert_eq!(number(b"-1\0\0\0\0\0\0\0\0\0\0"), None);
        let mut huge = [0; 12];
        (huge[0], huge[7]) = (0x80, 1);
        assert_eq!(number(&huge), Some(1 << 32));
        assert_eq!(number(&[0xff; 12]), Some(-1));
        assert_eq!(number(&[&[0xff; 11][..], &[0]].concat()), Some(-256));
    }

    #[test]
    fn the_prefix_belongs_to_posix_alone() {
        let mut block = [0; BLOCK];
        block[..4].copy_from_slice(b"name");
        block[345..348].copy_from_slice(b"a/b");
        block[480..483].copy_from_slice(b"123");
        assert_eq!(Header(&block).name(), b"name");
        block[MAGIC].copy_from_slice(b"ustar  \0");
        assert_eq!(Header(&block).name(), b"name");
        block[MAGIC].copy_from_slice(b"ustar\x0000");
        assert_eq!(Header(&block).name(), b"a/b/name");
        block[348..480].fill(b'x');
        block[STAR_MAGIC].copy_from_slice(b"tar\0");
        let long = [b"a/b", &[b'x'; 128][..], b"/name"].concat();
        assert_eq!(Header(&block).name(), long);
    }

    proptest! {
        #[test]
        fn both_sums_are_taken_and_no_other(
            bytes in proptest::collection::vec(any::<u8>(), BLOCK),
            off in 1..1000i64,
        ) {
            let mut block: [u8; BLOCK] = bytes.try_into().unwrap();
            block[CHECKSUM].fill(b' ');
            let unsigned: i64 = block.iter().map(|byte| i64::from(*byte)).sum();
            let signed: i64 = block.iter().map(|byte| i64::from(byte.cast_signed())).sum();
            let mut with = |sum: i64| {
                block[CHECKSUM].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
                Header(&block).is_sound()
            };
            prop_assert!(with(unsigned));
            if signed >= 0 {
                prop_assert!(with(signed));
            }
            prop_assert!(unsigned + off == signed || !with(unsigned + off));
        }

        #[test]
        fn any_field_is_an_answer(field in proptest::collection::vec(any::<u8>(), 0..13)) {
            let _ = number(&field);
        }
    }
}
