//! Files that appear whole or not at all.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

/// A file that is written under a staged name, `NAME.partial`, and gets its own name only by
/// [`commit`](Self::commit). What an interrupted run left under the staged name is overwritten by
/// the next; two runs at once are kept apart by a lock on it.
#[derive(Debug)]
pub struct StagedFile {
    file: File,
    staged: PathBuf,
    target: PathBuf,
    committed: bool,
}

impl StagedFile {
    /// Opens the staged file beside its target and takes the lock. A symbolic link to a file
    /// stays, and that file is the target.
    ///
    /// # Errors
    /// As for opening a file; `WouldBlock` when another process is writing the same target;
    /// `InvalidInput` when the target is there and no file, as a device or a pipe.
    pub fn create(target: &Path) -> io::Result<Self> {
        let target = match fs::canonicalize(target) {
            Ok(there) if there.is_file() => there,
            Ok(there) => {
                let text = format!(
                    "{} is there and is not a file; to write to a pipe or a device, write to \
                     standard output (`-`) and redirect that",
                    there.display()
                );
                return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
            }
            Err(_) => target.to_owned(),
        };
        let mut name = target
            .file_name()
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the path names no file"))?
            .to_owned();
        name.push(".partial");
        let staged = target.with_file_name(name);
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(&staged)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let text = format!("another process is writing {}", staged.display());
                return Err(io::Error::new(io::ErrorKind::WouldBlock, text));
            }
            Err(TryLockError::Error(error)) => return Err(error),
        }
        file.set_len(0)?;
        Ok(Self { file, staged, target, committed: false })
    }

    /// The file to write to.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Makes the bytes durable, then gives the file its name, replacing what had it.
    ///
    /// # Errors
    /// As for syncing and renaming; the target is then as it was.
    pub fn commit(mut self) -> io::Result<()> {
        self.file.sync_all()?;
        fs::rename(&self.staged, &self.target)?;
        self.committed = true;
        let folder = self.target.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
    }
}

impl Drop for StagedFile {
    fn drop(&mut self) {
        if !self.committed {
            // Nothing depends on it: the next run would overwrite the file.
            let _ = fs::remove_file(&self.staged);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn appears_only_when_committed() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("a");
        let staged = StagedFile::create(&target).unwrap();
        staged.file().write_all(b"one").unwrap();
        let second = StagedFile::create(&target).unwrap_err();
        assert_eq!(second.kind(), io::ErrorKind::WouldBlock);
        assert!(!target.exists());
        staged.commit().unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"one");

        drop(StagedFile::create(&target).unwrap());
        assert_eq!(fs::read(&target).unwrap(), b"one");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_is_no_file_stays_and_links_are_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (target, link) = (folder.path().join("a"), folder.path().join("link"));
        fs::write(&target, b"old").unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        let staged = StagedFile::create(&link).unwrap();
        staged.file().write_all(b"new").unwrap();
        staged.commit().unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read(&target).unwrap(), b"new");
        for no_file in [Path::new("/dev/full"), folder.path()] {
            let refused = StagedFile::create(no_file).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::InvalidInput);
        }
        assert!(!Path::new("/dev/full.partial").exists());
    }

    #[test]
    fn a_leftover_is_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("a");
        fs::write(folder.path().join("a.partial"), b"longer than what follows").unwrap();
        let staged = StagedFile::create(&target).unwrap();
        staged.file().write_all(b"new").unwrap();
        staged.commit().unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"new");
    }
}
