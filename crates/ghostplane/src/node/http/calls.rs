//! The calls, one by one.

use super::error::Error;
use super::parse::{
    AccountQuery, Asked, AssetsQuery, BatchQuery, BatchesQuery, CredentialsQuery, Named, NamedThree, Nothing,
    ProofQuery, SimulateQuery, SubmitQuery, Wait,
};
use super::{App, BODY_BYTES_MAX, CALL_WITHIN, L1_BODY_BYTES_MAX, OPENAPI, ROUTES, json, metrics as figures, parse};
use crate::node::Node;
use crate::node::api::{Condition, QueryError, Rung};
use crate::node::grpc::WAIT_MAX;
use crate::{did, explain};
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{Html, IntoResponse, Response};
use serde_json::{Value, json};
use std::sync::Arc;

type Answer = Result<Json<Value>, Error>;

impl App {
    /// Asks what reads the disk where that may be waited for, a bounded number at a time.
    async fn ask<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Node) -> Result<T, QueryError> + Send + 'static,
    ) -> Result<T, Error> {
        let failed = || Error::new(712, "the query failed inside the node");
        let room = Arc::clone(&self.shared.queries).acquire_owned().await.map_err(|_| failed())?;
        let node = self.node.clone();
        // The room goes along: a caller who gives up does not free what still reads.
        let answer = tokio::task::spawn_blocking(move || {
            let answer = query(&node);
            drop(room);
            answer
        });
        Ok(answer.await.map_err(|_| failed())??)
    }
}

pub(super) async fn page() -> Html<String> {
    Html(page_text())
}

pub(super) fn page_text() -> String {
    let rows = ROUTES.iter().map(|route| {
        let (method, path, what) = (route.method, route.path, route.what.replace('&', "&amp;"));
        let plain = method == "GET" && !path.contains('{');
        let path = if plain { format!("<a href=\"{path}\">{path}</a>") } else { path.to_owned() };
        format!("<tr><td>{method}</td><td>{path}</td><td>{what}</td></tr>\n")
    });
    let rows: String = rows.collect();
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>Ghostplane</title>\n<h1>Ghostplane</h1>\n<table>\n{rows}</table>\n</html>\n"
    )
}

pub(super) async fn openapi() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], OPENAPI).into_response()
}

pub(super) async fn health(State(app): State<App>, Asked(Nothing {}): Asked<Nothing>) -> Answer {
    health_of(app.node.status().condition)
}

/// Whether to send the node transactions, for whoever spreads them.
pub(super) fn health_of(condition: Condition) -> Answer {
    let code = match condition {
        Condition::Ready => return Ok(Json(json!({ "state": condition.word() }))),
        Condition::Replaying => 712,
        Condition::DiskFull => 701,
        Condition::Stopping => 708,
    };
    Err(Error::new(code, format!("the node takes no transactions: it is {}", condition.word())))
}

pub(super) async fn metrics(State(app): State<App>) -> Response {
    let text = figures::text(&app.node.status(), &app.shared);
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}

pub(super) async fn status(State(app): State<App>, Asked(Nothing {}): Asked<Nothing>) -> Json<Value> {
    Json(json::status(&app.node.status()))
}

pub(super) async fn info(State(app): State<App>, Asked(Nothing {}): Asked<Nothing>) -> Json<Value> {
    Json(json::info(app.node.plane()))
}

pub(super) async fn roots(State(app): State<App>, Asked(Nothing {}): Asked<Nothing>) -> Json<Value> {
    Json(json::roots(&app.node.roots()))
}

pub(super) async fn account(
    State(app): State<App>,
    Named(address): Named,
    Asked(AccountQuery { proof, at }): Asked<AccountQuery>,
) -> Answer {
    let address = parse::address(&address)?;
    app.node.caught_up().await;
    let view = app.ask(move |node| node.account(&address, at, proof)).await?;
    Ok(Json(json::account(app.node.plane(), &view, proof)))
}

/// Who asks for a DID document by its media type gets that alone.
pub(super) async fn identity(
    State(app): State<App>,
    Named(address): Named,
    Asked(ProofQuery { proof }): Asked<ProofQuery>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let address = parse::address(&address)?;
    app.node.caught_up().await;
    let view = app.ask(move |node| node.account(&address, None, proof)).await?;
    if parse::accepts(&headers, did::MEDIA_TYPE) {
        let document = did::document(&view.address, view.account.as_ref().map(|(_, record)| record));
        return Ok(([(header::CONTENT_TYPE, did::MEDIA_TYPE)], document.to_string()).into_response());
    }
    Ok(Json(json::identity(&view, proof)).into_response())
}

pub(super) async fn assets(State(app): State<App>, Asked(query): Asked<AssetsQuery>) -> Answer {
    let (after, count) = (query.after()?, query.count()?);
    app.node.caught_up().await;
    let view = app.ask(move |node| node.assets(after.as_ref(), count)).await?;
    Ok(Json(json::assets(&view)))
}

pub(super) async fn asset(
    State(app): State<App>,
    Named(asset): Named,
    Asked(ProofQuery { proof }): Asked<ProofQuery>,
) -> Answer {
    let asset = parse::asset(&asset)?;
    app.node.caught_up().await;
    let view = app.ask(move |node| node.asset(asset, proof)).await?;
    if view.known.is_none() && !proof {
        return Err(Error::new(710, format!("asset {} not found", view.asset.number())));
    }
    Ok(Json(json::asset(&view, proof)))
}

pub(super) async fn credentials(
    State(app): State<App>,
    Named(subject): Named,
    Asked(query): Asked<CredentialsQuery>,
) -> Answer {
    let subject = parse::address(&subject)?;
    let (after, count) = (query.after()?, query.count()?);
    app.node.caught_up().await;
    let view = app.ask(move |node| node.credentials(&subject, after.as_ref(), count)).await?;
    Ok(Json(json::credentials(&view)))
}

pub(super) async fn credential(
    State(app): State<App>,
    NamedThree([subject, issuer, claims]): NamedThree,
    Asked(ProofQuery { proof }): Asked<ProofQuery>,
) -> Answer {
    let (subject, issuer) = (parse::address(&subject)?, parse::address(&issuer)?);
    let claims = parse::digest("claims", &claims)?;
    app.node.caught_up().await;
    let view = app.ask(move |node| node.credential(&issuer, &subject, &claims, proof)).await?;
    Ok(Json(json::credential_of(&view, proof)))
}

pub(super) async fn submit(
    State(app): State<App>,
    Asked(SubmitQuery { wait }): Asked<SubmitQuery>,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let within = async {
        let transaction = parse::body(&headers, body, "transaction", BODY_BYTES_MAX).await?;
        Ok::<_, Error>(app.node.submit(transaction).await?)
    };
    let late = |_| Error::new(713, "no answer in time; the transaction may still be executed: ask by its id");
    let view = tokio::time::timeout(CALL_WITHIN, within).await.map_err(late)??;
    let wanted = match wait {
        Wait::Executed => return Ok(Json(json::submitted(&view, Rung::Attested))),
        Wait::Committed => Rung::Challengeable,
        Wait::Proven => Rung::Proven,
        Wait::Final => Rung::Final,
    };
    let (id, batch) = (view.record.tx_id, view.record.batch);
    let late = |_| {
        let message = format!("{id} is executed in batch {batch}, which did not come as far as asked in time");
        Error::new(713, message)
    };
    let rung = tokio::time::timeout(WAIT_MAX, app.node.reached(batch, wanted)).await.map_err(late)??;
    Ok(Json(json::submitted(&view, rung)))
}

pub(super) async fn transaction(State(app): State<App>, Named(id): Named, Asked(Nothing {}): Asked<Nothing>) -> Answer {
    let id = parse::digest("transaction id", &id)?;
    Ok(Json(json::transaction(&app.ask(move |node| node.transaction(&id)).await?)))
}

pub(super) async fn explanation(State(app): State<App>, Named(id): Named, Asked(Nothing {}): Asked<Nothing>) -> Answer {
    let id = parse::digest("transaction id", &id)?;
    Ok(Json(explain::json(&app.node.refusal(&id).await?)))
}

pub(super) async fn simulate(
    State(app): State<App>,
    Asked(SimulateQuery { priced }): Asked<SimulateQuery>,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let body = tokio::time::timeout(CALL_WITHIN, parse::body(&headers, body, "transaction", BODY_BYTES_MAX)).await;
    let transaction = body.map_err(|_| Error::new(713, "the body did not come in time"))??;
    app.node.caught_up().await;
    let simulated = app.node.simulate(&transaction, priced).await?;
    Ok(Json(json::simulation(&simulated)))
}

pub(super) async fn covenant(
    State(app): State<App>,
    Named(digest): Named,
    Asked(Nothing {}): Asked<Nothing>,
) -> Answer {
    let digest = parse::digest("covenant digest", &digest)?;
    app.node.caught_up().await;
    let text = app.ask(move |node| node.covenant(&digest)).await?;
    Ok(Json(json::covenant(&text)))
}

pub(super) async fn plane_rules(State(app): State<App>, Asked(Nothing {}): Asked<Nothing>) -> Answer {
    app.node.caught_up().await;
    let view = app.ask(|node| node.plane_rules()).await?;
    Ok(Json(json::plane_rules(&view)))
}

pub(super) async fn receipt(State(app): State<App>, Named(id): Named, Asked(Nothing {}): Asked<Nothing>) -> Answer {
    let id = parse::digest("transaction id", &id)?;
    Ok(Json(json::receipt(&app.ask(move |node| node.receipt(&id)).await?)))
}

pub(super) async fn batches(State(app): State<App>, Asked(query): Asked<BatchesQuery>) -> Answer {
    let (upto, count) = (query.upto, query.count()?);
    let views = app.ask(move |node| node.batches(upto, count)).await?;
    let (chain_id, plane_id) = (app.node.plane().chain_id(), app.node.plane().plane_id());
    let batches: Vec<_> = views.iter().map(|view| json::batch(chain_id, &plane_id, view, false, false)).collect();
    Ok(Json(json!({ "batches": batches })))
}

pub(super) async fn batch(
    State(app): State<App>,
    Named(number): Named,
    Asked(BatchQuery { records, posted }): Asked<BatchQuery>,
) -> Answer {
    let number = parse::number("batch", &number)?;
    app.node.shown(number).await;
    let view = app.ask(move |node| node.batch(number, records, posted)).await?;
    let plane = app.node.plane();
    Ok(Json(json::batch(plane.chain_id(), &plane.plane_id(), &view, records, posted)))
}

pub(super) async fn bridge(State(app): State<App>, Asked(Nothing {}): Asked<Nothing>) -> Json<Value> {
    Json(json::bridge(app.node.plane(), &app.node.bridge()))
}

pub(super) async fn l1_account(
    State(app): State<App>,
    Named(address): Named,
    Asked(Nothing {}): Asked<Nothing>,
) -> Answer {
    let address = parse::l1_address(&address)?;
    let (next, balances) = app.ask(move |node| node.l1_account(&address)).await?;
    Ok(Json(json::l1_account(app.node.plane(), &address, next, &balances)))
}

pub(super) async fn withdrawal(
    State(app): State<App>,
    Named(index): Named,
    Asked(Nothing {}): Asked<Nothing>,
) -> Answer {
    let index = parse::number("withdrawal", &index)?;
    let view = app.ask(move |node| node.withdrawal(index)).await?;
    Ok(Json(json::withdrawal(app.node.plane(), &view)))
}

pub(super) async fn commitment(
    State(app): State<App>,
    Named(batch): Named,
    Asked(Nothing {}): Asked<Nothing>,
) -> Answer {
    let batch = parse::number("batch", &batch)?;
    let view = app.ask(move |node| node.commitment(batch)).await?;
    Ok(Json(json::commitment(app.node.plane().chain_id(), &view)))
}

pub(super) async fn send_to_l1(
    State(app): State<App>,
    Asked(Nothing {}): Asked<Nothing>,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let body = tokio::time::timeout(CALL_WITHIN, parse::body(&headers, body, "message", L1_BODY_BYTES_MAX)).await;
    let message = body.map_err(|_| Error::new(713, "the body did not come in time"))??;
    let late = |_| Error::new(713, "no L1 block in time; the message may still be taken: look at the account's number");
    let sent = tokio::time::timeout(WAIT_MAX, app.node.send_to_l1(message)).await.map_err(late)??;
    Ok(Json(json::sent_to_l1(&sent)))
}
