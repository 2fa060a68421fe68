//! Units whose removal an earlier agent began: each goes on here until nothing of its unit is left.
//!
//! Knows who waits for a removal. Refuses to end anything of a later start, and to remove what a
//! later start wrote.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use devnet_schema::{instance::Runtime, name::InstanceId, observed::InstanceState};
use tokio::{sync::watch, time::sleep};

use super::{
    child,
    record::{Home, Record},
    supervise::{Setting, politeness},
};
use crate::{
    driver::{DriverError, Unit},
    rules,
};

/// The removals that go on, one an instance.
#[derive(Clone, Default)]
pub(super) struct Endings(Arc<Mutex<BTreeMap<InstanceId, Ending>>>);

#[derive(Clone)]
struct Ending {
    record: Record,
    news: watch::Receiver<News>,
}

/// How far a removal is.
#[derive(Debug, Clone, Default)]
struct News {
    failures: u32,
    /// Why the last try failed.
    why: Option<String>,
    over: bool,
}

impl Endings {
    fn table(&self) -> MutexGuard<'_, BTreeMap<InstanceId, Ending>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Goes on with the removal of a record's unit, unless that is done already.
    pub(super) fn begin(&self, setting: Setting, record: Record) {
        let id = record.spec.id.clone();
        let mut table = self.table();
        if table.contains_key(&id) {
            return;
        }
        tracing::info!(instance = %id, "finishing the removal of a unit");
        let (said, news) = watch::channel(News::default());
        table.insert(id, Ending { record: record.clone(), news });
        drop(table);
        tokio::spawn(self.clone().finish(setting, record, said));
    }

    /// Tries until it is done: whoever wants the instance's place waits for that.
    async fn finish(self, setting: Setting, record: Record, said: watch::Sender<News>) {
        let id = &record.spec.id;
        let mut failures = 0;
        while let Err(error) = attempt(&setting, &record).await {
            tracing::error!(instance = %id, %error, "removing a unit failed");
            failures += 1;
            let why = Some(error.to_string());
            said.send_replace(News { failures, why, over: false });
            setting.ground.changed.notify_one();
            sleep(rules::restart_pause(failures)).await;
        }
        self.table().remove(id);
        said.send_modify(|news| news.over = true);
        setting.ground.changed.notify_one();
    }

    /// Waits for the end of an instance's removal; whether there was one.
    ///
    /// # Errors
    /// When a try fails meanwhile. It is tried again, and can be waited for again.
    pub(super) async fn over(&self, id: &InstanceId) -> Result<bool, DriverError> {
        let Some(Ending { mut news, .. }) = self.table().get(id).cloned() else {
            return Ok(false);
        };
        let failures = news.borrow().failures;
        let news = news.wait_for(|news| news.over || news.failures > failures).await;
        match news.map(|news| news.clone()) {
            Ok(News { over: true, .. }) => Ok(true),
            Ok(News { why, .. }) => Err(DriverError::failed(
                format!("the removal of {id} is not finished"),
                why.unwrap_or_default(),
                "the agent tries again by itself",
            )),
            Err(_) => Err(DriverError::NotKnown(format!(
                "the removal of {id} was given up; look at the agent's log on the node"
            ))),
        }
    }

    /// Waits for every removal, each until it is done or a try fails.
    pub(super) async fn all_over(&self) {
        let ids: Vec<InstanceId> = self.table().keys().cloned().collect();
        futures_util::future::join_all(ids.iter().map(|id| self.over(id))).await;
    }

    /// The units that are still being removed.
    pub(super) fn units(&self) -> Vec<Unit> {
        self.table().values().map(unit).collect()
    }
}

fn unit(Ending { record, news }: &Ending) -> Unit {
    let mark = record.process.as_ref();
    let failed = news.borrow().why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
    Unit {
        id: record.spec.id.clone(),
        generation: record.generation,
        digest: record.digest.clone(),
        runtime: Runtime::Process,
        // Whatever of it still runs serves nobody any more.
        state: InstanceState::Exited,
        ending: true,
        restarts: record.restarts,
        message: Some(format!("its removal, which an earlier agent began, goes on{failed}")),
        address: None,
        run: mark.map(|mark| format!("{}@{}", mark.pid, mark.start)).unwrap_or_default(),
        started_at: mark.map_or(0, |mark| mark.started_at),
        spec: Some(record.spec.clone()),
    }
}

/// Ends what runs of the record's own start, as its spec says, and removes what it left.
async fn attempt(setting: &Setting, record: &Record) -> Result<(), DriverError> {
    let id = &record.spec.id;
    let (signal, grace) = politeness(&record.spec.stop);
    let traces = setting.traces(record);
    let process = record.process.as_ref().and_then(|mark| child::adopt(mark, traces.clone()));
    let ended = match process {
        Some(mut process) => process.terminate(signal, grace).await,
        None => traces.end(Some((signal, grace))).await,
    };
    Setting::nothing_left(id, ended)?;
    let home = Home::new(&setting.ground.data_dir, id);
    home.remove_ending(record, &*setting.watcher)
}
