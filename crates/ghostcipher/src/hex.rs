//! Bytes as lowercase hexadecimal text, two digits a byte, no prefix.

use std::fmt;

use thiserror::Error;

/// How text fails to be the hexadecimal form of a fixed number of bytes. Whoever wrote the text is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum HexError {
    /// The text does not have two digits for each byte.
    #[error("expected {expected} hexadecimal digits, found {found} characters")]
    Length {
        /// Digits that the value has.
        expected: usize,
        /// Characters that the text has.
        found: usize,
    },
    /// A character is not one of `0-9`, `a-f`, `A-F`.
    #[error("character {character:?} at position {position} is not a hexadecimal digit")]
    Digit {
        /// Where the character stands, counted in characters from 0.
        position: usize,
        /// The character.
        character: char,
    },
}

/// Returns `bytes` as lowercase digits.
#[must_use]
pub fn encode(bytes: &[u8]) -> String {
    Hex(bytes).to_string()
}

/// Reads exactly `N` bytes from `2 * N` digits of either case.
///
/// # Errors
/// [`HexError`] if the length or a character is wrong.
pub fn decode<const N: usize>(text: &str) -> Result<[u8; N], HexError> {
    let found = text.chars().count();
    if found != 2 * N {
        return Err(HexError::Length { expected: 2 * N, found });
    }
    let mut bytes = [0_u8; N];
    for (position, character) in text.chars().enumerate() {
        let digit = character.to_digit(16).ok_or(HexError::Digit { position, character })?;
        // A digit is below 16 and each byte takes two, so neither the cast nor the shift loses anything.
        #[allow(clippy::cast_possible_truncation)]
        let digit = digit as u8;
        bytes[position / 2] = bytes[position / 2] << 4 | digit;
    }
    Ok(bytes)
}

/// Reads bytes from an even number of digits of either case. `None` if a character or their number is wrong.
#[must_use]
pub fn decode_vec(text: &str) -> Option<Vec<u8>> {
    let pair = |pair: &[u8]| {
        let pair = std::str::from_utf8(pair).ok().and_then(|pair| decode::<1>(pair).ok());
        pair.map(|[byte]| byte)
    };
    text.as_bytes().chunks(2).map(pair).collect()
}

/// Displays bytes as lowercase digits without allocating.
pub(crate) struct Hex<'a>(pub(crate) &'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Writes `name(01234567…)`: the first four bytes tell values apart in a log without filling the line.
pub(crate) fn write_short(f: &mut fmt::Formatter<'_>, name: &str, bytes: &[u8]) -> fmt::Result {
    let head = &bytes[..bytes.len().min(4)];
    write!(f, "{name}({}…)", Hex(head))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_bytes_are_inverse() {
        assert_eq!(encode(&[0x00, 0xff, 0x1a]), "00ff1a");
        assert_eq!(decode::<3>("00ff1a"), Ok([0x00, 0xff, 0x1a]));
        assert_eq!(decode::<3>("00FF1A"), Ok([0x00, 0xff, 0x1a]));
        assert_eq!(decode::<0>(""), Ok([]));
    }

    #[test]
    fn an_error_says_what_is_wrong_and_where() {
        assert_eq!(decode::<2>("00ff1a"), Err(HexError::Length { expected: 4, found: 6 }));
        assert_eq!(decode::<2>("00f"), Err(HexError::Length { expected: 4, found: 3 }));
        assert_eq!(decode::<2>("0\u{e9}ff"), Err(HexError::Digit { position: 1, character: '\u{e9}' }));
        assert_eq!(decode::<2>("+1ff"), Err(HexError::Digit { position: 0, character: '+' }));
        assert_eq!(
            decode::<1>("0g").expect_err("not a digit").to_string(),
            "character 'g' at position 1 is not a hexadecimal digit"
        );
    }
}
