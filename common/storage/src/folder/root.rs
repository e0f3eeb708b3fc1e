//! Opens files below a folder, cheaply, without leaving the storage by a link.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::problem::Problem;

/// Where the symbolic links of a storage may lead.
#[derive(Debug, Clone)]
pub(super) enum Links {
    /// Into one of these folders, which are canonical.
    Within(Vec<PathBuf>),
    /// Anywhere.
    Anywhere,
}

impl Links {
    /// Follows the links of a path as far as they may lead.
    ///
    /// # Errors
    /// [`Problem::LeavesTree`] with the link that leads too far; as for [`fs::canonicalize`].
    pub(super) fn follow(&self, path: &Path) -> Result<PathBuf, Problem> {
        let real = fs::canonicalize(path)?;
        if self.allow(&real) {
            return Ok(real);
        }
        // The shortest part of the path that leaves is the link to look at.
        let mut link = PathBuf::new();
        for component in path.components() {
            link.push(component);
            let leaves = matches!(component, Component::Normal(_))
                && fs::symlink_metadata(&link).is_ok_and(|there| there.is_symlink())
                && fs::canonicalize(&link).is_ok_and(|end| !self.allow(&end));
            if leaves {
                break;
            }
        }
        let target = fs::canonicalize(&link).unwrap_or(real).display().to_string();
        Err(Problem::LeavesTree { link: link.display().to_string(), target })
    }

    fn allow(&self, real: &Path) -> bool {
        match self {
            Self::Within(folders) => folders.iter().any(|folder| real.starts_with(folder)),
            Self::Anywhere => true,
        }
    }
}

/// A folder of the storage that is open, so that files below it are found from there.
#[derive(Debug)]
pub(super) struct Root {
    path: PathBuf,
    folder: OwnedFd,
    links: Links,
}

/// What a file is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Its bytes. A pipe in its place is opened without a wait for somebody who writes, and ends
    /// at once.
    Read,
    /// Its size and times.
    Look,
}

impl Purpose {
    fn flags(self) -> OFlags {
        let purpose = match self {
            Self::Read => OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY,
            Self::Look => OFlags::PATH,
        };
        purpose | OFlags::CLOEXEC
    }
}

impl Root {
    /// Opens a folder, given by its canonical path.
    pub(super) fn open(path: PathBuf, links: Links) -> io::Result<Self> {
        let folder = File::open(&path)?.into();
        Ok(Self { path, folder, links })
    }

    /// The folder's canonical path.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Where links may lead.
    pub(super) fn links(&self) -> &Links {
        &self.links
    }

    /// Opens a file below the folder.
    ///
    /// # Errors
    /// [`Problem::Missing`], [`Problem::LeavesTree`], or what hinders.
    pub(super) fn file(&self, relative: &Path, purpose: Purpose) -> Result<File, Problem> {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        let opened =
            rustix::fs::openat2(&self.folder, relative, purpose.flags(), Mode::empty(), resolve);
        let opened = match opened {
            // Kernels before 5.6 do not have the call, and sandboxes made for them forbid it.
            Err(Errno::NOSYS | Errno::PERM) => self.step_by_step(relative, purpose),
            other => other,
        };
        match opened {
            Ok(file) => Ok(file.into()),
            // There is a link on the way, or somebody renamed what is on the way.
            Err(Errno::XDEV | Errno::LOOP | Errno::MLINK | Errno::AGAIN) => {
                let real = self.links.follow(&self.path.join(relative))?;
                let file = rustix::fs::open(&real, purpose.flags(), Mode::empty());
                Ok(file.map_err(io::Error::from)?.into())
            }
            Err(error) => Err(io::Error::from(error).into()),
        }
    }

    /// Opens each folder on the way and follows no link.
    fn step_by_step(&self, relative: &Path, purpose: Purpose) -> Result<OwnedFd, Errno> {
        let open = |folder: &OwnedFd, name: &OsStr, flags: OFlags| {
            rustix::fs::openat(folder, name, flags | OFlags::NOFOLLOW, Mode::empty())
        };
        let (Some(folders), Some(name)) = (relative.parent(), relative.file_name()) else {
            return Err(Errno::INVAL);
        };
        let mut inner: Option<OwnedFd> = None;
        for folder in folders {
            // What is no folder may be a link.
            let next = open(inner.as_ref().unwrap_or(&self.folder), folder, Purpose::Look.flags())?;
            let kind = rustix::fs::fstat(&next)?.st_mode;
            if rustix::fs::FileType::from_raw_mode(kind).is_symlink() {
                return Err(Errno::LOOP);
            }
            inner = Some(next);
        }
        let file = open(inner.as_ref().unwrap_or(&self.folder), name, purpose.flags())?;
        // Opened for a look, a link is opened itself.
        let is_link = || {
            let kind = rustix::fs::fstat(&file)?.st_mode;
            Ok::<_, Errno>(rustix::fs::FileType::from_raw_mode(kind).is_symlink())
        };
        if purpose == Purpose::Look && is_link()? { Err(Errno::LOOP) } else { Ok(file) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    /// `tree/a/file`, `tree/inner` to `a`, `tree/outer` to `outside`, beside `tree`.
    fn tree() -> (tempfile::TempDir, Root) {
        let top = tempfile::tempdir().unwrap();
        let tree = fs::canonicalize(top.path()).unwrap().join("tree");
        fs::create_dir_all(tree.join("a")).unwrap();
        fs::create_dir(top.path().join("outside")).unwrap();
        for file in ["tree/a/file", "outside/file"] {
            fs::write(top.path().join(file), file).unwrap();
        }
        symlink("a", tree.join("inner")).unwrap();
        symlink("../outside", tree.join("outer")).unwrap();
        symlink("../../outside/file", tree.join("a/link")).unwrap();
        let links = Links::Within(vec![tree.clone()]);
        (top, Root::open(tree, links).unwrap())
    }

    fn text(file: File) -> String {
        io::read_to_string(file).unwrap()
    }

    #[test]
    fn links_lead_no_further_than_allowed() {
        let (_top, root) = tree();
        let read = |path: &str| root.file(Path::new(path), Purpose::Read);
        assert_eq!(text(read("a/file").unwrap()), "tree/a/file");
        assert_eq!(text(read("inner/file").unwrap()), "tree/a/file");
        for (path, link) in [("outer/file", "outer"), ("a/link", "a/link")] {
            for purpose in [Purpose::Read, Purpose::Look] {
                let Problem::LeavesTree { link: named, target } =
                    root.file(Path::new(path), purpose).unwrap_err()
                else {
                    panic!("{path} was opened")
                };
                assert_eq!(Path::new(&named), root.path().join(link));
                assert!(target.contains("/outside"), "{target}");
            }
        }
        assert!(matches!(read("a/nothing"), Err(Problem::Missing)));
        let everywhere = Root { links: Links::Anywhere, ..root };
        let file = everywhere.file(Path::new("outer/file"), Purpose::Read).unwrap();
        assert_eq!(text(file), "outside/file");
    }

    #[test]
    fn old_kernels_open_the_same() {
        let (_top, root) = tree();
        for purpose in [Purpose::Read, Purpose::Look] {
            let step = |path: &str| root.step_by_step(Path::new(path), purpose);
            step("a/file").unwrap();
            assert_eq!(step("a/nothing").unwrap_err(), Errno::NOENT);
            for link in ["inner/file", "outer/file", "a/link"] {
                assert_eq!(step(link).unwrap_err(), Errno::LOOP, "{link}");
            }
        }
    }
}
