//! Every limit of the bundle (spec/bundle.md, "Limits") and of what comes from outside, in one
//! place. Each bounds the memory that a few damaged or hostile bytes can claim.

/// No catalog is larger (bytes): some million images.
pub const MAX_CATALOG: u64 = 1 << 30;

/// The entries of a bundle have no more bytes in all, so that the offsets of all that a sound
/// catalog lists can be counted.
pub const MAX_BUNDLE: u128 = 1 << 60;

/// Distribution accepts no manifest larger than this (bytes).
pub const MAX_MANIFEST: u64 = 4 << 20;

/// Indexes may list indexes, in so many steps from the outermost to a manifest that lists none.
/// Real ones take one or two.
pub const MAX_NESTING: usize = 32;

/// A bundle requires no more features than this.
pub const MAX_FEATURES: usize = 16;

/// The name of a feature has no more bytes than this.
pub const MAX_FEATURE: usize = 64;

/// Neither a media type nor an artifact type has more bytes: RFC 6838, 4.2, gives each of the two
/// names in it 127 characters, and Harbor's database has room for no more.
pub const MAX_MEDIA_TYPE: usize = 255;

/// No text that tells what was left out of a bundle is longer (bytes).
pub const MAX_LEFT_OUT: usize = 4096;

/// Distribution refuses longer repository names (bytes).
pub const MAX_REPOSITORY: usize = 255;

/// The grammar of a tag allows no more characters.
pub const MAX_TAG: usize = 128;
