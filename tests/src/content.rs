//! Seeded content: layers, configs, manifests.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use tranship_common::{Digest, kinds};

/// Media type of a gzip layer of an OCI image.
pub const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
/// Media type of the config of an OCI image.
pub const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// Media type of a layer of a Docker image.
pub const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";
/// Media type of the config of a Docker image.
pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
/// Media type of the config of an artifact that has none.
pub const EMPTY: &str = "application/vnd.oci.empty.v1+json";

/// The two families of images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Docker, schema 2.
    Docker,
    /// OCI.
    Oci,
}

impl Family {
    /// Media types of manifest, config, gzip layer and index.
    #[must_use]
    pub fn kinds(self) -> [&'static str; 4] {
        match self {
            Self::Docker => {
                [kinds::DOCKER_MANIFEST, DOCKER_CONFIG, DOCKER_LAYER, kinds::DOCKER_LIST]
            }
            Self::Oci => [kinds::OCI_MANIFEST, OCI_CONFIG, OCI_LAYER, kinds::OCI_INDEX],
        }
    }
}

/// A tar archive with one file of `size` seeded bytes.
#[must_use]
pub fn tarball(random: &mut fastrand::Rng, size: usize) -> Vec<u8> {
    // Half of it compresses.
    let bytes: Vec<u8> =
        (0..size).map(|at| if at % 2 == 0 { random.u8(..) } else { b'.' }).collect();
    let mut header = tar::Header::new_ustar();
    header.set_size(size as u64);
    header.set_mode(0o644);
    let mut builder = tar::Builder::new(Vec::new());
    let name = format!("srv/{:08x}", random.u32(..));
    builder.append_data(&mut header, name, &bytes[..]).expect("writing to memory");
    builder.into_inner().expect("writing to memory")
}

/// The bytes, compressed.
#[must_use]
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("writing to memory");
    encoder.finish().expect("writing to memory")
}

/// The bytes in a zstd frame of raw blocks (RFC 8878), which needs no compressor.
#[must_use]
pub fn zstd(bytes: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0xa0];
    frame.extend((bytes.len() as u32).to_le_bytes());
    let mut blocks = bytes.chunks(128 << 10).peekable();
    while let Some(block) = blocks.next() {
        let header = (block.len() as u32) << 3 | u32::from(blocks.peek().is_none());
        frame.extend(&header.to_le_bytes()[..3]);
        frame.extend(block);
    }
    frame
}

/// The config of an image with these layers.
#[must_use]
pub fn config(architecture: &str, note: &str, diff_ids: &[Digest]) -> Vec<u8> {
    let diff_ids: Vec<_> = diff_ids.iter().map(Digest::to_string).collect();
    json!({
        "architecture": architecture,
        "os": "linux",
        "config": {"Labels": {"note": note}},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    })
    .to_string()
    .into_bytes()
}

/// A descriptor.
#[must_use]
pub fn descriptor(media_type: &str, digest: Digest, size: usize) -> Value {
    json!({"mediaType": media_type, "digest": digest.to_string(), "size": size})
}
