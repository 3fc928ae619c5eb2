//! Errors over HTTP: one table from stable code to status.

use crate::node::api::{L1Refused, QueryError, Refusal, code_name};
use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// When to hand a message to the L1 again that it may take later: after a block, about.
const L1_AGAIN_AFTER_MS: u64 = 1_000;

/// A call that failed, or a transaction that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Error {
    code: u16,
    message: String,
    retry_after_ms: u64,
    /// Where HTTP has a status of its own for the case, instead of the code's.
    status: Option<StatusCode>,
}

impl Error {
    pub(super) fn new(code: u16, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), retry_after_ms: 0, status: None }
    }

    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(711, message)
    }

    /// The path exists, but not under this method.
    pub(super) fn wrong_method() -> Self {
        let status = Some(StatusCode::METHOD_NOT_ALLOWED);
        Self { status, ..Self::bad_request("there is no call of this method and path; / lists what there is") }
    }

    /// The same, with the hint to come back.
    pub(super) fn retry_after_ms(self, retry_after_ms: u64) -> Self {
        Self { retry_after_ms, ..self }
    }

    #[cfg(test)]
    pub(super) fn code(&self) -> u16 {
        self.code
    }

    /// The body.
    fn json(&self) -> Value {
        let (code, name) = (self.code, code_name(self.code));
        json!({ "error": { "code": code, "name": name, "message": self.message, "retry_after_ms": self.retry_after_ms } })
    }
}

/// The status that fits a code.
pub(super) fn status_of(code: u16) -> StatusCode {
    match code {
        100 | 600 | 711 => StatusCode::BAD_REQUEST,
        710 => StatusCode::NOT_FOUND,
        // Used, replaced and known: the number or the thing is taken already.
        112 | 364 | 401 | 405 | 448 | 472 | 603 | 703 | 704 => StatusCode::CONFLICT,
        101 | 607 => StatusCode::PAYLOAD_TOO_LARGE,
        119 | 304 | 714 => StatusCode::NOT_IMPLEMENTED,
        606 | 700 | 705 => StatusCode::TOO_MANY_REQUESTS,
        609 | 610 | 701 | 707 | 708 | 712 => StatusCode::SERVICE_UNAVAILABLE,
        713 => StatusCode::GATEWAY_TIMEOUT,
        102..=499 | 601..=699 | 702 | 706 => StatusCode::UNPROCESSABLE_ENTITY,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::new(refusal.code(), refusal.to_string()).retry_after_ms(refusal.retry_after_ms())
    }
}

impl From<QueryError> for Error {
    fn from(error: QueryError) -> Self {
        let again = if matches!(error, QueryError::Busy) { QueryError::BUSY_AGAIN_AFTER_MS } else { 0 };
        Self::new(error.code(), error.to_string()).retry_after_ms(again)
    }
}

impl From<L1Refused> for Error {
    fn from(refused: L1Refused) -> Self {
        Self::new(refused.code, refused.message).retry_after_ms(if refused.retryable { L1_AGAIN_AFTER_MS } else { 0 })
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let status = self.status.unwrap_or_else(|| status_of(self.code));
        let mut response = (status, Json(self.json())).into_response();
        if self.retry_after_ms > 0 {
            let seconds = HeaderValue::from(self.retry_after_ms.div_ceil(1_000));
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::api::NODE_CODES;
    use ghostplane_ghostbridge::L1_REFUSAL_CODES;
    use ghostplane_settlement::REFUSAL_CODES;
    use ghostplane_types::reject::REJECT_CODES;

    #[test]
    fn every_code_has_a_status_that_blames_the_right_side() {
        for (code, name) in REJECT_CODES.iter().chain(REFUSAL_CODES).chain(L1_REFUSAL_CODES) {
            let expected = match *name {
                "Malformed" => 400,
                "NonceUsed" | "CommittedAlready" | "ReplayedAlready" | "CaseTwice" | "ClaimedAlready" => 409,
                "ProvenAlready" => 409,
                "SequenceUsed" => 409,
                "Oversized" | "RunTooLarge" => 413,
                "BlockFull" => 429,
                "Unimplemented" => 501,
                "Stopped" | "Failed" => 503,
                _ => 422,
            };
            assert_eq!(status_of(*code).as_u16(), expected, "{code} {name}");
        }
        let node: Vec<u16> = NODE_CODES.iter().map(|(code, _)| status_of(*code).as_u16()).collect();
        assert_eq!(node, [429, 503, 422, 409, 409, 429, 422, 503, 503, 404, 400, 503, 504, 501]);
        for code in [0, 99, 500, 599, 709, 715, 999] {
            assert_eq!(status_of(code).as_u16(), 500, "{code} is no code of anybody");
        }
    }

    #[test]
    fn the_document_has_the_status_of_every_code() {
        let mut rows = 0;
        for line in include_str!("../../../../../docs/api.md").lines() {
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            let code = cells.get(1).and_then(|code| code.parse().ok());
            if let (Some(code), Some(status)) = (code, cells.get(3)) {
                assert_eq!(status_of(code).as_str(), *status, "{code}");
                rows += 1;
            }
        }
        assert_eq!(rows, REJECT_CODES.len() + REFUSAL_CODES.len() + L1_REFUSAL_CODES.len() + NODE_CODES.len());
    }

    #[test]
    fn every_code_has_its_name() {
        for (code, name) in REJECT_CODES.iter().chain(REFUSAL_CODES).chain(L1_REFUSAL_CODES).chain(NODE_CODES) {
            assert_eq!(code_name(*code), *name, "{code}");
        }
    }

    #[test]
    fn who_is_told_to_come_back_is_told_when() {
        let error = Error::from(Refusal::Busy { retry_after_ms: 1_001 });
        assert_eq!(error.json()["error"]["name"], "Busy");
        assert_eq!(error.json()["error"]["retry_after_ms"], 1_001);
        let response = error.into_response();
        assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(response.headers().get(header::RETRY_AFTER), Some(&HeaderValue::from_static("2")));
        assert!(Error::new(710, "gone").into_response().headers().get(header::RETRY_AFTER).is_none());
    }

    #[test]
    fn the_l1_says_itself_whether_it_takes_a_message_later() {
        let refused = |code, retryable| Error::from(L1Refused { code, message: "full".into(), retryable });
        let full = refused(606, true).into_response();
        assert_eq!(full.status(), StatusCode::TOO_MANY_REQUESTS);
        assert!(full.headers().contains_key(header::RETRY_AFTER));
        let used = refused(603, false).into_response();
        assert_eq!(used.status(), StatusCode::CONFLICT);
        assert!(!used.headers().contains_key(header::RETRY_AFTER));
    }

    #[test]
    fn a_wrong_method_is_no_malformed_request() {
        assert_eq!(Error::wrong_method().into_response().status(), StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(Error::wrong_method().code(), 711);
    }
}
