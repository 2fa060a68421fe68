//! Which device of its node each instance would have, kept up to date while a placement changes.
//!
//! Knows one arrangement of the instances that are there, and finds another where it is in the way.
//! Refuses to know services beyond their number and what they claim.
//!
//! Packing anew at every step of a search would take most of its time; most instances can be added
//! beside the others. Only where one does not fit beside them are all of them arranged again.

use devnet_schema::quantity::GpuRequest;

use super::{
    gpu_claim::{GpuClaim, GpuClaims},
    gpu_packing,
    gpu_request::{self, Group, Item},
};
use crate::place::ix::ServiceIx;

/// The devices of one node.
#[derive(Debug, Clone, Default)]
pub(crate) struct GpuAllocation {
    /// What is left of each device, in the units of [`super::gpu_request::size`].
    left: Vec<u64>,
    /// Instances on each device.
    users: Vec<u32>,
    /// Service and devices of every instance, as bits.
    grants: Vec<(ServiceIx, u128)>,
    /// Instances that could not be arranged with the others.
    stranded: Vec<ServiceIx>,
    /// Instances that are there now and stay, on other devices.
    restarts: u32,
}

impl GpuAllocation {
    pub(crate) fn empty(memories: &[u64]) -> Self {
        let left = memories.iter().map(|&m| gpu_request::size(m)).collect();
        let users = vec![0; memories.len()];
        Self { left, users, grants: Vec::new(), stranded: Vec::new(), restarts: 0 }
    }

    /// Whether every instance has its devices.
    pub(crate) fn arranged(&self) -> bool {
        self.stranded.is_empty()
    }

    /// Instances that are there now and stay, on other devices than they have.
    pub(crate) fn restarts(&self) -> u32 {
        self.restarts
    }

    /// What is left of each device, in the units of [`super::gpu_request::size`].
    pub(crate) fn left(&self) -> &[u64] {
        &self.left
    }

    /// The devices of every instance of a service, as bits.
    pub(crate) fn of(&self, service: ServiceIx) -> impl Iterator<Item = u128> {
        self.grants.iter().filter(move |grant| grant.0 == service).map(|grant| grant.1)
    }

    /// Whether it is plain that one more does not fit, however the others are arranged.
    fn refuses(&self, memories: &[u64], item: Item) -> bool {
        let allowed = |d: &usize| item.allowed >> d & 1 == 1;
        let left: u64 = (0..memories.len()).filter(allowed).map(|d| self.left[d]).sum();
        match item.need {
            GpuRequest::None | GpuRequest::Whole(0) => false,
            GpuRequest::Whole(count) => {
                let smallest =
                    (0..memories.len()).filter(allowed).map(|d| gpu_request::size(memories[d]));
                left < smallest.min().unwrap_or(0).saturating_mul(u64::from(count))
            }
            need => {
                let least = (0..memories.len())
                    .filter(allowed)
                    .map(|d| gpu_request::load(need, memories[d]));
                least.min().is_none_or(|least| left < least)
            }
        }
    }

    /// Devices for one more that leave the others alone: its own from before, untouched ones, or
    /// the fullest that has room.
    fn devices_for(
        &self,
        memories: &[u64],
        service: ServiceIx,
        claim: &GpuClaim<'_>,
    ) -> Option<u128> {
        let item = claim.item;
        let allowed = |d: &usize| item.allowed >> d & 1 == 1;
        if let Some(home) = self.empty_home(memories, service, claim) {
            return Some(home);
        }
        match item.need {
            GpuRequest::None | GpuRequest::Whole(0) => Some(0),
            GpuRequest::Whole(count) => {
                let free = (0..memories.len()).filter(allowed).filter(|&d| self.users[d] == 0);
                let list: Vec<usize> = free.take(count as usize).collect();
                let all = list.len() == count as usize;
                all.then(|| list.into_iter().fold(0, |set, d| set | 1 << d))
            }
            need => {
                let fits = |d: &usize| gpu_request::load(need, memories[*d]) <= self.left[*d];
                let open = (0..memories.len()).filter(allowed).filter(fits);
                open.min_by_key(|&d| (self.left[d], d)).map(|d| 1 << d)
            }
        }
    }

    /// The devices of an instance from before, where none of its service has them and they are
    /// free.
    fn empty_home(
        &self,
        memories: &[u64],
        service: ServiceIx,
        claim: &GpuClaim<'_>,
    ) -> Option<u128> {
        let free = |home: &u128| {
            (0..memories.len()).filter(|d| home >> d & 1 == 1).all(|d| match claim.item.need {
                GpuRequest::None | GpuRequest::Whole(_) => self.users[d] == 0,
                need => gpu_request::load(need, memories[d]) <= self.left[d],
            })
        };
        let homes = claim.devices();
        let taken = |home: &u128| self.of(service).filter(|grant| grant == home).count();
        let same = |home: &u128| homes.iter().filter(|other| *other == home).count();
        homes.iter().copied().find(|home| taken(home) < same(home) && free(home))
    }

    /// What one more would leave unused beside itself, in thousandths of a device. A single whole
    /// device is as good as any other.
    pub(crate) fn waste(&self, memories: &[u64], service: ServiceIx, claim: &GpuClaim<'_>) -> u64 {
        let Some(devices) = self.devices_for(memories, service, claim) else {
            return 1000 * memories.len() as u64;
        };
        let need = claim.item.need;
        if need == GpuRequest::Whole(1) {
            return 0;
        }
        if matches!(need, GpuRequest::Whole(_)) {
            let taken = u64::from(devices.count_ones());
            let free = self.users.iter().filter(|&&users| users == 0).count() as u64;
            return 1000 * (free - taken);
        }
        let d = devices.trailing_zeros() as usize;
        let left = self.left[d] - gpu_request::load(need, memories[d]);
        (u128::from(left) * 1000 / u128::from(gpu_request::size(memories[d]))) as u64
    }

    pub(super) fn sit(
        &mut self,
        memories: &[u64],
        service: ServiceIx,
        need: GpuRequest,
        devices: u128,
    ) {
        for d in (0..memories.len()).filter(|d| devices >> d & 1 == 1) {
            self.left[d] = self.left[d].saturating_sub(gpu_request::load(need, memories[d]));
            self.users[d] += 1;
        }
        self.grants.push((service, devices));
    }

    /// Takes one more in, arranging all of them anew where need be.
    pub(crate) fn add(&mut self, memories: &[u64], service: ServiceIx, claims: &GpuClaims<'_>) {
        let own = claims(service);
        match self.devices_for(memories, service, &own).filter(|_| self.arranged()) {
            Some(devices) => {
                self.restarts -= self.restarts_of(service, &own);
                self.sit(memories, service, own.item.need, devices);
                self.restarts += self.restarts_of(service, &own);
            }
            None => {
                self.stranded.push(service);
                self.rearrange(memories, claims, gpu_packing::THOROUGH);
            }
        }
        self.keep_devices(memories, claims, gpu_packing::BRIEF);
    }

    /// Lets one instance of a service go; there must be one.
    pub(crate) fn remove(&mut self, memories: &[u64], service: ServiceIx, claims: &GpuClaims<'_>) {
        let own = claims(service);
        if let Some(at) = self.stranded.iter().position(|&service_ix| service_ix == service) {
            self.stranded.remove(at);
        } else if let Some(at) = self.leaver(service, &own) {
            self.restarts -= self.restarts_of(service, &own);
            let (_, devices) = self.grants.remove(at);
            for d in (0..memories.len()).filter(|d| devices >> d & 1 == 1) {
                self.left[d] += gpu_request::load(own.item.need, memories[d]);
                self.users[d] -= 1;
            }
            self.restarts += self.restarts_of(service, &own);
        }
        if !self.arranged() {
            self.rearrange(memories, claims, gpu_packing::THOROUGH);
        }
        self.keep_devices(memories, claims, gpu_packing::BRIEF);
    }

    /// The devices of a service to give up: the last that is nobody's home, else the last.
    fn leaver(&self, service: ServiceIx, claim: &GpuClaim<'_>) -> Option<usize> {
        let own = |grant: &(ServiceIx, u128)| grant.0 == service;
        let new = |grant: &(ServiceIx, u128)| own(grant) && !claim.devices().contains(&grant.1);
        self.grants.iter().rposition(new).or_else(|| self.grants.iter().rposition(own))
    }

    /// Arranges all of them anew where fewer may restart then, in so many steps.
    pub(crate) fn keep_devices(&mut self, memories: &[u64], claims: &GpuClaims<'_>, steps: u32) {
        if self.restarts > 0 && self.arranged() {
            self.rearrange(memories, claims, steps);
        }
    }

    /// Of a service, the instances that stay on other devices.
    fn restarts_of(&self, service: ServiceIx, claim: &GpuClaim<'_>) -> u32 {
        let Some(homes) = claim.homes else {
            return 0;
        };
        let count = self.of(service).count() as u32;
        let at_home = homes.devices.iter().enumerate().filter(|(at, home)| {
            let earlier = homes.devices[..*at].iter().filter(|other| other == home).count();
            earlier < self.of(service).filter(|grant| grant == *home).count()
        });
        homes.stay(count).saturating_sub(at_home.count() as u32)
    }

    /// How many there are of each service, ascending.
    pub(super) fn counts(&self, extra: Option<ServiceIx>) -> Vec<(ServiceIx, u32)> {
        let mut all: Vec<ServiceIx> = self.grants.iter().map(|grant| grant.0).collect();
        all.extend(&self.stranded);
        all.extend(extra);
        all.sort_unstable();
        let runs = all.chunk_by(|a, b| a == b);
        runs.map(|run| (run[0], run.len() as u32)).collect()
    }

    /// Takes the best arrangement found in so many steps, if it is better than this one.
    fn rearrange(&mut self, memories: &[u64], claims: &GpuClaims<'_>, steps: u32) {
        let counts = self.counts(None);
        let groups: Vec<Group> =
            counts.iter().map(|&(service_ix, count)| claims(service_ix).group(count)).collect();
        let Some(chosen) = gpu_packing::pack(memories, &groups, steps) else {
            return;
        };
        let mut new = Self::empty(memories);
        for ((&(service, _), group), devices) in counts.iter().zip(&groups).zip(&chosen) {
            for set in devices {
                new.sit(memories, service, group.item.need, *set);
            }
            new.restarts += group.restarts(devices.iter().copied());
        }
        if !self.arranged() || new.restarts < self.restarts {
            *self = new;
        }
    }

    /// Whether one more fits, the others being arranged anew where need be.
    pub(crate) fn admits(
        &self,
        memories: &[u64],
        extra: ServiceIx,
        claims: &GpuClaims<'_>,
    ) -> bool {
        let own = claims(extra);
        if self.arranged() && self.devices_for(memories, extra, &own).is_some() {
            return true;
        }
        if self.arranged() && self.refuses(memories, own.item) {
            return false;
        }
        let group = |(service, count)| Group {
            item: claims(service).item,
            count,
            homes: Vec::new(),
            stay: 0,
        };
        let groups: Vec<Group> = self.counts(Some(extra)).into_iter().map(group).collect();
        gpu_packing::fits(memories, &groups)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::place::{ix::Position, model::gpu_claim::PreviousDevices};

    const GIB: u64 = 1 << 30;

    /// The service of that number.
    fn nth(number: usize) -> ServiceIx {
        ServiceIx::at(number)
    }

    fn share(milli: u32, homes: Option<&PreviousDevices>) -> GpuClaim<'_> {
        let item = Item { need: GpuRequest::Share(milli), allowed: u128::MAX };
        GpuClaim { item, homes }
    }

    #[test]
    fn what_stands_in_the_way_is_arranged_anew() {
        let sizes = [400, 300, 300, 600, 400];
        let claims = |service: ServiceIx| share(sizes[service.number()], None);
        let memories = [GIB, GIB];
        let mut allocation = GpuAllocation::empty(&memories);
        for service in 0..3 {
            allocation.add(&memories, nth(service), &claims);
        }
        // 400 + 300 + 300 fill one device; then 600 + 400 the other.
        assert!(allocation.admits(&memories, nth(3), &claims));
        allocation.add(&memories, nth(3), &claims);
        assert!(allocation.admits(&memories, nth(4), &claims) && allocation.arranged());
        allocation.add(&memories, nth(4), &claims);
        assert!(allocation.arranged() && !allocation.admits(&memories, nth(1), &claims));
        allocation.add(&memories, nth(1), &claims);
        assert!(!allocation.arranged(), "too much is kept and told");
        allocation.remove(&memories, nth(1), &claims);
        assert!(allocation.arranged());
        assert_eq!(
            allocation.counts(Some(nth(4))),
            [1, 1, 1, 1, 2]
                .iter()
                .enumerate()
                .map(|(service, count)| (nth(service), *count))
                .collect::<Vec<_>>()
        );
    }

    #[test]
    fn whoever_comes_first_the_devices_are_those_from_before() {
        let homes = |devices: &[u128]| {
            Some(PreviousDevices {
                devices: devices.to_vec(),
                current: devices.len() as u32,
                strangers: 0,
            })
        };
        let homes = [None, homes(&[1, 2]), homes(&[1])];
        let claims = |service: ServiceIx| {
            share([700, 300, 600][service.number()], homes[service.number()].as_ref())
        };
        let memories = [GIB, GIB];
        let mut allocation = GpuAllocation::empty(&memories);
        for service in [0, 2, 1] {
            allocation.add(&memories, nth(service), &claims);
            assert_eq!(allocation.restarts(), 0);
        }
        assert_eq!(allocation.of(nth(2)).collect::<Vec<_>>(), [1]);
        allocation.remove(&memories, nth(2), &claims);
        allocation.add(&memories, nth(1), &claims);
        assert_eq!((allocation.arranged(), allocation.restarts()), (true, 0));
        allocation.remove(&memories, nth(0), &claims);
        allocation.add(&memories, nth(2), &claims);
        assert_eq!((allocation.arranged(), allocation.restarts()), (true, 0));
    }
}
