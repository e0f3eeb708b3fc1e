//! Whether a file of so many bytes fits where it is to be.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;

use rustix::process::Resource;

/// FAT file systems have no larger files (bytes).
const FAT_LIMIT: u64 = (4 << 30) - 1;

/// What `statfs` calls FAT.
const FAT_MAGIC: u64 = 0x4d44;

/// What hinders a file from growing to so many bytes, or `None` as far as the system tells.
pub(super) fn hindrance(file: &File, bytes: u64) -> io::Result<Option<String>> {
    if let Some(limit) = rustix::process::getrlimit(Resource::Fsize).current
        && bytes > limit
    {
        return Ok(Some(format!(
            "this user's files may have {limit} (ulimit -f, systemd's LimitFSIZE)"
        )));
    }
    let disk = rustix::fs::fstatfs(file)?;
    if disk.f_type as u64 == FAT_MAGIC && bytes > FAT_LIMIT {
        return Ok(Some(format!("the disk is a FAT file system, whose files have {FAT_LIMIT}")));
    }
    // What the staged file has already is written over.
    let has = file.metadata()?.blocks().saturating_mul(512);
    let free = (disk.f_bavail as u64).saturating_mul(disk.f_bsize as u64).saturating_add(has);
    // File systems that count nothing say that they have no blocks at all.
    match disk.f_blocks > 0 && free < bytes {
        true => Ok(Some(format!("the disk has {free} free"))),
        false => Ok(None),
    }
}
