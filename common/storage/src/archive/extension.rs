//! What a member's own header has no room for: POSIX.1-2008 pax, "pax Extended Header", and GNU's
//! long names.

/// What extended headers say of a member.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Extension {
    /// Its name.
    pub(super) name: Option<Vec<u8>>,
    /// What it links to.
    pub(super) link: Option<Vec<u8>>,
    /// The size of its data in bytes.
    pub(super) size: Option<u64>,
    /// When it was last modified, in seconds since 1970.
    pub(super) modified: Option<i64>,
    /// Whether its data are those of a sparse file, without the holes.
    pub(super) is_sparse: bool,
    /// The name of a sparse file, whose member may be called otherwise.
    sparse_name: Option<Vec<u8>>,
}

impl Extension {
    /// Takes in pax records, `LENGTH KEY=VALUE\n` each. An empty value takes back an earlier one.
    /// Returns `None` where they are no such records.
    pub(super) fn read_pax(&mut self, mut records: &[u8]) -> Option<()> {
        // Some programs fill up the last block within the data.
        while records.first().is_some_and(|byte| *byte != 0) {
            let space = records.iter().take(20).position(|byte| *byte == b' ')?;
            let length = std::str::from_utf8(&records[..space]).ok()?.parse().ok()?;
            let record = records.get(space + 1..length)?.strip_suffix(b"\n")?;
            let equals = record.iter().position(|byte| *byte == b'=')?;
            self.take(&record[..equals], &record[equals + 1..])?;
            records = &records[length..];
        }
        Some(())
    }

    fn take(&mut self, key: &[u8], value: &[u8]) -> Option<()> {
        let bytes = (!value.is_empty()).then(|| value.to_owned());
        let text = std::str::from_utf8(value).ok().filter(|text| !text.is_empty());
        match key {
            b"path" => self.name = bytes,
            b"linkpath" => self.link = bytes,
            b"size" if value.is_empty() => self.size = None,
            b"size" => self.size = Some(text?.parse().ok()?),
            b"mtime" => self.modified = text.and_then(whole_seconds),
            b"GNU.sparse.name" => (self.is_sparse, self.sparse_name) = (true, bytes),
            key if key.starts_with(b"GNU.sparse.") => self.is_sparse = true,
            _ => {}
        }
        Some(())
    }

    /// Takes in GNU's long name.
    pub(super) fn read_long_name(&mut self, data: &[u8]) {
        self.name = Some(until_nul(data));
    }

    /// Takes in GNU's long name of what a link leads to.
    pub(super) fn read_long_link(&mut self, data: &[u8]) {
        self.link = Some(until_nul(data));
    }

    /// The member's name, where it is said here.
    pub(super) fn take_name(&mut self) -> Option<Vec<u8>> {
        let name = self.name.take();
        self.sparse_name.take().or(name)
    }
}

fn until_nul(data: &[u8]) -> Vec<u8> {
    data.split(|byte| *byte == 0).next().unwrap_or_default().to_owned()
}

/// The second in which a moment lies: `-1.5` lies in second -2.
fn whole_seconds(time: &str) -> Option<i64> {
    let (whole, fraction) = time.split_once('.').unwrap_or((time, ""));
    let seconds: i64 = whole.parse().ok()?;
    let is_before = whole.starts_with('-') && fraction.bytes().any(|digit| digit != b'0');
    seconds.checked_sub(i64::from(is_before))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(records: &[u8]) -> Option<Extension> {
        let mut extension = Extension::default();
        extension.read_pax(records).map(|()| extension)
    }

    #[test]
    fn times_are_floored() {
        for (text, want) in [
            ("1700000000", Some(1_700_000_000)),
            ("1700000000.999999999", Some(1_700_000_000)),
            ("-1.5", Some(-2)),
            ("-0.5", Some(-1)),
            ("-1.000", Some(-1)),
            ("-9223372036854775808.5", None),
            ("soon", None),
        ] {
            assert_eq!(whole_seconds(text), want, "{text}");
        }
    }

    #[test]
    fn records() {
        let all = read(b"15 path=a\nb=c/d\n21 mtime=1700000000.5\n11 size=12\n14 linkpath=x\n");
        assert_eq!(all, None, "a length that is wrong");
        let all = read(b"16 path=a\nb=c/d\n22 mtime=1700000000.5\n11 size=12\n14 linkpath=x\n\0\0");
        let all = all.unwrap();
        assert_eq!(all.name.as_deref(), Some(&b"a\nb=c/d"[..]));
        assert_eq!(all.link.as_deref(), Some(&b"x"[..]));
        assert_eq!((all.size, all.modified), (Some(12), Some(1_700_000_000)));
        assert!(!all.is_sparse);
        assert_eq!(read(b"11 size=12\n8 size=\n").unwrap().size, None);
        for bad in [
            &b"12 size=12\n"[..],
            b"11 size=12",
            b"11 size=-1\n",
            b"5 a\nb",
            b"0 a=b\n",
            b"1 a=b\n",
            b"99999999999999999999999 a=b\n",
        ] {
            assert_eq!(read(bad), None, "{}", bad.escape_ascii());
        }
    }

    #[test]
    fn a_sparse_file_has_its_own_name() {
        let mut sparse = read(b"22 GNU.sparse.major=1\n21 GNU.sparse.name=a\n10 path=b\n").unwrap();
        assert!(sparse.is_sparse);
        assert_eq!(sparse.take_name().as_deref(), Some(&b"a"[..]));
    }

    proptest! {
        #[test]
        fn any_records_are_an_answer(records in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = read(&records);
        }

        #[test]
        fn any_text_of_records_is_an_answer(records in "([0-9]{1,2} [a-z.=]{0,12}\n?){0,4}") {
            let _ = read(records.as_bytes());
        }
    }
}
