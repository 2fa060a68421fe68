//! The route that agents connect to.

use axum::{
    extract::{State, WebSocketUpgrade},
    response::Response,
};
use devnet_schema::wire::MAX_FRAME;

use super::{App, extract::Who, problem::Failure};
use crate::auth::{Denied, Principal};

/// `GET /api/v1/agent` (WebSocket): the session of the node whose certificate opened it.
pub(super) async fn connect(
    State(app): State<App>,
    Who(who): Who,
    upgrade: WebSocketUpgrade,
) -> Result<Response, Failure> {
    let Principal::Node { name, id } = who else {
        return Err(Denied::NodesOnly.into());
    };
    let upgrade = upgrade
        .max_message_size(MAX_FRAME)
        .max_frame_size(MAX_FRAME)
        .write_buffer_size(0)
        .max_write_buffer_size(2 * MAX_FRAME);
    Ok(upgrade.on_upgrade(move |socket| app.plane.speak(socket, name, id)))
}
