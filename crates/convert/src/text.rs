//! The bytes of a file as text.

use crate::{
    draft::Draft,
    finding::{Error, Spot},
};

/// The text without a byte order mark.
pub fn read<'a>(draft: &Draft<'_>, file: usize, bytes: &'a [u8]) -> Result<&'a str, Vec<Error>> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    std::str::from_utf8(bytes).map_err(|error| {
        let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
        let line = before.iter().fold(1_u64, |line, byte| line.saturating_add(u64::from(*byte == b'\n')));
        let spot = Spot { file, line, column: 0 };
        vec![draft.error_at(spot, "", "bytes that are not UTF-8", "a file in UTF-8")]
    })
}
