//! Whole numbers in all spellings of JSON. `1`, `1.0` and `1e0` are the same number and an integer for JSON Schema, but
//! serde reads only the first as an integer.
//!
//! [`plain`] rewrites numbers in JSON text before it is parsed, so that one rule holds for the fields of all bodies.
//! It knows no field, and it does not check the text: what is no whole number stays as it is, for the parser to refuse.

use std::borrow::Cow;

/// Digits of the longest number that is rewritten. No field takes a number with more than 19 digits.
const MAX_DIGITS: usize = 20;

/// `json` with each whole number as digits only. It is borrowed if there is nothing to rewrite.
pub fn plain(json: &[u8]) -> Cow<'_, [u8]> {
    let (mut written, mut copied): (Vec<u8>, usize) = (Vec::new(), 0);
    let (mut at, mut in_string) = (0_usize, false);
    while let Some(&byte) = json.get(at) {
        let length = match byte {
            b'\\' if in_string => 2,
            b'"' => {
                in_string = !in_string;
                1
            }
            b'-' | b'0'..=b'9' if !in_string => {
                let rest = json.get(at..).unwrap_or_default();
                let end = rest.iter().position(|byte| !matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E'));
                let number = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
                if let Some(digits) = whole(number) {
                    written.extend_from_slice(json.get(copied..at).unwrap_or_default());
                    written.extend_from_slice(digits.as_bytes());
                    copied = at.saturating_add(number.len());
                }
                number.len()
            }
            _ => 1,
        };
        at = at.saturating_add(length);
    }
    if copied == 0 {
        return Cow::Borrowed(json);
    }
    written.extend_from_slice(json.get(copied..).unwrap_or_default());
    Cow::Owned(written)
}

/// The digits of a whole number that has another spelling. `None` for any other text.
fn whole(number: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(number).ok()?;
    let (sign, rest) = text.strip_prefix('-').map_or(("", text), |rest| ("-", rest));
    if !rest.contains(['.', 'e', 'E']) {
        return (text == "-0").then(|| "0".to_owned());
    }
    let (mantissa, exponent) = match rest.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent_of(exponent)?),
        None => (rest, 0),
    };
    let (before, behind) = match mantissa.split_once('.') {
        Some((_, "")) => return None,
        Some(parts) => parts,
        None => (mantissa, ""),
    };
    let is_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let is_led_by_zero = before.len() > 1 && before.starts_with('0');
    if before.is_empty() || is_led_by_zero || !is_digits(before) || !is_digits(behind) {
        return None;
    }
    let significant = format!("{before}{behind}");
    let significant = significant.trim_start_matches('0');
    let digits = significant.trim_end_matches('0');
    if digits.is_empty() {
        return Some("0".to_owned());
    }
    let zeros = i64::try_from(significant.len().saturating_sub(digits.len())).ok()?;
    // The power of ten by which `digits` is multiplied.
    let power = zeros.saturating_add(exponent).saturating_sub(i64::try_from(behind.len()).ok()?);
    let power = usize::try_from(power).ok().filter(|power| power.saturating_add(digits.len()) <= MAX_DIGITS)?;
    Some(format!("{sign}{digits}{}", "0".repeat(power)))
}

/// The value of an exponent: a sign if any, and digits. An exponent that does not fit is a very large one.
fn exponent_of(text: &str) -> Option<i64> {
    let (sign, digits) = match text.as_bytes().first()? {
        b'-' => (-1, text.get(1..)?),
        b'+' => (1, text.get(1..)?),
        _ => (1, text),
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(digits.parse::<i64>().unwrap_or(i64::MAX).saturating_mul(sign))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn plain_text(json: &str) -> String {
        String::from_utf8(plain(json.as_bytes()).into_owned()).unwrap()
    }

    #[test]
    fn a_whole_number_has_one_spelling() {
        for (sent, expected) in [
            ("1.0", "1"),
            ("1e3", "1000"),
            ("1E+3", "1000"),
            ("12.50e1", "125"),
            ("1000e-3", "1"),
            ("-2.0", "-2"),
            ("-0", "0"),
            ("-0.0", "0"),
            ("0e5", "0"),
            ("0.001e3", "1"),
            ("9007199254740993.0", "9007199254740993"),
            ("0e99999999999999999999", "0"),
            ("[1.0,2.5,{\"a\":3e0}]", "[1,2.5,{\"a\":3}]"),
        ] {
            assert_eq!(plain_text(sent), expected, "{sent}");
        }
    }

    #[test]
    fn all_other_text_stays() {
        for text in [
            "1",
            "-1",
            "0",
            "1.5",
            "1e-1",
            "1e400",
            "1e99999999999999999999",
            "1e-99999999999999999999",
            "123456789012345678901.0",
            "01.0",
            "1.",
            ".5",
            "1e",
            "1e+",
            "1.0.0",
            "--1.0",
            "1e1e1",
            "\"1.0\"",
            "\"\\\"1.0\"",
            "{\"1.0\":\"2e3\"}",
            "\"\\\\\"",
            "\"1.0",
            "\"\\",
            "",
        ] {
            assert_eq!(plain_text(text), text);
        }
        assert_eq!(plain_text("\"\\\\\",1.0"), "\"\\\\\",1");
    }
}
