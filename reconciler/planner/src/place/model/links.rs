//! What ties services to one another: apart-from, near, and an instance with its declaration.
//!
//! Knows pairs of services. Refuses to know nodes beyond where a retained instance lives.
//!
//! A cluster file says `apart-from` on one side only, and both sides must keep it. It runs at the
//! end of building the index, when every service has its candidates: then `db[0]` as it runs is
//! tied to `db` as it is declared.

use std::collections::BTreeMap;

use devnet_schema::name::ServiceName;

use super::service::Service;
use crate::place::ix::{NodeIx, PerService, ServiceIx};

/// Makes `apart` hold both ways and fills `supports`.
pub(crate) fn link(services: &mut PerService<Service<'_>>) {
    let apart: Vec<(ServiceIx, ServiceIx)> = services
        .enumerate()
        .flat_map(|(service_ix, v)| v.apart.iter().map(move |&other_ix| (other_ix, service_ix)))
        .collect();
    for (other_ix, service_ix) in apart {
        if let Err(at) = services[other_ix].apart.binary_search(&service_ix) {
            services[other_ix].apart.insert(at, service_ix);
        }
    }
    let near: Vec<(ServiceIx, ServiceIx)> = services
        .enumerate()
        .flat_map(|(service_ix, v)| v.near.iter().map(move |&other_ix| (other_ix, service_ix)))
        .collect();
    for (other_ix, service_ix) in near {
        services[other_ix].supports.push(service_ix);
    }
    let retained = |(service_ix, service): (ServiceIx, &Service<'_>)| {
        Some((service.input.name.retained()?.service.clone(), service_ix))
    };
    let mut counterparts: BTreeMap<ServiceName, Vec<ServiceIx>> = BTreeMap::new();
    for (name, service_ix) in services.enumerate().filter_map(retained) {
        counterparts.entry(name).or_default().push(service_ix);
    }
    for (name, mut all) in counterparts {
        let own = services.position(|it| it.input.name == name);
        let homes = all
            .iter()
            .filter_map(|&service_ix| Some(services[service_ix].candidates.first()?.node));
        for node in homes.collect::<Vec<NodeIx>>() {
            own.into_iter().for_each(|service_ix| services[service_ix].hold_one_more(node));
        }
        // Who stays apart from its service stays apart from what is kept of it.
        let apart = own.map_or(Vec::new(), |own| services[own].apart.clone());
        for (&kept, &other) in all
            .iter()
            .flat_map(|service_ix| apart.iter().map(move |other_ix| (service_ix, other_ix)))
        {
            let declared = Some(other) != own && !services[other].is_retained();
            for (a, b) in [(kept, other), (other, kept)].into_iter().filter(|_| declared) {
                if let Err(at) = services[a].apart.binary_search(&b) {
                    services[a].apart.insert(at, b);
                }
            }
        }
        all.iter().for_each(|&kept| reconcile(services, kept));
        all.extend(own);
        for &service_ix in &all {
            services[service_ix].counterparts =
                all.iter().copied().filter(|&other| other != service_ix).collect();
        }
    }
}

/// Lets what is kept as it is be beside those that it should stay apart from by now and that run
/// there, too.
fn reconcile(services: &mut PerService<Service<'_>>, kept: ServiceIx) {
    let Some(home) = services[kept].candidates.first().map(|candidate| candidate.node) else {
        return;
    };
    let beside = |other_ix: &ServiceIx| {
        !services[*other_ix].is_retained() && services[*other_ix].ran_at(home) > 0
    };
    let (beside, apart): (Vec<ServiceIx>, Vec<ServiceIx>) =
        services[kept].apart.iter().copied().partition(beside);
    services[kept].apart = apart;
    for other in beside {
        services[other].apart.retain(|&it| it != kept);
    }
}
