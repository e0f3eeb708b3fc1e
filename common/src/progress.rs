//! How the domain tells that it goes on, without knowing a terminal.

/// Takes notice of work done. Implementations are shared by threads.
pub trait Progress: Send + Sync {
    /// A new stage begins, with this much to do. Zero means unknown.
    fn begin(&self, stage: &'static str, bytes: u64, images: u64);
    /// Bytes that were handled.
    fn add_bytes(&self, bytes: u64);
    /// Bytes that were counted but have to be handled again.
    fn take_back_bytes(&self, bytes: u64);
    /// Images that are complete.
    fn add_images(&self, images: u64);
    /// Something that a person wants to know while it goes on, as a wait for the target.
    fn say(&self, text: &str);
}

/// Progress that nobody looks at.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn begin(&self, _stage: &'static str, _bytes: u64, _images: u64) {}
    fn add_bytes(&self, _bytes: u64) {}
    fn take_back_bytes(&self, _bytes: u64) {}
    fn add_images(&self, _images: u64) {}
    fn say(&self, _text: &str) {}
}
