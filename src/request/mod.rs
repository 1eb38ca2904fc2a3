//! The parts of a request in the form in which they are compared, and the patterns that they are matched with.
//!
//! It knows no policy and decides nothing.

/// A table of what `$class`, a `const fn`, says of each byte, so that one load finds it.
macro_rules! byte_table {
    ($class:path) => {
        &{
            let mut table = [0u8; 256];
            let (mut rest, mut byte): (&mut [u8], u8) = (&mut table, 0);
            while let Some((cell, behind)) = rest.split_first_mut() {
                *cell = $class(byte);
                byte = byte.wrapping_add(1);
                rest = behind;
            }
            table
        }
    };
}

pub mod head;
pub mod hostname;
pub mod path;
pub mod referer;
pub mod template;
