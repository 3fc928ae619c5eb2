//! What callers write: paths, queries and bodies.

use super::error::Error;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{FromRequestParts, Path, Query};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use ghostplane_ghostcipher::{Digest, hex};
use ghostplane_types::{Address, AssetId, L1Address, ObjectKey};
use http_body_util::LengthLimitError;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::error::Error as _;
use std::fmt::Display;
use std::str::FromStr;

/// The one parameter of a path.
pub(super) struct Named(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let path = Path::<String>::from_request_parts(parts, state).await;
        path.map(|Path(name)| Self(name)).map_err(|error| Error::bad_request(error.body_text()))
    }
}

/// The three parameters of a path.
pub(super) struct NamedThree(pub(super) [String; 3]);

impl<S: Send + Sync> FromRequestParts<S> for NamedThree {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let path = Path::<(String, String, String)>::from_request_parts(parts, state).await;
        path.map(|Path((a, b, c))| Self([a, b, c])).map_err(|error| Error::bad_request(error.body_text()))
    }
}

/// The query, of which every key is known.
pub(super) struct Asked<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Asked<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        let query = Query::<T>::try_from_uri(&parts.uri);
        query.map(|Query(asked)| Self(asked)).map_err(|error| Error::bad_request(error.body_text()))
    }
}

/// A call without parameters.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

/// `?proof=&at=`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AccountQuery {
    #[serde(default)]
    pub(super) proof: bool,
    #[serde(default)]
    pub(super) at: Option<u64>,
}

/// `?after=&count=`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CredentialsQuery {
    after: Option<String>,
    count: Option<usize>,
}

const CREDENTIALS_MAX: usize = 256;
const CREDENTIALS_DEFAULT: usize = 64;

impl CredentialsQuery {
    /// Where the page before ended.
    pub(super) fn after(&self) -> Result<Option<ObjectKey>, Error> {
        let key = self.after.as_ref().map(|after| digest("after", after)).transpose()?;
        Ok(key.map(|key| ObjectKey::from_bytes(key.0)))
    }

    pub(super) fn count(&self) -> Result<usize, Error> {
        match self.count.unwrap_or(CREDENTIALS_DEFAULT) {
            count @ 1..=CREDENTIALS_MAX => Ok(count),
            count => Err(Error::bad_request(format!("count is 1 to {CREDENTIALS_MAX}, found {count}"))),
        }
    }
}

/// `?proof=`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ProofQuery {
    #[serde(default)]
    pub(super) proof: bool,
}

/// `?priced=`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SimulateQuery {
    #[serde(default)]
    pub(super) priced: bool,
}

/// `?wait=`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SubmitQuery {
    #[serde(default)]
    pub(super) wait: Wait,
}

/// How long a submission waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Wait {
    #[default]
    Executed,
    Committed,
    Proven,
    Final,
}

/// `?upto=&count=`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BatchesQuery {
    pub(super) upto: Option<u64>,
    count: Option<usize>,
}

const BATCHES_MAX: usize = 256;
const BATCHES_DEFAULT: usize = 20;

impl BatchesQuery {
    pub(super) fn count(&self) -> Result<usize, Error> {
        match self.count.unwrap_or(BATCHES_DEFAULT) {
            count @ 1..=BATCHES_MAX => Ok(count),
            count => Err(Error::bad_request(format!("count is 1 to {BATCHES_MAX}, found {count}"))),
        }
    }
}

/// `?after=&count=`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AssetsQuery {
    after: Option<String>,
    count: Option<usize>,
}

const ASSETS_MAX: usize = 256;
const ASSETS_DEFAULT: usize = 64;

impl AssetsQuery {
    pub(super) fn after(&self) -> Result<Option<ObjectKey>, Error> {
        let key = |text: &String| digest("after", text).map(|Digest(bytes)| ObjectKey::from_bytes(bytes));
        self.after.as_ref().map(key).transpose()
    }

    pub(super) fn count(&self) -> Result<usize, Error> {
        match self.count.unwrap_or(ASSETS_DEFAULT) {
            count @ 1..=ASSETS_MAX => Ok(count),
            count => Err(Error::bad_request(format!("count is 1 to {ASSETS_MAX}, found {count}"))),
        }
    }
}

/// `?records=&posted=`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BatchQuery {
    #[serde(default)]
    pub(super) records: bool,
    #[serde(default)]
    pub(super) posted: bool,
}

/// `?kinds=`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EventsQuery {
    #[serde(default)]
    pub(super) kinds: String,
}

/// A number of a path.
pub(super) fn number<T: FromStr<Err: Display>>(what: &str, text: &str) -> Result<T, Error> {
    text.parse().map_err(|error| Error::bad_request(format!("{what} is a number, found '{}': {error}", shown(text))))
}

/// The 32 bytes of a digest.
pub(super) fn digest(what: &str, text: &str) -> Result<Digest, Error> {
    hex::decode(text).map(Digest).map_err(|error| Error::bad_request(format!("{what}: {error}")))
}

/// An address as text, DID or 64 hexadecimal digits.
pub(super) fn address(text: &str) -> Result<Address, Error> {
    if let Ok(bytes) = hex::decode(text) {
        return Ok(Address::from_bytes(bytes));
    }
    text.parse().map_err(|error| Error::bad_request(format!("address: {error}, or write its 64 hexadecimal digits")))
}

/// The number of an asset, below 2^30.
pub(super) fn asset(text: &str) -> Result<AssetId, Error> {
    let number = number("asset", text)?;
    AssetId::new(number).ok_or_else(|| Error::bad_request(format!("asset {number} is over 2^30 - 1")))
}

/// Whether a caller asks for this media type by its name.
pub(super) fn accepts(headers: &HeaderMap, wanted: &str) -> bool {
    let texts = headers.get_all(header::ACCEPT).into_iter().filter_map(|value| value.to_str().ok());
    let kinds = texts.flat_map(|text| text.split(',')).filter_map(|part| part.split(';').next());
    kinds.map(str::trim).any(|kind| kind.eq_ignore_ascii_case(wanted))
}

/// An address of the L1: 64 hexadecimal digits, with or without `l1:` ahead of them.
pub(super) fn l1_address(text: &str) -> Result<L1Address, Error> {
    digest("L1 address", text.strip_prefix("l1:").unwrap_or(text)).map(|Digest(bytes)| L1Address(bytes))
}

/// The beginning of what somebody wrote, so that an answer is no longer than a message may be.
fn shown(text: &str) -> String {
    text.chars().take(64).collect()
}

/// Digits of any even number.
pub(super) fn bytes(text: &str) -> Result<Vec<u8>, Error> {
    if !text.len().is_multiple_of(2) {
        return Err(Error::bad_request(format!("hexadecimal digits come in pairs, found {}", text.len())));
    }
    hex::decode_vec(text).ok_or_else(|| Error::bad_request("a character of the bytes is not a hexadecimal digit"))
}

/// What a body carries: canonical bytes as they are, or in JSON as digits under `key`.
pub(super) async fn body(headers: &HeaderMap, body: Body, key: &str, limit: usize) -> Result<Bytes, Error> {
    let content = content(headers)?;
    let body = to_bytes(body, limit).await.map_err(|error| {
        let too_long = error.source().is_some_and(|source| source.is::<LengthLimitError>());
        if too_long {
            return Error::new(101, format!("the body has over {limit} bytes, the most there may be"));
        }
        Error::bad_request("the body ended early")
    })?;
    match content {
        Content::Bytes => Ok(body),
        Content::Json => of_json(&body, key),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Content {
    Bytes,
    Json,
}

fn content(headers: &HeaderMap) -> Result<Content, Error> {
    let found = headers.get(header::CONTENT_TYPE).map_or(Ok(""), |value| value.to_str()).unwrap_or("");
    let kind = found.split(';').next().unwrap_or_default().trim();
    if kind.eq_ignore_ascii_case("application/octet-stream") {
        return Ok(Content::Bytes);
    }
    if kind.eq_ignore_ascii_case("application/json") {
        return Ok(Content::Json);
    }
    let found = shown(found);
    Err(Error::bad_request(format!(
        "content-type is application/octet-stream for the canonical bytes or application/json, found '{found}'"
    )))
}

fn of_json(body: &[u8], key: &str) -> Result<Bytes, Error> {
    let value: serde_json::Value =
        serde_json::from_slice(body).map_err(|error| Error::bad_request(format!("the body is no JSON: {error}")))?;
    let only = value.as_object().filter(|object| object.len() == 1);
    let text = only.and_then(|object| object.get(key)).and_then(|value| value.as_str());
    let text = text.ok_or_else(|| {
        Error::bad_request(format!("the body is {{\"{key}\": \"…\"}} with the canonical bytes in hexadecimal digits"))
    })?;
    bytes(text).map(Bytes::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::{HeaderValue, Uri};

    fn query<T: DeserializeOwned>(text: &str) -> Result<T, String> {
        let uri: Uri = format!("/?{text}").parse().unwrap();
        Query::<T>::try_from_uri(&uri).map(|Query(query)| query).map_err(|error| error.body_text())
    }

    #[test]
    fn queries_say_what_they_mean_and_nothing_else() {
        assert!(query::<AccountQuery>("proof=true").is_ok_and(|query| query.proof));
        assert!(query::<AccountQuery>("").is_ok_and(|query| !query.proof));
        assert!(query::<AccountQuery>("at=7").is_ok_and(|query| query.at == Some(7)));
        for bad in ["proof=yes", "proofs=true", "proof=true&proof=false", "at=", "at=-1", "at=now"] {
            assert!(query::<AccountQuery>(bad).is_err(), "{bad}");
        }
        let priced = |text| query::<SimulateQuery>(text).map(|query| query.priced).ok();
        assert_eq!((priced(""), priced("priced=true"), priced("proof=true")), (Some(false), Some(true), None));
        let wait = |text| query::<SubmitQuery>(text).map(|query| query.wait).ok();
        assert_eq!(wait(""), Some(Wait::Executed));
        assert_eq!(wait("wait=committed"), Some(Wait::Committed));
        assert_eq!(wait("wait=final"), Some(Wait::Final));
        assert_eq!(wait("wait=proven"), Some(Wait::Proven));
        assert_eq!(wait("wait=attested"), None);
        let count = |text| query::<BatchesQuery>(text).ok().and_then(|query| query.count().ok());
        assert_eq!(count(""), Some(20));
        assert_eq!(count("count=256&upto=7"), Some(256));
        for bad in ["count=0", "count=257", "count=-1", "count=1e3", "upto=x", "from=1"] {
            assert_eq!(count(bad), None, "{bad}");
        }
        let assets = |text: &str| {
            let query = query::<AssetsQuery>(text).ok()?;
            Some((query.after().ok()?, query.count().ok()?))
        };
        assert_eq!(assets(""), Some((None, 64)));
        let after = ObjectKey::from_bytes([0xab; 32]);
        let page = format!("after={}&count=256", "ab".repeat(32));
        assert_eq!(assets(&page), Some((Some(after), 256)));
        for bad in ["count=0", "count=257", "after=ab", "after=#1", "upto=1"] {
            assert_eq!(assets(bad), None, "{bad}");
        }
        assert!(query::<Nothing>("").is_ok());
        assert!(query::<Nothing>("proof=true").is_err());
    }

    #[test]
    fn an_address_is_read_in_three_forms() {
        let address_of = Address::from_bytes([0xab; 32]);
        let wallet = ghostplane_types::EntityType::Wallet;
        for text in ["AB".repeat(32), address_of.to_string(), address_of.to_did(wallet)] {
            assert_eq!(address(&text), Ok(address_of), "{text}");
        }
        for text in ["", "ab", &"ab".repeat(33), &"xy".repeat(32), "ghost1qqqq"] {
            assert!(address(text).is_err(), "{text}");
        }
        let here = L1Address([7; 32]);
        assert_eq!(l1_address(&here.to_string()), Ok(here));
        assert_eq!(l1_address(&"07".repeat(32)), Ok(here));
        assert!(l1_address("l1:07").is_err());
    }

    #[test]
    fn a_media_type_is_found_where_it_is_named() {
        let asks = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, HeaderValue::from_static(text));
            accepts(&headers, crate::did::MEDIA_TYPE)
        };
        assert!(asks("application/did+json") && asks("text/html, Application/DID+json;q=0.9"));
        assert!(!asks("*/*") && !asks("application/json") && !asks(""));
        assert!(!accepts(&HeaderMap::new(), crate::did::MEDIA_TYPE));
        assert_eq!(asset("65536"), Ok(AssetId::new(65_536).expect("small")));
        for bad in ["", "gcc", "-1", "1073741824", "#1"] {
            assert_eq!(asset(bad).map_err(|error| error.code()), Err(711), "{bad}");
        }
    }

    #[test]
    fn hexadecimal_digits_of_any_number_are_read() {
        assert_eq!(bytes(""), Ok(vec![]));
        assert_eq!(bytes("00fFa0"), Ok(vec![0, 255, 160]));
        for bad in ["0", "0x00", "zz", "é", "aé", "+1"] {
            assert!(bytes(bad).is_err(), "{bad}");
        }
        assert_eq!(number::<u64>("batch", "7"), Ok(7));
        for bad in ["", "-1", "7.0", "18446744073709551616"] {
            assert!(number::<u64>("batch", bad).is_err(), "{bad}");
        }
    }

    async fn read(kind: &str, of: &'static [u8], limit: usize) -> Result<Bytes, Error> {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_str(kind).unwrap());
        body(&headers, Body::from(of), "transaction", limit).await
    }

    #[tokio::test]
    async fn bodies_are_bytes_or_digits_and_have_a_bound() {
        let json = "application/json; charset=utf-8";
        assert_eq!(read("application/octet-stream", b"\x01\x02", 2).await, Ok(Bytes::from_static(&[1, 2])));
        assert_eq!(read(json, br#"{"transaction": "0102"}"#, 64).await, Ok(Bytes::from_static(&[1, 2])));
        let over = read("application/octet-stream", b"\x01\x02\x03", 2).await.expect_err("over the bound");
        assert_eq!((over.code(), super::super::error::status_of(over.code()).as_u16()), (101, 413));
        let bad: [(&str, &[u8]); 8] = [
            ("application/x-www-form-urlencoded", b"\x01"),
            ("", b"\x01"),
            (json, b"\x01"),
            (json, br#"{"transaction": 1}"#),
            (json, br#"{"transaction": "01", "wait": "final"}"#),
            (json, br#"{"message": "01"}"#),
            (json, br#"["01"]"#),
            (json, br#"{"transaction": "0"}"#),
        ];
        for (kind, of) in bad {
            assert_eq!(read(kind, of, 64).await.map_err(|error| error.code()), Err(711), "{kind} {of:?}");
        }
    }
}
