//! What is inspected: bytes from a file or standard input, perhaps behind hexadecimal text.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use anyhow::{Context as _, bail, ensure};

use crate::screen;

/// Bytes of one file.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// What a file holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Input {
    /// Bytes, raw or from hexadecimal text.
    Bytes(Vec<u8>),
    /// JSON text: a key file or nothing of ours.
    Json(Vec<u8>),
}

impl Input {
    /// Reads a file, or standard input for `-`.
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        if path == Path::new("-") {
            return Self::parse(bounded(io::stdin().lock()).context("cannot read standard input")?);
        }
        let shown = path.display();
        let file = File::open(path).map_err(|error| match error.kind() {
            // Perhaps it is what it looks like.
            io::ErrorKind::NotFound if path.to_str().is_some_and(|text| super::text::inspect(text).is_ok()) => {
                anyhow::anyhow!(
                    "there is no file {shown}. To see the bytes behind it:  ghostplane inspect --text {shown}"
                )
            }
            io::ErrorKind::NotFound => anyhow::anyhow!("there is no file {shown}"),
            _ => anyhow::anyhow!("cannot read {shown}: {error}"),
        })?;
        let bytes = bounded(file).with_context(|| format!("cannot read {shown}"))?;
        Self::parse(bytes).with_context(|| shown.to_string())
    }

    /// Takes bytes for what they are: printable text is JSON or hexadecimal, everything else raw. None of our binary
    /// formats is printable throughout.
    pub(super) fn parse(bytes: Vec<u8>) -> anyhow::Result<Self> {
        let content = bytes.trim_ascii();
        ensure!(!content.is_empty(), "there is nothing in it");
        let is_text = std::str::from_utf8(content).is_ok_and(|text| !text.chars().any(is_binary));
        if !is_text {
            Ok(Self::Bytes(bytes))
        } else if content.starts_with(b"{") {
            Ok(Self::Json(bytes))
        } else {
            from_hex(content).map(Self::Bytes)
        }
    }

    /// The bytes in words.
    pub(super) fn described(&self) -> String {
        match self {
            Self::Bytes(bytes) if bytes.len() == 1 => "this 1 byte".to_string(),
            Self::Bytes(bytes) => format!("these {} bytes", screen::grouped(bytes.len() as u64)),
            Self::Json(bytes) => format!("these {} bytes of JSON", screen::grouped(bytes.len() as u64)),
        }
    }
}

fn is_binary(c: char) -> bool {
    c.is_control() && !c.is_ascii_whitespace()
}

fn bounded(from: impl Read) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    ensure!(bytes.len() as u64 <= FILE_BYTES_MAX, "it is larger than {}", screen::bytes(FILE_BYTES_MAX));
    Ok(bytes)
}

fn from_hex(text: &[u8]) -> anyhow::Result<Vec<u8>> {
    let digits = text.strip_prefix(b"0x").or_else(|| text.strip_prefix(b"0X")).unwrap_or(text);
    let mut out = Vec::with_capacity(digits.len() / 2);
    let mut high = None;
    for byte in digits.iter().filter(|byte| !byte.is_ascii_whitespace()) {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            b'A'..=b'F' => byte - b'A' + 10,
            _ => bail!("{}", not_hex(text)),
        };
        match high.take() {
            None => high = Some(digit),
            Some(high) => out.push(high << 4 | digit),
        }
    }
    if high.is_some() {
        let found = screen::grouped(out.len() as u64 * 2 + 1);
        bail!("it has {found} hexadecimal digits, and bytes have two each: one is missing, or one too many was copied");
    }
    ensure!(!out.is_empty(), "there is nothing after 0x");
    Ok(out)
}

fn not_hex(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    if super::text::inspect(&text).is_ok() {
        return format!("this is text, not bytes:  ghostplane inspect --text {text}");
    }
    let body = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(&text);
    let skipped = text.chars().count() - body.chars().count();
    let bad = body.chars().enumerate().find(|(_, c)| !c.is_ascii_hexdigit() && !c.is_ascii_whitespace());
    let (at, c) = bad.expect("the caller met one");
    format!("it is text, but not hexadecimal: character {} is {c:?}", at + skipped + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(bytes: &[u8]) -> anyhow::Result<Input> {
        Input::parse(bytes.to_vec())
    }

    #[test]
    fn hexadecimal_text_is_read_as_people_paste_it() {
        let bytes = Input::Bytes(vec![0x00, 0xff, 0x1a]);
        for text in ["00ff1a", "0x00FF1a", "0X00ff1a\n", " 00 ff\n\t1a \r\n", "0x 00ff 1a"] {
            assert_eq!(parse(text.as_bytes()).expect(text), bytes, "{text:?}");
        }
    }

    #[test]
    fn other_text_is_refused_with_its_place() {
        let table = [
            ("00ff1", "it has 5 hexadecimal digits"),
            ("00gg", "character 3 is 'g'"),
            ("0x00gg", "character 5 is 'g'"),
            ("$ cat tx.hex", "character 1 is '$'"),
            ("größe", "character 1 is 'g'"),
            ("0x", "nothing after 0x"),
            ("", "nothing in it"),
            (" \n", "nothing in it"),
            ("1.5gcc", "inspect --text 1.5gcc"),
        ];
        for (text, expected) in table {
            let error = parse(text.as_bytes()).expect_err(text).to_string();
            assert!(error.contains(expected), "{text:?}: {error}");
        }
    }

    #[test]
    fn raw_bytes_and_json_pass_unchanged() {
        assert_eq!(parse(&[1, 0, 0, 255]).expect("bytes"), Input::Bytes(vec![1, 0, 0, 255]));
        assert_eq!(parse(b" {}").expect("json"), Input::Json(b" {}".to_vec()));
        // White space around raw bytes belongs to them.
        assert_eq!(parse(b"\n\0\n").expect("bytes"), Input::Bytes(b"\n\0\n".to_vec()));
    }

    #[test]
    fn a_file_has_a_largest_size() {
        assert!(bounded(io::repeat(0).take(FILE_BYTES_MAX)).is_ok());
        let error = bounded(io::repeat(0)).expect_err("endless");
        assert!(error.to_string().contains("64.0 MiB"), "{error}");
    }
}
