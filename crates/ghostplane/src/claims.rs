//! Claims of credentials: JSON, in one form, so that who has the same claims gets the same digest.
//!
//! The form: UTF-8; no blanks; members of objects ascending by the bytes of their names, none twice; numbers are integers of at
//! most 2^53 - 1 either way, in decimal digits without leading zeros, and `-0` is no number; in strings `"` and `\` stand behind
//! a `\`, and characters below U+0020 are `\u` and four lower-case hexadecimal digits. Everything else stands as it is.

use ghostplane_ghostcipher::Digest;
use ghostplane_types::CredentialTerms;
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use thiserror::Error;

/// Bytes of a file of claims at most.
pub const CLAIMS_BYTES_MAX: usize = 64 * 1024;
/// The largest integer that every reader of JSON takes for the same.
const INTEGER_MAX: u64 = (1 << 53) - 1;

/// Why a file holds no claims. Whoever wrote it is wrong.
#[derive(Debug, Error)]
pub enum ClaimsError {
    /// Too long.
    #[error("{found} bytes, claims have at most {CLAIMS_BYTES_MAX}")]
    TooLong {
        /// How long it is.
        found: usize,
    },
    /// Not JSON, or JSON that has no one form.
    #[error("these are no claims: {0}")]
    Json(#[from] serde_json::Error),
    /// JSON, but not an object.
    #[error("claims are an object: {{\"name\": …}}")]
    NoObject,
}

/// Claims that were read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    canonical: String,
    is_salted: bool,
}

impl Claims {
    /// Reads claims from JSON.
    ///
    /// # Errors
    /// [`ClaimsError`].
    pub fn parse(json: &[u8]) -> Result<Self, ClaimsError> {
        if json.len() > CLAIMS_BYTES_MAX {
            return Err(ClaimsError::TooLong { found: json.len() });
        }
        let value: Canonical = serde_json::from_slice(json)?;
        let Canonical::Object(members) = &value else { return Err(ClaimsError::NoObject) };
        let is_salted = members.contains_key("salt");
        let mut canonical = String::new();
        value.write(&mut canonical);
        Ok(Self { canonical, is_salted })
    }

    /// The bytes that the digest is of.
    #[must_use]
    pub fn canonical(&self) -> &str {
        &self.canonical
    }

    /// The digest that a credential names them by.
    #[must_use]
    pub fn digest(&self) -> Digest {
        CredentialTerms::claims_digest(self.canonical.as_bytes())
    }

    /// Whether they have a member `salt`: without one, who can guess the claims can tell from the digest that the guess is right.
    #[must_use]
    pub const fn is_salted(&self) -> bool {
        self.is_salted
    }
}

/// JSON that has one form.
enum Canonical {
    Null,
    Flag(bool),
    Positive(u64),
    Negative(i64),
    Text(String),
    List(Vec<Canonical>),
    Object(BTreeMap<String, Canonical>),
}

impl Canonical {
    fn write(&self, out: &mut String) {
        let written = match self {
            Self::Null => out.write_str("null"),
            Self::Flag(flag) => write!(out, "{flag}"),
            Self::Positive(number) => write!(out, "{number}"),
            Self::Negative(number) => write!(out, "{number}"),
            Self::Text(text) => {
                write_text(text, out);
                Ok(())
            }
            Self::List(items) => {
                out.push('[');
                for (at, item) in items.iter().enumerate() {
                    out.push_str(if at == 0 { "" } else { "," });
                    item.write(out);
                }
                out.write_char(']')
            }
            Self::Object(members) => {
                out.push('{');
                for (at, (name, member)) in members.iter().enumerate() {
                    out.push_str(if at == 0 { "" } else { "," });
                    write_text(name, out);
                    out.push(':');
                    member.write(out);
                }
                out.write_char('}')
            }
        };
        written.expect("a string takes whatever is written to it");
    }
}

fn write_text(text: &str, out: &mut String) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => out.extend(['\\', character]),
            control if control < ' ' => {
                write!(out, "\\u{:04x}", u32::from(control)).expect("a string takes whatever is written to it");
            }
            other => out.push(other),
        }
    }
    out.push('"');
}

struct OneForm;

impl<'de> Visitor<'de> for OneForm {
    type Value = Canonical;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON with integers up to 2^53 - 1 and no name twice")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Canonical, E> {
        Ok(Canonical::Null)
    }

    fn visit_bool<E: de::Error>(self, flag: bool) -> Result<Canonical, E> {
        Ok(Canonical::Flag(flag))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Canonical, E> {
        if number > INTEGER_MAX {
            return Err(E::custom(format!("{number} is over 2^53 - 1: write it as a text")));
        }
        Ok(Canonical::Positive(number))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Canonical, E> {
        if number.unsigned_abs() > INTEGER_MAX {
            return Err(E::custom(format!("{number} is below -(2^53 - 1): write it as a text")));
        }
        Ok(u64::try_from(number).map_or(Canonical::Negative(number), Canonical::Positive))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Canonical, E> {
        Err(E::custom(format!("{number} is no integer: write it as a text")))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Canonical, E> {
        Ok(Canonical::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Canonical, A::Error> {
        let mut all = Vec::new();
        while let Some(item) = items.next_element()? {
            all.push(item);
        }
        Ok(Canonical::List(all))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Canonical, A::Error> {
        let mut all = BTreeMap::new();
        while let Some((name, member)) = members.next_entry::<String, Canonical>()? {
            if all.contains_key(&name) {
                return Err(de::Error::custom(format!("'{name}' is there twice")));
            }
            all.insert(name, member);
        }
        Ok(Canonical::Object(all))
    }
}

impl<'de> Deserialize<'de> for Canonical {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OneForm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_claims_have_one_form_and_one_digest() {
        let read = |text: &str| Claims::parse(text.as_bytes()).expect("claims");
        let one = read("{\"b\": [1, -2, true, null, \"x\\ty\\u00e9\\\"\\\\\"], \"a\": {\"z\": {}, \"y\": []}}");
        let other = read("{\n \"a\":{\"y\":[],\"z\":{}},\"b\":[1,-2,true,null,\"x\\u0009y\u{e9}\\\"\\\\\"]}");
        assert_eq!(one.canonical(), "{\"a\":{\"y\":[],\"z\":{}},\"b\":[1,-2,true,null,\"x\\u0009y\u{e9}\\\"\\\\\"]}");
        assert_eq!((one.digest(), one.canonical()), (other.digest(), other.canonical()));
        assert_eq!(read(one.canonical()), one);
        assert_ne!(read("{\"a\":1}").digest(), read("{\"a\":\"1\"}").digest());
        assert!(!one.is_salted() && read("{\"salt\":\"4f\"}").is_salted());
        // Names are in the order of their bytes, whatever they are made of.
        assert_eq!(
            read("{\"\u{1f600}\":1,\"\u{ffff}\":2,\"A\":3}").canonical(),
            "{\"A\":3,\"\u{ffff}\":2,\"\u{1f600}\":1}"
        );
    }

    #[test]
    fn what_has_no_one_form_is_refused() {
        for text in [
            "",
            "[]",
            "1",
            "{\"a\":1.5}",
            "{\"a\":1e3}",
            "{\"a\":-0}",
            "{\"a\":9007199254740992}",
            "{\"a\":-9007199254740992}",
            "{\"a\":99999999999999999999}",
            "{\"a\":1,\"a\":1}",
            "{\"a\":{\"b\":1,\"b\":2}}",
            "{\"a\":1} x",
            "{'a':1}",
            "{\"a\":\"\\ud800\"}",
        ] {
            assert!(Claims::parse(text.as_bytes()).is_err(), "{text}");
        }
        assert!(Claims::parse(b"{\"a\":9007199254740991}").is_ok());
        let long = format!("{{\"a\":\"{}\"}}", "x".repeat(CLAIMS_BYTES_MAX));
        assert!(matches!(Claims::parse(long.as_bytes()), Err(ClaimsError::TooLong { .. })));
        let deep = format!("{}1{}", "{\"a\":".repeat(200), "}".repeat(200));
        assert!(Claims::parse(deep.as_bytes()).is_err(), "deeper than a reader goes");
    }
}
