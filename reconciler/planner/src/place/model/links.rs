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

/// Makes `apart` hold both ways and fills `supports`.
pub fn link(services: &mut [Service<'_>]) {
    let apart: Vec<(usize, usize)> = services
        .iter()
        .enumerate()
        .flat_map(|(s, v)| v.apart.iter().map(move |&t| (t, s)))
        .collect();
    for (t, s) in apart {
        if let Err(at) = services[t].apart.binary_search(&s) {
            services[t].apart.insert(at, s);
        }
    }
    let near: Vec<(usize, usize)> = services
        .iter()
        .enumerate()
        .flat_map(|(s, v)| v.near.iter().map(move |&t| (t, s)))
        .collect();
    for (t, s) in near {
        services[t].supports.push(s);
    }
    let lone = |(s, service): (usize, &Service<'_>)| {
        Some((service.input.name.lone_instance()?.service, s))
    };
    let mut counterparts: BTreeMap<ServiceName, Vec<usize>> = BTreeMap::new();
    for (name, s) in services.iter().enumerate().filter_map(lone) {
        counterparts.entry(name).or_default().push(s);
    }
    for (name, mut all) in counterparts {
        let own = services.iter().position(|it| it.input.name == name);
        let homes = all.iter().filter_map(|&s| Some(services[s].candidates.first()?.node));
        for n in homes.collect::<Vec<usize>>() {
            own.into_iter().for_each(|s| services[s].hold_one_more(n));
        }
        // Who stays apart from its service stays apart from what is kept of it.
        let apart = own.map_or(Vec::new(), |own| services[own].apart.clone());
        for (&kept, &other) in all.iter().flat_map(|s| apart.iter().map(move |t| (s, t))) {
            let declared = Some(other) != own && !services[other].is_retained();
            for (a, b) in [(kept, other), (other, kept)].into_iter().filter(|_| declared) {
                if let Err(at) = services[a].apart.binary_search(&b) {
                    services[a].apart.insert(at, b);
                }
            }
        }
        all.iter().for_each(|&kept| reconcile(services, kept));
        all.extend(own);
        for &s in &all {
            services[s].counterparts = all.iter().copied().filter(|&other| other != s).collect();
        }
    }
}

/// Lets what is kept as it is be beside those that it should stay apart from by now and that run
/// there, too.
fn reconcile(services: &mut [Service<'_>], kept: usize) {
    let Some(home) = services[kept].candidates.first().map(|candidate| candidate.node) else {
        return;
    };
    let beside = |t: &usize| !services[*t].is_retained() && services[*t].ran_at(home) > 0;
    let (beside, apart): (Vec<usize>, Vec<usize>) =
        services[kept].apart.iter().copied().partition(beside);
    services[kept].apart = apart;
    for other in beside {
        services[other].apart.retain(|&it| it != kept);
    }
}
