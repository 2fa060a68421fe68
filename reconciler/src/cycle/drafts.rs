//! Drafts: edits of the cluster file that nobody has committed yet.
//!
//! Knows whose each is, what it would change, and how it is committed. Refuses to hold any truth: a
//! draft is an edit of one revision, and a revision that moved is edited anew. They are kept in
//! memory, for a day.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use devnet_schema::file::{
    edit::{Edit, edit_kdl},
    tree::Form,
};
use similar::TextDiff;

use super::{
    ControlPlane, RequestError,
    configuration::{self, FilesRead, Rejected},
    request::printable,
};
use crate::{
    api::{
        PlanRequest, Role,
        draft::{CommitRequest, Committed, Draft, DraftRequest, SourceFiles},
    },
    random,
    source::{Change, SourceError},
};

/// How long a draft is good for.
const LIFE: Duration = Duration::from_secs(24 * 3600);
/// Drafts that are kept; the oldest go.
const MOST: usize = 200;
/// The most edits of one draft.
const MOST_EDITS: usize = 200;

#[derive(Debug, Clone)]
struct Kept {
    by: String,
    since: Duration,
    request: PlanRequest,
    draft: Draft,
}

/// All drafts.
#[derive(Debug, Default)]
pub(super) struct Drafts(Mutex<BTreeMap<String, Kept>>);

impl Drafts {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Kept>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, kept: Kept) {
        let now = kept.since;
        let mut drafts = self.lock();
        drafts.retain(|_, one| now.saturating_sub(one.since) < LIFE);
        if drafts.len() >= MOST && !drafts.contains_key(&kept.draft.id) {
            let oldest = drafts.iter().min_by_key(|(_, one)| one.since).map(|(id, _)| id.clone());
            oldest.and_then(|id| drafts.remove(&id));
        }
        drafts.insert(kept.draft.id.clone(), kept);
    }

    fn of(&self, id: &str, by: &str, now: Duration) -> Option<Kept> {
        let found = self.lock().get(id).cloned();
        found.filter(|kept| kept.by == by && now.saturating_sub(kept.since) < LIFE)
    }
}

/// Files that were edited, and what was added or changed of them.
struct EditedFiles {
    files: BTreeMap<String, String>,
    kdl: String,
}

impl ControlPlane {
    /// Makes a draft, or remakes the one of this id.
    ///
    /// # Errors
    /// When its revision is not known, or an edit is about something that is not there.
    pub async fn draft(
        &self,
        id: Option<&str>,
        request: DraftRequest,
        by: &str,
    ) -> Result<Draft, RequestError> {
        let now = self.since_start();
        let before = match id {
            Some(id) => Some(self.drafts.of(id, by, now).ok_or_else(|| no_draft(id))?),
            None => None,
        };
        if request.edits.len() > MOST_EDITS {
            let title = format!("a draft has {MOST_EDITS} edits at most: commit some of them");
            return Err(RequestError::Supposed(title));
        }
        let base = before.map(|kept| kept.draft.base).or(request.base);
        let (revision, read) = self.revision(base.as_deref()).await?;
        let edited = edited(&read, &request.edits)?;
        let patch = patch(&read.files, &edited.files, self.subdirectory());
        let mut whole = read.files.clone();
        whole.extend(edited.files.clone());
        let diagnostics = self.diagnostics_of(&revision, &read.root, &whole).await?;
        let draft = Draft {
            id: id.map_or_else(random::id, str::to_owned),
            base: revision,
            root: read.root.clone(),
            kdl: edited.kdl,
            patch,
            files: edited.files,
            diagnostics,
        };
        let request = PlanRequest { files: whole, root: read.root, ..PlanRequest::default() };
        self.drafts.keep(Kept { by: by.to_owned(), since: now, request, draft: draft.clone() });
        Ok(draft)
    }

    /// A draft of one's own.
    ///
    /// # Errors
    /// When there is none.
    pub fn draft_of(&self, id: &str, by: &str) -> Result<Draft, RequestError> {
        let kept = self.drafts.of(id, by, self.since_start());
        Ok(kept.ok_or_else(|| no_draft(id))?.draft)
    }

    /// Forgets a draft. False when there is none.
    pub fn drop_draft(&self, id: &str, by: &str) -> bool {
        let mut drafts = self.drafts.lock();
        let own = drafts.get(id).is_some_and(|kept| kept.by == by);
        own && drafts.remove(id).is_some()
    }

    /// What a plan of a draft is asked for with.
    ///
    /// # Errors
    /// When there is no such draft.
    pub(super) fn draft_request(&self, id: &str, by: &str) -> Result<PlanRequest, RequestError> {
        let kept = self.drafts.of(id, by, self.since_start());
        Ok(kept.ok_or_else(|| no_draft(id))?.request)
    }

    /// A request for a plan, with its files edited.
    ///
    /// # Errors
    /// When its revision is not known, or an edit is about something that is not there.
    pub(super) async fn edited_request(
        &self,
        request: PlanRequest,
        edits: &[Edit],
    ) -> Result<PlanRequest, RequestError> {
        let read = if request.files.is_empty() {
            self.revision(request.rev.as_deref()).await?.1
        } else {
            FilesRead { root: request.root.clone(), files: request.files.clone() }
        };
        let edited = edited(&read, edits)?;
        let mut files = read.files;
        files.extend(edited.files);
        Ok(PlanRequest { files, root: read.root, rev: None, ..request })
    }

    /// The files of a revision that the configuration is made of.
    ///
    /// # Errors
    /// When it is not known.
    pub async fn source_files(&self, rev: Option<&str>) -> Result<SourceFiles, RequestError> {
        let (revision, FilesRead { root, files }) = self.revision(rev).await?;
        Ok(SourceFiles { revision, root, files })
    }

    /// Commits a draft: on a branch of its own, or, for admins, on the one that is followed.
    ///
    /// # Errors
    /// When nothing may be committed, the draft has mistakes, or its revision is no longer the
    /// newest of that branch.
    pub async fn commit_draft(
        &self,
        id: &str,
        request: CommitRequest,
        (by, role): (&str, Role),
    ) -> Result<Committed, RequestError> {
        let kept = self.drafts.of(id, by, self.since_start()).ok_or_else(|| no_draft(id))?;
        if !self.config.source_write {
            let why = "this control plane was started without --source-write";
            return Err(RequestError::ReadOnly(why.to_owned()));
        }
        let Some(source) = self.source.clone() else {
            return Err(RequestError::ReadOnly("it follows no source".to_owned()));
        };
        let CommitRequest { message, branch } = request;
        if message.trim().is_empty() {
            return Err(RequestError::Supposed("a commit needs a message".to_owned()));
        }
        if source.is_followed(&branch).map_err(refused)? && role < Role::Admin {
            let why = format!(
                "only an admin commits to {branch}, which is followed: name another branch"
            );
            return Err(RequestError::ReadOnly(why));
        }
        let Draft { base, files, diagnostics, .. } = kept.draft;
        if diagnostics.iter().any(|found| found.is_error()) {
            let problem = "the draft has mistakes, so it is not committed".to_owned();
            return Err(RequestError::Invalid(Rejected { problem, diagnostics }));
        }
        let change = Change {
            base,
            branch: branch.clone(),
            files,
            message,
            author: by.to_owned(),
            seconds: crate::clock::now().as_second(),
        };
        let commit = tokio::task::spawn_blocking(move || source.commit(&change))
            .await
            .map_err(|error| anyhow::anyhow!(error).context("committing a draft"))?
            .map_err(refused)?;
        self.drop_draft(id, by);
        self.journal.write("commit", &commit, &format!("committed to {branch} by {by}"));
        self.look_again();
        Ok(Committed { commit, branch })
    }

    /// Where in the repository the configuration is, for the paths of a patch.
    fn subdirectory(&self) -> &str {
        self.source.as_ref().map(|source| source.subdirectory()).unwrap_or_default()
    }

    async fn diagnostics_of(
        &self,
        revision: &str,
        root: &str,
        files: &BTreeMap<String, String>,
    ) -> Result<Vec<devnet_schema::diagnostic::Diagnostic>, RequestError> {
        let (revision, root, files) = (revision.to_owned(), root.to_owned(), files.clone());
        let limits = self.config.limits.clone();
        let read = tokio::task::spawn_blocking(move || {
            let given = devnet_schema::overrides::Overrides::default();
            configuration::read(&revision, &root, &files, &given, &limits).0
        });
        let read = read.await.map_err(|error| anyhow::anyhow!(error).context("reading a draft"))?;
        Ok(match read {
            Ok(configuration) => configuration.diagnostics,
            Err(rejected) => rejected.diagnostics,
        })
    }
}

fn no_draft(id: &str) -> RequestError {
    RequestError::NoDraft(printable(id))
}

fn refused(error: SourceError) -> RequestError {
    match error {
        SourceError::Moved { .. } => RequestError::BaseMoved(error.to_string()),
        SourceError::ReadOnly { .. } => RequestError::ReadOnly(error.to_string()),
        SourceError::Settings(why) => RequestError::Supposed(why),
        other => RequestError::Internal(anyhow::Error::new(other).context("committing a draft")),
    }
}

/// Makes the edits, each in the file that has what it is about: the cluster file first.
fn edited(read: &FilesRead, edits: &[Edit]) -> Result<EditedFiles, RequestError> {
    let mut files = BTreeMap::new();
    let mut blocks = Vec::new();
    for edit in edits {
        let path = place(read, edit);
        let text = files.get(&path).or_else(|| read.files.get(&path)).cloned();
        let missing = || RequestError::Supposed(format!("there is no file {}", printable(&path)));
        let text: String = text.ok_or_else(missing)?;
        if Form::of(&path) == Some(Form::Yaml) {
            let why = format!("{path} is YAML, which is not edited from here: edit it by hand");
            return Err(RequestError::Supposed(why));
        }
        let done = edit_kdl(&text, edit)
            .map_err(|error| RequestError::Supposed(format!("{path}: {error}")))?;
        if !done.block.is_empty() {
            blocks.push(done.block);
        }
        files.insert(path, done.text);
    }
    files.retain(|path, text| read.files.get(path) != Some(text));
    let kdl = blocks.join("\n\n");
    Ok(EditedFiles { files, kdl })
}

/// The file that an edit is of. A block that is declared in an included file is edited there.
fn place(read: &FilesRead, edit: &Edit) -> String {
    let declared = |kind: &str, name: &str| {
        let head = format!("{kind} \"{name}\"");
        let has = |text: &String| text.lines().any(|line| line.trim_start().starts_with(&head));
        let root = read.files.get(&read.root).is_some_and(has);
        let other = read.files.iter().find(|(path, text)| path.ends_with(".kdl") && has(text));
        other.filter(|_| !root).map(|(path, _)| path.clone())
    };
    let found = match edit {
        Edit::Service(_) => None,
        Edit::Scale { service, .. } | Edit::Remove { service } => {
            declared("service", service.as_str())
        }
        Edit::Node(node) => declared("node", node.name.as_str()),
        Edit::Drop(at) => {
            let mut parts = at.rsplitn(3, ':');
            let (_, _, file) = (parts.next(), parts.next(), parts.next());
            file.map(str::to_owned)
        }
    };
    found.unwrap_or_else(|| read.root.clone())
}

/// What `git apply` takes.
fn patch(
    before: &BTreeMap<String, String>,
    after: &BTreeMap<String, String>,
    subdirectory: &str,
) -> String {
    let mut patch = String::new();
    for (path, text) in after {
        let old = before.get(path).map(String::as_str).unwrap_or_default();
        let path = match subdirectory {
            "" => path.clone(),
            under => format!("{under}/{path}"),
        };
        let (left, right) = (format!("a/{path}"), format!("b/{path}"));
        let diff = TextDiff::from_lines(old, text);
        let hunks = diff.unified_diff().context_radius(3).header(&left, &right).to_string();
        patch.push_str(&format!("diff --git {left} {right}\n{hunks}"));
    }
    patch
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read() -> FilesRead {
        let files = [
            ("cluster.kdl", "cluster \"lab\"\ninclude \"shop.kdl\"\n"),
            ("shop.kdl", "// Shop.\nservice \"web\" {\n    image \"a:1\"\n}\n"),
            ("nodes.yaml", "nodes: {}\n"),
        ];
        let files = files.map(|(path, text)| (path.to_owned(), text.to_owned()));
        FilesRead { root: "cluster.kdl".to_owned(), files: files.into() }
    }

    fn edits(json: &str) -> Vec<Edit> {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn an_edit_is_made_where_its_block_is_declared() {
        let read = read();
        let scaled =
            edited(&read, &edits(r#"[{"scale": {"service": "web", "replicas": 2}}]"#)).unwrap();
        assert_eq!(scaled.files.keys().collect::<Vec<_>>(), ["shop.kdl"]);
        let patch = patch(&read.files, &scaled.files, "clusters/home");
        let expected = "diff --git a/clusters/home/shop.kdl b/clusters/home/shop.kdl\n\
                        --- a/clusters/home/shop.kdl\n+++ b/clusters/home/shop.kdl\n\
                        @@ -1,4 +1,5 @@\n // Shop.\n service \"web\" {\n     image \"a:1\"\n\
                        +    replicas 2\n }\n";
        assert_eq!(patch, expected);
        let cordoned =
            edited(&read, &edits(r#"[{"node": {"name": "n1", "cordon": true}}]"#)).unwrap();
        assert_eq!(cordoned.files.keys().collect::<Vec<_>>(), ["cluster.kdl"]);
        assert_eq!(cordoned.kdl, "node \"n1\" {\n    cordon\n}");
    }

    #[test]
    fn what_is_not_there_or_not_kdl_is_said() {
        let error = |json: &str| edited(&read(), &edits(json)).err().unwrap().to_string();
        assert!(error(r#"[{"drop": "nodes.yaml:1:1"}]"#).contains("is YAML"));
        assert!(error(r#"[{"drop": "gone.kdl:1:1"}]"#).contains("there is no file gone.kdl"));
        let missing = error(r#"[{"scale": {"service": "api", "replicas": 2}}]"#);
        assert_eq!(missing, "cluster.kdl: service api is not declared in this file");
    }

    #[test]
    fn a_draft_is_its_makers_own_and_ends() {
        let drafts = Drafts::default();
        let draft = |id: &str| Draft {
            id: id.to_owned(),
            base: String::new(),
            root: String::new(),
            kdl: String::new(),
            patch: String::new(),
            files: BTreeMap::new(),
            diagnostics: Vec::new(),
        };
        let kept = |id: &str, since| Kept {
            by: "ada".to_owned(),
            since,
            request: PlanRequest::default(),
            draft: draft(id),
        };
        let second = Duration::from_secs(1);
        drafts.keep(kept("a", second));
        assert!(drafts.of("a", "ada", second).is_some());
        assert!(drafts.of("a", "bob", second).is_none());
        assert!(drafts.of("a", "ada", second + LIFE).is_none());
        for number in 0..MOST as u32 {
            drafts.keep(kept(&format!("d{number}"), second * (number + 2)));
        }
        assert_eq!(drafts.lock().len(), MOST);
        assert!(drafts.of("a", "ada", second * 2).is_none(), "the oldest went");
    }
}
