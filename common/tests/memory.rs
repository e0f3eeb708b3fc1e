//! How much memory a large catalog takes: that of what is in it, not of its text, nor of the files
//! that follow from it.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]
#![allow(unsafe_code, reason = "an allocator that counts cannot be had without")]

use std::alloc::{GlobalAlloc, Layout as Memory, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use tranship_common::bundle::{
    BlobEntry, Catalog, Contents, FORMAT_VERSION, Layout, LeftOut, ManifestEntry, RepositoryEntry,
    Stream, TagEntry, Writer,
};
use tranship_common::{Digest, PushTime};

/// Bytes that are allocated now, and the most that ever were.
struct Counting {
    now: AtomicUsize,
    most: AtomicUsize,
}

// SAFETY: all work is the system's allocator's.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, memory: Memory) -> *mut u8 {
        let now = self.now.fetch_add(memory.size(), Ordering::Relaxed) + memory.size();
        self.most.fetch_max(now, Ordering::Relaxed);
        // SAFETY: the caller keeps the rules.
        unsafe { System.alloc(memory) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, memory: Memory) {
        self.now.fetch_sub(memory.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the rules.
        unsafe { System.dealloc(pointer, memory) }
    }
}

#[global_allocator]
static MEMORY: Counting = Counting { now: AtomicUsize::new(0), most: AtomicUsize::new(0) };

/// The front of a bundle of so many images, each with a config and nine layers of its own.
fn front(images: usize) -> Vec<u8> {
    let digest = |kind: &str, number: usize| Digest::of(format!("{kind} {number}").as_bytes());
    let blobs_of = |image: usize| (0..10).map(move |blob| digest("blob", image * 10 + blob));
    let manifest = |image| ManifestEntry {
        digest: digest("manifest", image),
        size: 2000,
        media_type: "application/vnd.oci.image.manifest.v1+json".into(),
        artifact_type: None,
        subject: None,
        manifests: Vec::new(),
        blobs: blobs_of(image).collect(),
        foreign: Vec::new(),
    };
    let tag = |image| TagEntry {
        name: format!("build-{image:06}").parse().unwrap(),
        digest: digest("manifest", image),
        pushed: PushTime::from_unix(0),
        selected_from: None,
    };
    let contents = Contents::new(Catalog {
        format_version: FORMAT_VERSION,
        required_features: Vec::new(),
        repositories: vec![RepositoryEntry {
            name: "team/app".parse().unwrap(),
            tags: (0..images).map(tag).collect(),
            referrers: Vec::new(),
        }],
        manifests: (0..images).map(manifest).collect(),
        blobs: (0..images)
            .flat_map(blobs_of)
            .map(|digest| BlobEntry { digest, size: 100_000 })
            .collect(),
        left_out: LeftOut::default(),
    });
    let contents = contents.unwrap();
    let mut bytes = Vec::new();
    Writer::new(&mut bytes, &contents, &Layout::new(&contents)).unwrap();
    bytes
}

#[test]
fn the_text_of_the_front_is_not_kept() {
    let images = 5000;
    let front = front(images);
    let before = MEMORY.now.load(Ordering::Relaxed);
    MEMORY.most.store(before, Ordering::Relaxed);
    let stream = Stream::open(&front[..]).unwrap();
    let most = MEMORY.most.load(Ordering::Relaxed) - before;
    assert_eq!(stream.contents().image_count(), images);

    // For some 400 bytes of text of each blob there are 40 for its digest and size, 64 for its place
    // and 32 in its manifest, and a list that grows takes as much again for a moment.
    assert!(most < front.len() / 4 * 3, "{most} bytes at once for a front of {}", front.len());
}
