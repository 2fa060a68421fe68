//! One instance that came to a node, or takes more of it than before.
//!
//! Knows what it takes that it had not. Refuses to blame it.
//!
//! What is short on a node was taken by somebody, and only these can have done it. Of an instance
//! that stays, only what it has grown by counts.

use devnet_schema::quantity::GpuRequest;

use crate::place::{
    ix::ServiceIx,
    model::{node::Amounts, service::Service},
    problem::InstanceKey,
};

/// Who came to a node, or stays there and takes more of it than before.
pub(crate) struct Taker {
    pub(super) instance: InstanceKey,
    pub(super) service: ServiceIx,
    pub(super) came: bool,
    /// What it takes that it had not.
    pub(super) more: Amounts,
    /// Whether it takes devices that it had not.
    pub(super) devices: bool,
}

/// What an instance takes of its node that it had not; nothing where nobody knows what it had.
pub(crate) fn taker(
    service: &Service<'_>,
    (instance, service_ix): (&InstanceKey, ServiceIx),
    came: bool,
) -> Option<Taker> {
    let input = service.input;
    let (instance, wants) = (instance.clone(), service.wants_gpu());
    if came {
        return Some(Taker {
            instance,
            service: service_ix,
            came,
            more: service.need,
            devices: wants,
        });
    }
    let has = input.holdings.get(&instance.index)?.amounts();
    let more = [0, 1, 2].map(|resource| service.need[resource].saturating_sub(has[resource]));
    let had = input.current.get(&instance.index)?.request();
    let devices = wants && more_devices(had, input.gpu);
    Some(Taker { instance, service: service_ix, came, more, devices })
}

/// Whether a request is for more than another was, as far as they can be compared.
fn more_devices(had: GpuRequest, wants: GpuRequest) -> bool {
    match (had, wants) {
        (GpuRequest::Whole(had), GpuRequest::Whole(wants)) => had < wants,
        (GpuRequest::Share(had), GpuRequest::Share(wants)) => had < wants,
        (GpuRequest::Memory(had), GpuRequest::Memory(wants)) => had < wants,
        (had, _) => !matches!(had, GpuRequest::Whole(1..)),
    }
}
