//! Routes about what has not happened: drafts, what-if questions, explanations.
//!
//! Knows whose a draft is: the key's that made it. Refuses to apply anything.

use axum::{
    Json,
    extract::{Path, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use devnet_schema::name::{NodeName, ServiceName};
use serde::Deserialize;
use serde_json::Value;

use super::{
    App,
    extract::{Document, Params, Who},
    problem::Failure,
};
use crate::{
    api::{
        Role,
        draft::{
            CommitRequest, Committed, Draft, DraftRequest, SourceFiles, WhatIf, WhatIfRequest,
        },
    },
    auth::Principal,
    cycle::Explained,
    view::explanation::{self, Timing},
};

/// `POST /api/v1/whatif`: a plan that is saved nowhere.
pub(super) async fn what_if(
    State(app): State<App>,
    Who(who): Who,
    Document(request): Document<WhatIfRequest>,
) -> Result<Json<WhatIf>, Failure> {
    Ok(Json(app.plane.what_if(request, &who.label()).await?))
}

/// Parameters of an explanation.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ExplainParams {
    node: Option<NodeName>,
}

/// `GET /api/v1/services/{name}/explain`: as `devnet explain -json`.
pub(super) async fn explain(
    State(app): State<App>,
    Path(name): Path<String>,
    Params(params): Params<ExplainParams>,
) -> Result<Json<Value>, Failure> {
    let no_such = || Failure::not_found("there is no such service");
    let name: ServiceName = name.parse().map_err(|_| no_such())?;
    let explained = app.plane.explain(&name).await?;
    let Explained { mut explanation, unplaced, cut_short, limit } = explained;
    if let Some(node) = params.node {
        explanation.nodes.retain(|verdict| verdict.node == node);
        if explanation.nodes.is_empty() {
            return Err(Failure::not_found(format!("no node is called {node}")));
        }
    }
    let timing = Timing { solve_limit: cut_short.then_some(limit.as_secs_f64()), cut_short };
    Ok(Json(explanation::document(&explanation, unplaced.as_ref(), timing)))
}

/// `POST /api/v1/drafts`: 201, the draft, and its place.
pub(super) async fn make(
    State(app): State<App>,
    Who(who): Who,
    Document(request): Document<DraftRequest>,
) -> Result<Response, Failure> {
    let draft = app.plane.draft(None, request, &who.label()).await?;
    let place = format!("/api/v1/drafts/{}", draft.id);
    Ok((StatusCode::CREATED, [(header::LOCATION, place)], Json(draft)).into_response())
}

/// `GET /api/v1/drafts/{id}`: one's own.
pub(super) async fn one(
    State(app): State<App>,
    Who(who): Who,
    Path(id): Path<String>,
) -> Result<Json<Draft>, Failure> {
    Ok(Json(app.plane.draft_of(&id, &who.label())?))
}

/// `PATCH /api/v1/drafts/{id}`: the edits in the place of those before.
pub(super) async fn change(
    State(app): State<App>,
    Who(who): Who,
    Path(id): Path<String>,
    Document(request): Document<DraftRequest>,
) -> Result<Json<Draft>, Failure> {
    Ok(Json(app.plane.draft(Some(&id), request, &who.label()).await?))
}

/// `DELETE /api/v1/drafts/{id}`: 204.
pub(super) async fn remove(
    State(app): State<App>,
    Who(who): Who,
    Path(id): Path<String>,
) -> Result<StatusCode, Failure> {
    match app.plane.drop_draft(&id, &who.label()) {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(Failure::not_found("there is no such draft of yours")),
    }
}

/// `POST /api/v1/drafts/{id}/commit`: 201 and the commit.
pub(super) async fn commit(
    State(app): State<App>,
    Who(who): Who,
    Path(id): Path<String>,
    Document(request): Document<CommitRequest>,
) -> Result<(StatusCode, Json<Committed>), Failure> {
    let role = match &who {
        Principal::Key { role, .. } => *role,
        Principal::Anonymous | Principal::Node { .. } => Role::Viewer,
    };
    let committed = app.plane.commit_draft(&id, request, (&who.label(), role)).await?;
    Ok((StatusCode::CREATED, Json(committed)))
}

/// Parameters of `GET /api/v1/source`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct SourceParams {
    rev: Option<String>,
}

/// `GET /api/v1/source`: the files that the configuration is made of.
pub(super) async fn source(
    State(app): State<App>,
    Params(params): Params<SourceParams>,
) -> Result<Json<SourceFiles>, Failure> {
    Ok(Json(app.plane.source_files(params.rev.as_deref()).await?))
}
