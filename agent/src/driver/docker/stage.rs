//! The files of containers on the node: where they lie, and their coming and going.
//!
//! Knows two places: one in memory for files that hold secrets, one on the disk for the others.
//! Refuses to keep a secret on a disk where the system offers memory.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use devnet_schema::{instance::FileSpec, name::InstanceId};

use super::create::FileMount;
use crate::{
    driver::{DriverError, Ground, Job, files},
    secrets::Values,
};

/// Where one file of a job lies, what it is, and where the container sees it.
struct Place<'a> {
    path: PathBuf,
    target: &'a str,
    file: &'a FileSpec,
}

fn roots(ground: &Ground, id: &InstanceId) -> [PathBuf; 2] {
    [ground.volatile_dir.join(id.slug()), ground.data_dir.join("files").join(id.slug())]
}

/// One directory a version, so that a version that is returned to still has its own files.
fn version(job: &Job) -> String {
    format!("{}-{}", job.generation, job.digest.short())
}

fn places<'a>(ground: &Ground, job: &'a Job) -> Vec<Place<'a>> {
    let [volatile, lasting] = roots(ground, &job.spec.id).map(|root| root.join(version(job)));
    let numbered = job.spec.files.iter().enumerate();
    numbered
        .map(|(number, (target, file))| {
            let secret = file.content.secrets().next().is_some();
            let root = if secret { &volatile } else { &lasting };
            let name = Path::new(target).file_name().unwrap_or_default().to_string_lossy();
            Place { path: root.join(format!("{number}-{name}")), target, file }
        })
        .collect()
}

/// Writes every file of the job.
///
/// # Errors
/// When a secret has no value or the disk refuses.
pub(super) fn write(
    ground: &Ground,
    job: &Job,
    values: &Values,
) -> Result<Vec<FileMount>, DriverError> {
    let mut mounts = Vec::new();
    for Place { path, target, file } in places(ground, job) {
        // Only this user may look into the directory; the file's own mode is for the container.
        files::private_dir(path.parent().unwrap_or(Path::new("/")))?;
        files::write(&path, file, values)?;
        mounts.push(FileMount {
            source: path.to_string_lossy().into_owned(),
            target: target.to_owned(),
        });
    }
    Ok(mounts)
}

/// Whether every file of the job is there.
pub(super) fn is_complete(ground: &Ground, job: &Job) -> bool {
    places(ground, job).iter().all(|place| place.path.exists())
}

/// Removes the files of every other version.
pub(super) fn keep_only(ground: &Ground, job: &Job) {
    for root in roots(ground, &job.spec.id) {
        let Ok(entries) = fs::read_dir(&root) else {
            continue;
        };
        for entry in entries.flatten() {
            if entry.file_name().to_string_lossy() != version(job) {
                log_failure(&entry.path(), fs::remove_dir_all(entry.path()));
            }
        }
    }
}

/// Removes the files of one version.
pub(super) fn discard(ground: &Ground, job: &Job) {
    for root in roots(ground, &job.spec.id) {
        let path = root.join(version(job));
        log_failure(&path, fs::remove_dir_all(&path));
    }
}

/// Removes all files of an instance.
pub(super) fn remove(ground: &Ground, id: &InstanceId) {
    for root in roots(ground, id) {
        log_failure(&root, fs::remove_dir_all(&root));
    }
}

/// A file that stays behind harms nobody but the disk.
fn log_failure(path: &Path, result: io::Result<()>) {
    if let Err(error) = result
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(path = %path.display(), %error, "removing old files failed");
    }
}
