//! Docker images of schema 1 on the wire: with a JSON Web Signature (RFC 7515) in them, in the form
//! of Docker's libtrust.
//!
//! A registry checks that the signature is right, not whose it is, keeps the payload alone, and names
//! the image by the payload's digest. So every push signs with a key of its own, which is forgotten.

use std::io;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use ring::error::Unspecified;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use serde_json::{Value, json};

/// What stands before the point of a public key of the curve P-256 in DER (RFC 5480).
const DER_PREFIX: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// RFC 4648.
const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// A manifest of schema 1 with a signature.
///
/// # Errors
/// When the system has no random numbers for a key.
pub(super) fn signed(payload: &[u8]) -> io::Result<Vec<u8>> {
    let no_key = |_: Unspecified| {
        io::Error::other("the system has no random numbers to sign an image of schema 1 with")
    };
    let random = SystemRandom::new();
    let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
    let secret = EcdsaKeyPair::generate_pkcs8(algorithm, &random).map_err(no_key)?;
    let key = EcdsaKeyPair::from_pkcs8(algorithm, secret.as_ref(), &random)
        .expect("it was made a moment ago");

    let (kept, tail) = payload.split_at(kept_length(payload));
    let format = json!({"formatLength": kept.len(), "formatTail": base64(tail)});
    let protected = base64(format.to_string().as_bytes());
    let input = format!("{protected}.{}", base64(payload));
    let signature = key.sign(&random, input.as_bytes()).map_err(no_key)?;
    let signatures = json!([{
        "header": {"jwk": public_key(key.public_key().as_ref()), "alg": "ES256"},
        "signature": base64(signature.as_ref()),
        "protected": protected,
    }]);
    Ok([kept, br#","signatures":"#, signatures.to_string().as_bytes(), b"}"].concat())
}

/// The payload of a manifest of schema 1 with signatures; nothing when it is none.
pub(super) fn payload(signed: &[u8]) -> Option<Vec<u8>> {
    // A payload may hold signatures itself: of two fields of one name the last one counts.
    let fields: Value = serde_json::from_slice(signed).ok()?;
    if fields["schemaVersion"] != 1 {
        return None;
    }
    let decoded = |text: &Value| BASE64_URL_SAFE_NO_PAD.decode(text.as_str()?).ok();
    let protected = decoded(&fields["signatures"][0]["protected"])?;
    let format: Value = serde_json::from_slice(&protected).ok()?;
    let kept = signed.get(..usize::try_from(format["formatLength"].as_u64()?).ok()?)?;
    Some([kept, &decoded(&format["formatTail"])?].concat())
}

/// How many bytes of a payload stand before its last brace and the blanks around that.
fn kept_length(payload: &[u8]) -> usize {
    let text = payload.trim_ascii_end();
    text.strip_suffix(b"}").unwrap_or(text).trim_ascii_end().len()
}

/// A public key as a JSON Web Key (RFC 7517), from its point: 4, x, y.
fn public_key(point: &[u8]) -> Value {
    let (x, y) = point[1..].split_at(32);
    json!({"kty": "EC", "crv": "P-256", "kid": key_id(point), "x": base64(x), "y": base64(y)})
}

/// Libtrust's name for a key, which it checks: twelve groups of four characters of base32, from the
/// first 240 bits of the hash over the key in DER.
fn key_id(point: &[u8]) -> String {
    let hash = digest(&SHA256, &[&DER_PREFIX, point].concat());
    let character = |at: usize| {
        let bit = at * 5;
        let bytes = &hash.as_ref()[bit / 8..];
        let pair = u16::from_be_bytes([bytes[0], bytes[1]]);
        char::from(BASE32[usize::from(pair >> (11 - bit % 8) & 31)])
    };
    let groups: Vec<String> =
        (0..12).map(|group| (group * 4..group * 4 + 4).map(character).collect()).collect();
    groups.join(":")
}

fn base64(bytes: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As registries store them: in libtrust's own form, in one line, and with a line feed.
    const PAYLOADS: [&str; 5] = [
        "{\n   \"schemaVersion\": 1,\n   \"fsLayers\": []\n}",
        r#"{"schemaVersion":1,"fsLayers":[]}"#,
        "{\"schemaVersion\":1,\"fsLayers\":[]}\n",
        "\t{ \"fsLayers\" : [ {\"blobSum\": \"}\"} ] , \"schemaVersion\": 1 \r\n } \r\n\n",
        "{\"schemaVersion\":1,\"signatures\":[{\"protected\":\"eyJmb3JtYXRMZW5ndGgiOjF9\"}]\n}",
    ];

    #[test]
    fn the_payload_is_found_again_byte_for_byte() {
        for text in PAYLOADS {
            let signed = signed(text.as_bytes()).unwrap();
            assert_eq!(payload(&signed).unwrap(), text.as_bytes(), "{text:?}");
        }
    }

    /// Objects of some fields, with blanks of all kinds between their tokens.
    #[test]
    fn any_payload_is_found_again() {
        let mut random = fastrand::Rng::with_seed(11);
        let fields = [r#""a}":[{}]"#, r#""signatures":[]"#, r#""}":"\\""#, r#""é":"}""#];
        for round in 0..500 {
            let mut blanks = || -> String {
                let any = |_| random.choice([' ', '\t', '\r', '\n']).unwrap();
                (0..round % 4).map(any).collect()
            };
            let mut text = format!("{}{{{}\"schemaVersion\":1", blanks(), blanks());
            for field in fields.iter().cycle().skip(round % 7).take(round % 5) {
                text += &format!("{},{}{field}", blanks(), blanks());
            }
            text += &format!("{}}}{}", blanks(), blanks());
            let signed = signed(text.as_bytes()).unwrap();
            assert_eq!(payload(&signed).unwrap(), text.as_bytes(), "{text:?}");
        }
    }

    #[test]
    fn the_form_is_that_of_libtrust() {
        for (text, length, tail) in [
            (PAYLOADS[0], PAYLOADS[0].len() - 2, "\n}"),
            (PAYLOADS[1], PAYLOADS[1].len() - 1, "}"),
            (PAYLOADS[2], PAYLOADS[2].len() - 2, "}\n"),
            (PAYLOADS[3], PAYLOADS[3].len() - 9, " \r\n } \r\n\n"),
        ] {
            let signed = signed(text.as_bytes()).unwrap();
            let fields: Value = serde_json::from_slice(&signed).unwrap();
            let signature = &fields["signatures"][0];
            let decoded = |text: &Value| BASE64_URL_SAFE_NO_PAD.decode(text.as_str().unwrap());
            let protected = decoded(&signature["protected"]).unwrap();
            let format: Value = serde_json::from_slice(&protected).unwrap();
            assert_eq!(format["formatLength"], length, "{text:?}");
            assert_eq!(decoded(&format["formatTail"]).unwrap(), tail.as_bytes(), "{text:?}");
            assert_eq!(signature["header"]["alg"], "ES256");
            assert_eq!(decoded(&signature["signature"]).unwrap().len(), 64);
        }
    }

    #[test]
    fn keys_are_named_as_libtrust_names_them() {
        // The generator of P-256 (SEC 2, 2.4.2), its name as of a program of its own.
        let point = hex("046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296\
             4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5");
        assert_eq!(key_id(&point), "LTJF:F6YM:5CJS:INX2:7DGN:CBAJ:QG4J:5ZFN:NOP6:TYVC:W7TR:VLFS");
        let signed = [(); 2].map(|()| signed(PAYLOADS[0].as_bytes()).unwrap());
        let keys = signed.map(|signed| {
            let fields: Value = serde_json::from_slice(&signed).unwrap();
            fields["signatures"][0]["header"]["jwk"].clone()
        });
        assert_ne!(keys[0]["kid"], keys[1]["kid"], "a key is used once");
    }

    #[test]
    fn what_is_not_signed_has_no_payload() {
        let protected = base64(br#"{"formatLength":1000,"formatTail":"fQ"}"#);
        for text in [
            "",
            "[]",
            PAYLOADS[0],
            PAYLOADS[4],
            &format!(r#"{{"schemaVersion":2,"signatures":[{{"protected":"{protected}"}}]}}"#),
            &format!(r#"{{"schemaVersion":1,"signatures":[{{"protected":"{protected}"}}]}}"#),
        ] {
            assert_eq!(payload(text.as_bytes()), None, "{text:?}");
        }
    }

    fn hex(text: &str) -> Vec<u8> {
        let digit = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
        (0..text.len()).step_by(2).map(digit).collect()
    }
}
