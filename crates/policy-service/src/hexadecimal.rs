//! Bytes as hexadecimal digits.

/// Two digits for each byte, in lower case.
pub fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The first 128 bits of a digest, as 32 digits.
pub fn short_name(digest: &[u8]) -> String {
    hexadecimal(digest.get(..16).unwrap_or(digest))
}
