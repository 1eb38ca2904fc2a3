//! The limits of what is converted.

use crate::{
    Input,
    finding::{Error, Spot},
};

/// Bytes of all files together. A million lines of CSV have some 120 MB, a hundred thousand consumers in YAML 30 MB.
pub const MAX_BYTES: usize = 256 << 20;
/// Rows of all kinds. At some 500 bytes each, 1.5 GB. A million applications with a key and a subscription each have
/// three million.
pub const MAX_ROWS: usize = 3_000_000;
/// Losses, and errors too. At some 500 bytes each, 50 MB. Nobody reads more.
pub const MAX_FINDINGS: usize = 100_000;
/// Bytes of a text of a file in a loss or an error.
pub const MAX_SHOWN_BYTES: usize = 80;

/// Refuses more than [`MAX_BYTES`].
pub(crate) fn check_bytes(inputs: &[Input]) -> Result<(), Vec<Error>> {
    let mut bytes = 0_usize;
    for input in inputs {
        bytes = bytes.saturating_add(input.bytes.len());
        if bytes > MAX_BYTES {
            return Err(vec![Error {
                file: input.name.clone(),
                ..Error::new(
                    "",
                    Spot::default(),
                    "",
                    &format!("{bytes} bytes in all"),
                    &format!("at most {MAX_BYTES}; split the files and convert them one by one"),
                )
            }]);
        }
    }
    Ok(())
}
