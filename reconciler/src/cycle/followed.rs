//! The source as the loop follows it: what its newest revision is, and what became of it.
//!
//! Knows that a source that cannot be read, and a revision that means nothing, leave the last good
//! one in force and are told. Refuses to plan.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Instant,
};

use devnet_schema::{diagnostic::Diagnostic, file::Limits, overrides::Overrides};
use tracing::{error, warn};

use super::{
    Candidate, Configuration, ControlPlane,
    configuration::{self, FilesRead, Rejected},
    deploy::{chain, short},
};
use crate::{
    api::SourceStatus,
    clock,
    source::{Revision, Source},
    store::{RevisionRecord, RevisionState},
};

/// Reads the files of a revision of `source`, the newest when none is named.
///
/// # Errors
/// Why not, for people.
pub(super) async fn fetch(
    source: &Arc<dyn Source>,
    rev: Option<String>,
    limits: Limits,
) -> Result<(String, FilesRead), String> {
    let source = Arc::clone(source);
    let fetched = tokio::task::spawn_blocking(move || {
        let id = match rev {
            Some(id) => id,
            None => source.head().map_err(|error| chain(&error))?.id,
        };
        let files = source.files(&id).map_err(|error| chain(&error))?;
        let (_, read) = configuration::read(&id, "", &files, &Overrides::default(), &limits);
        Ok((id, read))
    });
    fetched.await.unwrap_or_else(|_| Err("reading the source stopped in the middle".to_owned()))
}

type Read = (Revision, Option<(Result<Configuration, Rejected>, FilesRead)>);

impl ControlPlane {
    /// Takes the last good revision from the records, so that it stays in force while the source
    /// is away, and what failed lately.
    ///
    /// # Errors
    /// When the records cannot be read.
    pub fn recall(&self) -> anyhow::Result<()> {
        self.recall_tries(clock::now());
        let applied = self.store.last_applied_revision()?.map(|record| record.revision);
        if let Some(source) = &self.source {
            self.state().source = Some(SourceStatus {
                location: source.location().to_owned(),
                branch: source.branch().to_owned(),
                seen: None,
                applied,
                problem: None,
                diagnostics: Vec::new(),
            });
        }
        let Some(record) = self.store.last_good_revision()? else {
            return Ok(());
        };
        let (vars, limits) = (Overrides::default(), &self.config.limits);
        let (result, _) =
            configuration::read(&record.revision, &record.root, &record.files, &vars, limits);
        match result {
            Ok(configuration) => self.state().current = Some(Arc::new(configuration)),
            Err(Rejected { problem, .. }) => {
                warn!(revision = record.revision, problem, "the last good revision is so no more");
            }
        }
        Ok(())
    }

    /// Looks at the source for the first time, so that the cluster has its name before the first
    /// agent comes.
    pub async fn first_look(&self) {
        let Some(source) = self.source.clone() else {
            return;
        };
        self.source_due.store(false, Ordering::Release);
        self.look_at_source(&source).await;
        let found =
            self.state().candidate.as_ref().map(|c| c.configuration.desired.cluster.clone());
        // Another name than before is told in the first turn.
        if let Some(name) = found {
            let _ = self.take_name(&name);
        }
    }

    pub(super) async fn look_at_source(&self, source: &Arc<dyn Source>) {
        let noticed = Instant::now();
        let seen = self.state().source.as_ref().and_then(|status| status.seen.clone());
        let reader = Arc::clone(source);
        let known = seen.clone();
        let limits = self.config.limits.clone();
        let read = tokio::task::spawn_blocking(move || -> Result<Read, String> {
            let head = reader.head().map_err(|error| chain(&error))?;
            if known.as_deref() == Some(head.id.as_str()) {
                return Ok((head, None));
            }
            let files = reader.files(&head.id).map_err(|error| chain(&error))?;
            let found = configuration::read(&head.id, "", &files, &Overrides::default(), &limits);
            Ok((head, Some(found)))
        });
        let read = read.await.unwrap_or_else(|_| Err("reading stopped in the middle".to_owned()));
        match read {
            Err(problem) => self.source_failed(&problem),
            Ok((_, None)) => self.source_works(),
            Ok((head, Some((result, read)))) => {
                self.rewritten(source, seen.as_deref(), &head);
                self.take_revision(head, result, read, noticed);
            }
        }
    }

    /// The source cannot be read: nothing follows from that but a word about it.
    fn source_failed(&self, problem: &str) {
        let text = format!("the source cannot be read: {problem}");
        let news = {
            let mut state = self.state();
            let news = state.unreadable.as_deref() != Some(&text);
            state.unreadable = Some(text.clone());
            news
        };
        if news {
            self.journal.write("sync", "source", &text);
            self.problem(&text, Vec::new());
        }
    }

    /// The source can be read again: its newest revision is looked at anew, since what became of it
    /// is no longer what the status says.
    fn source_works(&self) {
        let mut state = self.state();
        if state.unreadable.take().is_none() {
            return;
        }
        if let Some(status) = &mut state.source {
            status.problem = None;
            status.seen = None;
        }
        drop(state);
        self.journal.write("sync", "source", "the source can be read again");
        self.look_again();
    }

    fn rewritten(&self, source: &Arc<dyn Source>, old: Option<&str>, head: &Revision) {
        let Some(old) = old else { return };
        if matches!(source.follows(old, &head.id), Ok(false)) {
            let text = format!(
                "history was rewritten: {} does not follow {}; it is used all the same",
                short(&head.id),
                short(old)
            );
            self.journal.write("commit", &head.id, &text);
        }
    }

    fn take_revision(
        &self,
        head: Revision,
        result: Result<Configuration, Rejected>,
        read: FilesRead,
        noticed: Instant,
    ) {
        let text = format!("{} {}", short(&head.id), head.summary);
        self.journal.write("commit", &head.id, text.trim_end());
        let state = match &result {
            Ok(_) => RevisionState::Seen,
            Err(Rejected { problem, diagnostics }) => {
                RevisionState::Bad { problem: problem.clone(), diagnostics: diagnostics.clone() }
            }
        };
        let location = self.source.as_ref().map(|s| s.location().to_owned()).unwrap_or_default();
        let record = RevisionRecord {
            revision: head.id.clone(),
            source: location,
            summary: head.summary,
            author: head.author,
            committed_at: head.time,
            root: read.root,
            files: read.files,
            seen_at: clock::wall(),
            state,
            applied_at: None,
        };
        if let Err(error) = self.store.record_revision(&record) {
            error!(error = &error as &dyn std::error::Error, "recording a revision");
        }
        {
            let mut state = self.state();
            state.unreadable = None;
            if let Some(status) = &mut state.source {
                status.seen = Some(head.id.clone());
                status.problem = None;
                status.diagnostics = Vec::new();
            }
            state.candidate = result.as_ref().ok().map(|configuration| Candidate {
                configuration: Arc::new(configuration.clone()),
                noticed: Some(noticed),
            });
        }
        match result {
            Ok(_) => self.metrics.source_problem(false),
            Err(Rejected { problem, diagnostics }) => {
                let text = format!("{}: {problem}; nothing of it is applied", short(&head.id));
                self.journal.write("sync", &head.id, &text);
                self.problem(&problem, diagnostics);
            }
        }
    }

    /// Says why the newest revision is not in force.
    pub(super) fn problem(&self, text: &str, diagnostics: Vec<Diagnostic>) {
        self.metrics.source_problem(true);
        if let Some(status) = &mut self.state().source {
            status.problem = Some(text.to_owned());
            status.diagnostics = diagnostics;
        }
    }
}
