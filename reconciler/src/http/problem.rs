//! Errors of the API as problem documents (RFC 9457).
//!
//! Knows which status and which stable word each failure has. Refuses to print the sources of our
//! own failures to callers: those go to the log.

use axum::{
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use tracing::error;

use crate::{
    api::{FOLLOWS_SOURCE, NOT_READY, Problem},
    auth::Denied,
    cycle::{
        AdapterError, BeginError, CancelError, JoinRefusal, MembershipError, RegisterError,
        RequestError, UnknownOrders,
    },
};

/// When whoever came at a bad time is to come again, in seconds.
const RETRY_AFTER: &str = "2";

/// An answer that is an error.
#[derive(Debug)]
pub(super) struct Failure(pub Problem);

impl Failure {
    /// One of `status` with a stable word and a sentence.
    pub(super) fn new(status: StatusCode, kind: &str, title: impl Into<String>) -> Self {
        Self(Problem {
            kind: kind.to_owned(),
            title: title.into(),
            status: status.as_u16(),
            detail: None,
            diagnostics: Vec::new(),
        })
    }

    /// The same with what to do next.
    #[must_use]
    pub(super) fn detail(mut self, detail: impl Into<String>) -> Self {
        self.0.detail = Some(detail.into());
        self
    }

    /// 404.
    pub(super) fn not_found(title: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", title)
    }

    /// 400.
    pub(super) fn bad_request(title: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad-request", title)
    }

    /// 500; the cause is for the log only.
    pub(super) fn internal(act: &str, cause: &(dyn std::error::Error + 'static)) -> Self {
        error!(error = cause, "{act}");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            format!("{act} failed in the control plane"),
        )
        .detail("the log of the control plane says why")
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status =
            StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&self.0).unwrap_or_default();
        let mut response = (status, body).into_response();
        let kind = header::HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        if matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
            let seconds = header::HeaderValue::from_static(RETRY_AFTER);
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
        }
        if status == StatusCode::UNAUTHORIZED {
            let scheme = header::HeaderValue::from_static("Bearer realm=\"devnet\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, scheme);
        }
        response
    }
}

impl From<Denied> for Failure {
    fn from(denied: Denied) -> Self {
        let kind = match denied {
            Denied::Unauthenticated => "unauthenticated",
            Denied::Role(_) | Denied::NodesOnly | Denied::NotForNodes => "forbidden",
            Denied::Unknown => "not-found",
        };
        let status = StatusCode::from_u16(denied.status()).unwrap_or(StatusCode::FORBIDDEN);
        Self::new(status, kind, denied.to_string())
    }
}

impl From<AdapterError> for Failure {
    fn from(error: AdapterError) -> Self {
        let title = error.to_string();
        match error {
            AdapterError::Asked(_) => Self::bad_request(title),
            AdapterError::Missing(_) => Self::not_found(title),
            AdapterError::Overtaken(_) => Self::new(StatusCode::CONFLICT, "stale-plan", title),
            AdapterError::Busy(_) => Self::new(StatusCode::TOO_MANY_REQUESTS, "busy", title)
                .detail("end one of them, or try again later"),
            AdapterError::Unreachable(_) | AdapterError::Untaken(_) => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "node-unreachable", title)
                    .detail("start devnet-agent on that node and try again")
            }
            AdapterError::Failed { act, source } => Self::internal(act, source.as_ref()),
        }
    }
}

impl From<MembershipError> for Failure {
    fn from(error: MembershipError) -> Self {
        match error {
            MembershipError::NoNode(_) => Self::not_found(error.to_string()),
            MembershipError::Silent(_) => {
                Self::new(StatusCode::CONFLICT, "node-silent", error.to_string())
                    .detail("start devnet-agent there, and say it again once it is online")
            }
            MembershipError::Ordered(_) => {
                Self::new(StatusCode::CONFLICT, "ordered-elsewhere", error.to_string()).detail(
                    "to keep the copy on that other node, stop this one on its machine; to keep \
                     this one with its data, say `devnet node adopt NODE --instead`: the next \
                     plan removes the other, and its volumes stay where they are",
                )
            }
            MembershipError::Secrets(_) => {
                Self::new(StatusCode::CONFLICT, "not-adopted", error.to_string())
                    .detail("make the configuration as it was, and say it again")
            }
            MembershipError::Internal(error) => error.into(),
            MembershipError::Store(error) => AdapterError::from(error).into(),
            MembershipError::List(error) => Self::internal("keeping the lists of nodes", &error),
        }
    }
}

impl From<RegisterError> for Failure {
    fn from(error: RegisterError) -> Self {
        match error {
            RegisterError::Refused(refusal) => {
                let status = match refusal {
                    JoinRefusal::Token => StatusCode::UNAUTHORIZED,
                    JoinRefusal::Name(_) | JoinRefusal::Replace(_) => StatusCode::FORBIDDEN,
                    JoinRefusal::Taken(_) => StatusCode::CONFLICT,
                };
                Self::new(status, "join-refused", refusal.to_string()).detail(refusal.advice())
            }
            RegisterError::Certificate(error) => Self::bad_request(error.to_string()),
            RegisterError::Unnamed => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "cluster-unnamed", error.to_string())
            }
            RegisterError::Store(error) => AdapterError::from(error).into(),
            RegisterError::List(error) => Self::internal("keeping the lists of nodes", &error),
        }
    }
}

impl From<BeginError> for Failure {
    fn from(error: BeginError) -> Self {
        match error {
            BeginError::Busy(_) => {
                Self::new(StatusCode::CONFLICT, "deployment-running", error.to_string())
            }
            BeginError::Store(error) => AdapterError::from(error).into(),
        }
    }
}

impl From<CancelError> for Failure {
    fn from(error: CancelError) -> Self {
        match error {
            CancelError::Unknown => Self::not_found(error.to_string()),
            CancelError::Ended(_) => {
                Self::new(StatusCode::CONFLICT, "deployment-ended", error.to_string())
                    .detail("`devnet get deployments` says how")
            }
            CancelError::Store(error) => AdapterError::from(error).into(),
        }
    }
}

impl From<RequestError> for Failure {
    fn from(error: RequestError) -> Self {
        let title = error.to_string();
        let unprocessable = |kind, title| Self::new(StatusCode::UNPROCESSABLE_ENTITY, kind, title);
        match error {
            RequestError::Invalid(rejected) => {
                let mut failure = unprocessable("invalid-configuration", title);
                failure.0.diagnostics = rejected.diagnostics;
                failure
            }
            RequestError::NotApplicable(diagnostics) => {
                let mut failure = unprocessable("plan-not-applicable", title);
                failure.0.diagnostics = diagnostics;
                failure
            }
            RequestError::OtherCluster { .. } => {
                Self::new(StatusCode::CONFLICT, "other-cluster", title)
                    .detail("check the `cluster` line, or use another control plane")
            }
            RequestError::NoRevision(_) => unprocessable("no-revision", title),
            RequestError::BadId => Self::bad_request(title),
            RequestError::IdTaken(_) => Self::new(StatusCode::CONFLICT, "deployment-exists", title),
            RequestError::Unnamed => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "cluster-unnamed", title)
            }
            RequestError::NotReady(_) => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, NOT_READY, title)
                    .detail("ask again in a few seconds")
            }
            RequestError::TooMany => {
                Self::new(StatusCode::TOO_MANY_REQUESTS, "too-many-plans", title)
                    .detail("ask again in a few seconds")
            }
            RequestError::NoPlan(_) | RequestError::NoDraft(_) => Self::not_found(title),
            RequestError::Supposed(_) => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "not-there", title)
            }
            RequestError::ReadOnly(_) => Self::new(StatusCode::CONFLICT, "source-read-only", title)
                .detail("download the patch, and commit it where the source is kept"),
            RequestError::BaseMoved(_) => Self::new(StatusCode::CONFLICT, "base-moved", title)
                .detail("make the edits anew on the newest revision, and look at the plan"),
            RequestError::Stale(_) => Self::new(StatusCode::CONFLICT, "stale-plan", title)
                .detail("plan again, look at the new plan, and apply that one"),
            RequestError::Undone(_) => Self::new(StatusCode::CONFLICT, FOLLOWS_SOURCE, title)
                .detail(
                    "commit the change there; or stop the control plane from applying by itself \
                     with `sync auto=#false`; or apply with -force all the same",
                ),
            RequestError::Begin(error) => error.into(),
            RequestError::Store(error) => AdapterError::from(error).into(),
            RequestError::Internal(error) if error.is::<UnknownOrders>() => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "orders-unknown", title)
            }
            RequestError::Internal(error) => Self::internal("planning", error.as_ref()),
        }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::internal("answering a request", error.as_ref())
    }
}

/// What no route answers. The guard has refused it before; this is for the router's own sake.
pub(super) async fn no_such_route() -> Failure {
    Denied::Unknown.into()
}
