//! Docker images of schema 1, as libtrust reads them.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::Value;

/// What was signed, byte for byte: the payload that a registry stores. Nothing where no format is
/// told, as of a manifest of any other kind.
#[must_use]
pub fn payload(signed: &[u8]) -> Option<Vec<u8>> {
    let decode = |text: &Value| BASE64_URL_SAFE_NO_PAD.decode(text.as_str()?).ok();
    let manifest: Value = serde_json::from_slice(signed).ok()?;
    let protected = decode(&manifest["signatures"][0]["protected"])?;
    let format: Value = serde_json::from_slice(&protected).ok()?;
    let mut payload = signed.get(..format["formatLength"].as_u64()? as usize)?.to_vec();
    payload.extend(decode(&format["formatTail"])?);
    Some(payload)
}
