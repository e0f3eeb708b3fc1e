//! Files that appear whole or not at all.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Seek};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// A file that is written under a staged name, `NAME.partial`, and gets its own name only by
/// [`commit`](Self::commit). What an interrupted run left under the staged name is overwritten by
/// the next; two runs at once are kept apart by a lock on it.
#[derive(Debug)]
pub struct StagedFile {
    file: File,
    staged: PathBuf,
    target: PathBuf,
    is_locked: bool,
    committed: bool,
}

impl StagedFile {
    /// Opens the staged file beside its target and takes the lock. A symbolic link in the place of
    /// the target stays, and what it leads to is the target; in the place of the staged file, where
    /// nobody but an attacker would make one, it is refused.
    ///
    /// # Errors
    /// As for opening a file; `WouldBlock` when another process is writing the same target;
    /// `InvalidInput` when the target or the staged file is there and no file, as a device or a pipe.
    pub fn create(target: &Path) -> io::Result<Self> {
        let target = Self::target_of(target)?;
        let staged = beside(&target, ".partial")?;
        let file = open_staged(&staged)?;
        let (is_locked, is_ours) = match file.try_lock() {
            // Who held the lock until now may have given the file its own name.
            Ok(()) => (true, is_named(&file, &staged)?),
            Err(TryLockError::WouldBlock) => (false, false),
            // Network disks without locks: better to write than to refuse.
            Err(TryLockError::Error(error)) if has_no_locks(&error) => (false, true),
            Err(TryLockError::Error(error)) => return Err(error),
        };
        if !is_ours {
            let text = format!("another process is writing {}", staged.display());
            return Err(io::Error::new(io::ErrorKind::WouldBlock, text));
        }
        file.set_len(0)?;
        Ok(Self { file, staged, target, is_locked, committed: false })
    }

    /// The path that gets its name in the end: where links lead, if the target is one, in a folder
    /// that is named without links.
    ///
    /// # Errors
    /// `InvalidInput` when there is something that is no file; as for looking at the folder.
    pub fn target_of(target: &Path) -> io::Result<PathBuf> {
        match fs::canonicalize(target) {
            Ok(there) if there.is_file() => Ok(there),
            Ok(there) => {
                let text = format!(
                    "{} is there and is not a file; to write to a pipe or a device, write to \
                     standard output (`-`) and redirect that",
                    there.display()
                );
                Err(io::Error::new(io::ErrorKind::InvalidInput, text))
            }
            Err(_) => {
                let target = behind_link(target);
                let name = target.file_name().ok_or_else(names_no_file)?;
                let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty());
                Ok(fs::canonicalize(folder.unwrap_or(Path::new(".")))?.join(name))
            }
        }
    }

    /// Whether others are kept from writing it at the same time; some network disks cannot do that.
    #[must_use]
    pub fn is_locked(&self) -> bool {
        self.is_locked
    }

    /// All paths that writing a target may touch: it, its staged file, and what is set aside.
    ///
    /// # Errors
    /// As [`target_of`](Self::target_of).
    pub fn paths_of(target: &Path) -> io::Result<[PathBuf; 3]> {
        let target = Self::target_of(target)?;
        let (staged, previous) = (beside(&target, ".partial")?, beside(&target, ".previous")?);
        Ok([target, staged, previous])
    }

    /// The path under which the file is written.
    #[must_use]
    pub fn staged_path(&self) -> &Path {
        &self.staged
    }

    /// Begins anew: whatever was written is gone.
    ///
    /// # Errors
    /// As for writing.
    pub fn restart(&self) -> io::Result<()> {
        self.file.set_len(0)?;
        (&self.file).rewind()
    }

    /// Gives what has the target's name another one, `NAME.previous`, and returns that, or `None`
    /// where nothing has it.
    ///
    /// # Errors
    /// As for renaming.
    pub fn set_aside(&self) -> io::Result<Option<PathBuf>> {
        let previous = beside(&self.target, ".previous")?;
        match fs::rename(&self.target, &previous) {
            Ok(()) => Ok(Some(previous)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The file to write to.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Makes the bytes durable, then gives the file its name, replacing what had it. Returns why
    /// the folder could not be synced, which some network disks refuse: the name is given all the
    /// same.
    ///
    /// # Errors
    /// As for syncing and renaming; the target is then as it was.
    pub fn commit(mut self) -> io::Result<Option<io::Error>> {
        self.file.sync_all()?;
        // Somebody may have put another file in its place.
        if !is_named(&self.file, &self.staged)? {
            let text = format!("{} was replaced while it was written", self.staged.display());
            return Err(io::Error::other(text));
        }
        fs::rename(&self.staged, &self.target)?;
        self.committed = true;
        let folder = self.target.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = File::open(folder.unwrap_or(Path::new(".")));
        Ok(folder.and_then(|folder| folder.sync_all()).err())
    }
}

impl Drop for StagedFile {
    fn drop(&mut self) {
        // What another has put in its place is the other's.
        if !self.committed && is_named(&self.file, &self.staged).unwrap_or(true) {
            // Nothing depends on it: the next run would overwrite the file.
            let _ = fs::remove_file(&self.staged);
        }
    }
}

/// A path in the same folder whose name has this ending.
fn beside(target: &Path, ending: &str) -> io::Result<PathBuf> {
    let mut name = target.file_name().ok_or_else(names_no_file)?.to_owned();
    name.push(ending);
    Ok(target.with_file_name(name))
}

fn names_no_file() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "the path names no file")
}

/// Whether a file system says that it has no locks.
fn has_no_locks(error: &io::Error) -> bool {
    let codes = [libc::ENOLCK, libc::EOPNOTSUPP, libc::ENOSYS];
    error.raw_os_error().is_some_and(|code| codes.contains(&code))
}

/// Where a link leads whose end is not there yet; any other path as it is.
fn behind_link(path: &Path) -> PathBuf {
    let mut path = path.to_owned();
    // As many as the kernel follows.
    for _ in 0..40 {
        match fs::read_link(&path) {
            Ok(end) => path = path.with_file_name("").join(end),
            Err(_) => break,
        }
    }
    path
}

/// Opens a file for writing and reading again, made if it is not there, and never what a link leads to. Waits for
/// nobody, as a pipe without a reader would.
fn open_staged(path: &Path) -> io::Result<File> {
    let not_a_file = || {
        let text = format!("{} is there and is not a file: remove it", path.display());
        io::Error::new(io::ErrorKind::InvalidInput, text)
    };
    let opened = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(path);
    match opened {
        Ok(file) if file.metadata()?.is_file() => Ok(file),
        Ok(_) => Err(not_a_file()),
        Err(_) if fs::symlink_metadata(path).is_ok_and(|there| !there.is_file()) => {
            Err(not_a_file())
        }
        Err(error) => Err(error),
    }
}

/// Whether a path is the name of an open file.
fn is_named(file: &File, path: &Path) -> io::Result<bool> {
    let file = file.metadata()?;
    let is_same = |there: fs::Metadata| (there.dev(), there.ino()) == (file.dev(), file.ino());
    Ok(fs::symlink_metadata(path).is_ok_and(is_same))
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
    fn no_link_and_no_pipe_is_followed_in_the_place_of_the_staged_file() {
        let folder = tempfile::tempdir().unwrap();
        let (target, staged) = (folder.path().join("a"), folder.path().join("a.partial"));
        let victim = folder.path().join("victim");
        fs::write(&victim, b"mine").unwrap();
        let refused = || {
            let error = StagedFile::create(&target).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
            let text = format!("{} is there and is not a file: remove it", staged.display());
            assert_eq!(error.to_string(), text);
        };
        for end in [&victim, &folder.path().join("nothing")] {
            std::os::unix::fs::symlink(end, &staged).unwrap();
            refused();
            fs::remove_file(&staged).unwrap();
        }
        assert_eq!(fs::read(&victim).unwrap(), b"mine");
        assert!(!folder.path().join("nothing").exists());

        let made = std::process::Command::new("mkfifo").arg(&staged).status().unwrap();
        assert!(made.success());
        refused();
        let reader = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(&staged);
        refused();
        drop(reader);
        fs::remove_file(&staged).unwrap();
        fs::create_dir(&staged).unwrap();
        refused();
    }

    #[test]
    fn who_waited_for_a_lock_does_not_write_into_the_finished_file() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("a");
        let first = StagedFile::create(&target).unwrap();
        first.file().write_all(b"one").unwrap();
        // Another has opened the staged file just before it gets its own name.
        let second = open_staged(&first.staged).unwrap();
        assert!(is_named(&second, &first.staged).unwrap());
        let staged = first.staged.clone();
        first.commit().unwrap();
        assert!(!is_named(&second, &staged).unwrap());
    }

    #[test]
    fn what_is_set_aside_keeps_its_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let (target, link) = (folder.path().join("a"), folder.path().join("link"));
        std::os::unix::fs::symlink("a", &link).unwrap();
        // The link leads nowhere yet.
        let staged = StagedFile::create(&link).unwrap();
        assert_eq!(staged.set_aside().unwrap(), None);
        staged.file().write_all(b"one").unwrap();
        staged.commit().unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"one");

        let staged = StagedFile::create(&link).unwrap();
        let previous = staged.set_aside().unwrap().unwrap();
        drop(staged);
        assert_eq!(fs::read(&previous).unwrap(), b"one");
        assert!(previous.ends_with("a.previous"));
        assert!(!target.exists());
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    }

    #[test]
    fn disks_without_locks_are_written_to() {
        let no_locks = |code| has_no_locks(&io::Error::from_raw_os_error(code));
        assert!([libc::ENOLCK, libc::EOPNOTSUPP, libc::ENOSYS].into_iter().all(no_locks));
        assert!(!no_locks(libc::EIO) && !has_no_locks(&io::Error::other("x")));
    }

    #[test]
    fn what_another_has_put_in_its_place_is_neither_taken_nor_removed() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("a");
        let replace = |staged: &StagedFile| {
            fs::remove_file(staged.staged_path()).unwrap();
            fs::write(staged.staged_path(), b"another's").unwrap();
        };
        let staged = StagedFile::create(&target).unwrap();
        replace(&staged);
        let text = staged.commit().unwrap_err().to_string();
        assert!(text.ends_with("a.partial was replaced while it was written"), "{text}");
        assert_eq!(fs::read(folder.path().join("a.partial")).unwrap(), b"another's");
        assert!(!target.exists());
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
