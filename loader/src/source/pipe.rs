//! A bundle that passes by in a pipe.
//!
//! One thread owns the stream. It takes out of it what somebody wants, fills a slot with it, and
//! waits when enough slots are full that nobody has asked for yet.

use std::collections::{HashMap, HashSet};
use std::env::temp_dir;
use std::fs::File;
use std::io::{self, Read, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use tokio::sync::Notify;
use tokio::task::spawn_blocking;
use tranship_common::bundle::{BlobId, Entry, ReadError, Stream};
use tranship_common::{ReadAt, Verified};

use super::{Input, Source};
use crate::failure::{Failure, Kind};
use crate::registry::{Content, SMALL};
use crate::transfer::stop::Stop;

/// So many blobs are kept ready that nobody has asked for yet.
const AHEAD: usize = 16;

/// Pieces in which blobs are taken out of the pipe (bytes).
const PIECE: usize = 128 << 10;

type Slot = Result<Arc<dyn Content>, Failure>;

/// The far end of the pipe, as everybody but its thread sees it.
pub(super) struct PipeSource {
    shared: Arc<Shared>,
    stop: Stop,
}

struct Shared {
    state: Mutex<State>,
    /// A slot was filled, or the pipe has ended.
    filled: Notify,
    /// There is room for more.
    room: Condvar,
}

struct State {
    /// What may still be asked for.
    wanted: HashSet<BlobId>,
    /// What has come out of the pipe and may still be asked for.
    slots: HashMap<BlobId, Slot>,
    /// Blobs in slots that nobody has asked for yet.
    unasked: HashSet<BlobId>,
    /// What somebody waits for.
    awaited: HashSet<BlobId>,
    /// The first thing that was wrong.
    damage: Option<Failure>,
    /// Why nothing more comes, if something should.
    end: Option<Failure>,
    /// Nothing more comes.
    ended: bool,
    /// Nobody is there any more.
    abandoned: bool,
}

impl PipeSource {
    /// Lets the pipe flow. What is not wanted is passed over.
    pub(super) fn begin(
        stream: Stream<Input>,
        wanted: impl IntoIterator<Item = BlobId>,
        stop: Stop,
    ) -> Self {
        let state = State {
            wanted: wanted.into_iter().collect(),
            slots: HashMap::new(),
            unasked: HashSet::new(),
            awaited: HashSet::new(),
            damage: None,
            end: None,
            ended: false,
            abandoned: false,
        };
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            filled: Notify::new(),
            room: Condvar::new(),
        });
        let flowing = Arc::clone(&shared);
        spawn_blocking(move || flow(stream, &flowing));
        Self { shared, stop }
    }

    async fn slot(&self, id: BlobId) -> Slot {
        loop {
            let mut filled = std::pin::pin!(self.shared.filled.notified());
            filled.as_mut().enable();
            {
                let mut state = self.shared.state();
                if let Some(slot) = state.slots.get(&id).cloned() {
                    state.unasked.remove(&id);
                    state.awaited.remove(&id);
                    self.shared.room.notify_one();
                    return slot;
                }
                if state.ended {
                    let missing = || Failure::of_bytes("it has passed by already");
                    return Err(state.end.clone().unwrap_or_else(missing));
                }
                state.awaited.insert(id);
                self.shared.room.notify_one();
            }
            tokio::select! {
                () = filled => {}
                () = self.stop.wanted() => return Err(Failure::stopped()),
            }
        }
    }

    async fn drain(&self) -> Result<(), Failure> {
        {
            let mut state = self.shared.state();
            state.wanted.clear();
            state.slots.clear();
            state.unasked.clear();
            self.shared.room.notify_one();
        }
        loop {
            let mut filled = std::pin::pin!(self.shared.filled.notified());
            filled.as_mut().enable();
            {
                let state = self.shared.state();
                if state.ended {
                    let wrong = state.damage.as_ref().or(state.end.as_ref());
                    return wrong.cloned().map_or(Ok(()), Err);
                }
            }
            tokio::select! {
                () = filled => {}
                () = self.stop.wanted() => return Err(Failure::stopped()),
            }
        }
    }
}

impl Source for PipeSource {
    fn blob(&self, id: BlobId) -> LocalBoxFuture<'_, Slot> {
        self.slot(id).boxed_local()
    }

    fn forget(&self, id: BlobId) {
        let mut state = self.shared.state();
        state.wanted.remove(&id);
        state.slots.remove(&id);
        state.unasked.remove(&id);
        self.shared.room.notify_one();
    }

    /// Reads the rest of the pipe, so that its writer ends well and damage anywhere is seen.
    fn finish(&self) -> LocalBoxFuture<'_, Result<(), Failure>> {
        self.drain().boxed_local()
    }
}

impl Drop for PipeSource {
    fn drop(&mut self) {
        self.shared.state().abandoned = true;
        self.shared.room.notify_one();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until another blob can be taken in. One that somebody waits for comes in any case: it
    /// may be behind those that are ready. Tells whether anybody is left who could take it.
    fn wait_for_room(&self) -> bool {
        let mut state = self.state();
        while !state.abandoned && state.unasked.len() >= AHEAD && state.awaited.is_empty() {
            state = self.room.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        !state.abandoned
    }

    fn fill(&self, id: BlobId, slot: Slot, is_blob: bool) {
        let mut state = self.state();
        if let Err(failure) = &slot {
            state.damage.get_or_insert_with(|| failure.clone());
        }
        if state.wanted.contains(&id) {
            let is_awaited = state.awaited.remove(&id);
            if is_blob && !is_awaited {
                state.unasked.insert(id);
            }
            state.slots.insert(id, slot);
        }
        self.filled.notify_waiters();
    }

    fn end(&self, damage: Option<&ReadError>) {
        let mut state = self.state();
        state.end = damage.map(|error| Failure { kind: Kind::Ended, ..in_words(error) });
        state.ended = true;
        self.filled.notify_waiters();
    }
}

/// Reads the pipe to its end and takes out what is wanted.
fn flow(mut stream: Stream<Input>, shared: &Shared) {
    let manifests = stream.contents().catalog().manifests.len();
    for position in 0.. {
        if !shared.wait_for_room() {
            return;
        }
        let entry = stream.layout().entries().get(position).copied();
        let is_wanted = |id| shared.state().wanted.contains(&id);
        let taken = stream.next_entry(|entry, bytes| match is_wanted(entry.id) {
            true => take(entry, bytes).map(Some),
            false => io::copy(bytes, &mut io::sink()).map(|_| None),
        });
        match (entry, taken) {
            (Some(entry), Ok(Some(Some(slot)))) => {
                shared.fill(entry.id, slot, position >= manifests);
            }
            (Some(_), Ok(Some(None))) => {}
            (Some(entry), Err(error)) if error.can_read_on() => {
                shared.fill(entry.id, Err(in_words(&error)), position >= manifests);
            }
            (_, Err(error)) => return shared.end(Some(&error)),
            (_, Ok(_)) => return shared.end(None),
        }
    }
}

fn in_words(error: &ReadError) -> Failure {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    Failure::of_bytes(&text)
}

/// Takes an entry out of the pipe: into memory when it is small, into an unnamed file otherwise, so
/// that an upload of it can be repeated. When there is no room for it, only this one is lost.
fn take(entry: Entry, bytes: &mut dyn Read) -> io::Result<Slot> {
    if entry.size <= SMALL {
        let mut memory = Vec::with_capacity(entry.size as usize);
        bytes.read_to_end(&mut memory)?;
        return Ok(Ok(Arc::new(InMemory(memory.into()))));
    }
    let mut spooled = tempfile::tempfile();
    let mut piece = vec![0; PIECE];
    loop {
        let read = match bytes.read(&mut piece) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if let Ok(file) = &mut spooled
            && let Err(error) = file.write_all(&piece[..read])
        {
            spooled = Err(error);
        }
    }
    Ok(match spooled {
        Ok(file) => Ok(Arc::new(Spooled(file, entry))),
        Err(error) => Err(Failure::of_bytes(&format!(
            "it has {} bytes, and there is no room for them in the temporary folder {}: {error}; \
             set TMPDIR to a folder with more",
            entry.size,
            temp_dir().display()
        ))),
    })
}

/// Bytes that were checked when they came out of the pipe.
struct InMemory(Bytes);

impl Content for InMemory {
    fn size(&self) -> u64 {
        self.0.len() as u64
    }

    fn open(&self) -> io::Result<Box<dyn Read + Send + '_>> {
        Ok(Box::new(&self.0[..]))
    }

    fn in_memory(&self) -> Option<Bytes> {
        Some(self.0.clone())
    }
}

/// An unnamed file that holds an entry.
struct Spooled(File, Entry);

impl Content for Spooled {
    fn size(&self) -> u64 {
        self.1.size
    }

    /// The bytes are checked again: they have been on a disk meanwhile.
    fn open(&self) -> io::Result<Box<dyn Read + Send + '_>> {
        let bytes = ReadAt::new(&self.0, 0);
        Ok(Box::new(Verified::new(bytes.take(self.1.size), self.1.digest, self.1.size)))
    }
}
