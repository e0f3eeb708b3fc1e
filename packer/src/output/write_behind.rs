//! Brings a long file to the disk while it is still being written, so that the sync at its end
//! does not have all of it to wait for.

use std::fs::File;
use std::io::{self, Write};
use std::thread::{self, JoinHandle};

/// After this many bytes the disk is set to work.
const STRETCH: usize = 64 << 20;

/// A writer to a file, with at most one sync under way behind it.
#[derive(Debug)]
pub(crate) struct WriteBehind<'a> {
    file: &'a File,
    written: usize,
    sync: Option<JoinHandle<io::Result<()>>>,
}

impl<'a> WriteBehind<'a> {
    pub(crate) fn new(file: &'a File) -> Self {
        Self { file, written: 0, sync: None }
    }

    /// Waits for the sync that is under way. The kernel reports a failure to write once, so it is
    /// taken from here and not left to a later sync, that would not see it.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        self.wait()
    }

    fn wait(&mut self) -> io::Result<()> {
        match self.sync.take().map(JoinHandle::join) {
            Some(Ok(result)) => result,
            Some(Err(_)) => Err(io::Error::other("the sync panicked")),
            None => Ok(()),
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        if self.sync.as_ref().is_some_and(|sync| !sync.is_finished()) {
            return Ok(());
        }
        self.wait()?;
        self.written = 0;
        let file = self.file.try_clone()?;
        self.sync = Some(thread::spawn(move || file.sync_data()));
        Ok(())
    }
}

impl Write for WriteBehind<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.written += written;
        if self.written >= STRETCH {
            self.sync()?;
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
