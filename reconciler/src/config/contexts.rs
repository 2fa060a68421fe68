//! Contexts: client files with a name, of which one is in use.
//!
//! Knows where they are kept and which one counts: `DEVNET_CONFIG` (a file) beats `DEVNET_CONTEXT`
//! (a name) beats what `devnet context use` chose beats `client.yaml`. Refuses to reach anything.

use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};

use super::Environment;

/// The name of `client.yaml`, which needs none.
pub const DEFAULT: &str = "default";

/// The client's file that counts, and what says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChosenFile {
    /// Where it is.
    pub path: PathBuf,
    /// What named it: `DEVNET_CONFIG`, `DEVNET_CONTEXT`, `devnet context use`, `default`.
    pub named_by: &'static str,
    /// The context's name, where it has one.
    pub context: Option<String>,
}

impl ChosenFile {
    /// Whether somebody named it, so that it has to be there.
    pub fn is_named(&self) -> bool {
        self.named_by != DEFAULT
    }
}

impl Environment {
    /// `devnet` in the user's configuration directory; `None` where there is no home either.
    pub fn own_dir(&self) -> Option<PathBuf> {
        let base = match self.get("XDG_CONFIG_HOME") {
            Some(path) => PathBuf::from(path),
            None => Path::new(self.get("HOME")?).join(".config"),
        };
        Some(base.join("devnet"))
    }

    /// The client's file that counts; `None` where there is no place for one.
    ///
    /// # Errors
    /// When the name of a context is none, or the choice cannot be read.
    pub fn chosen_file(&self) -> anyhow::Result<Option<ChosenFile>> {
        if let Some(path) = self.get("DEVNET_CONFIG") {
            let path = PathBuf::from(path);
            return Ok(Some(ChosenFile { path, named_by: "DEVNET_CONFIG", context: None }));
        }
        let Some(dir) = self.own_dir() else { return Ok(None) };
        let (name, named_by) = match self.get("DEVNET_CONTEXT") {
            Some(name) => (Some(name.to_owned()), "DEVNET_CONTEXT"),
            None => (chosen(&dir)?, "devnet context use"),
        };
        Ok(Some(match name {
            Some(name) if name != DEFAULT => {
                let path = file_of(&dir, &name)?;
                ChosenFile { path, named_by, context: Some(name) }
            }
            _ => ChosenFile {
                path: dir.join("client.yaml"),
                named_by: DEFAULT,
                context: Some(DEFAULT.to_owned()),
            },
        }))
    }

    /// The names of all contexts, sorted; `default` where there is a `client.yaml`.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub fn contexts(&self) -> anyhow::Result<Vec<String>> {
        let dir = self.directory()?;
        let mut names = Vec::new();
        if dir.join("client.yaml").exists() {
            names.push(DEFAULT.to_owned());
        }
        let listed = match fs::read_dir(dir.join("contexts")) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(names),
            listed => listed.context("listing contexts")?,
        };
        for entry in listed {
            let file = entry.context("listing contexts")?.file_name();
            let name = file.to_str().and_then(|file| file.strip_suffix(".yaml"));
            names.extend(name.filter(|name| is_name(name)).map(str::to_owned));
        }
        names.sort();
        Ok(names)
    }

    /// The file of a context.
    ///
    /// # Errors
    /// When the name is none, or there is no place for files.
    pub fn context_file(&self, name: &str) -> anyhow::Result<PathBuf> {
        let dir = self.directory()?;
        if name == DEFAULT { Ok(dir.join("client.yaml")) } else { file_of(&dir, name) }
    }

    /// From now on this context counts, where no variable says otherwise.
    ///
    /// # Errors
    /// When that cannot be written down.
    pub fn use_context(&self, name: &str) -> anyhow::Result<()> {
        let dir = self.directory()?;
        make_private(&dir)?;
        let (path, new) = (dir.join("context"), dir.join("context.new"));
        fs::write(&new, format!("{name}\n"))
            .and_then(|()| fs::rename(&new, &path))
            .with_context(|| format!("writing {}", path.display()))
    }

    /// Keeps a client's file under a name that is not taken.
    ///
    /// # Errors
    /// When the name is taken, or it cannot be written.
    pub fn add_context(&self, name: &str, text: &str) -> anyhow::Result<PathBuf> {
        let path = self.context_file(name)?;
        make_private(path.parent().unwrap_or(&path))?;
        let mut options = fs::File::options();
        let file = options.write(true).create_new(true).mode(0o600).open(&path);
        match file.and_then(|mut file| io::Write::write_all(&mut file, text.as_bytes())) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                bail!("context {name} is there already, as {}", path.display())
            }
            written => written.with_context(|| format!("writing {}", path.display()))?,
        }
        Ok(path)
    }

    fn directory(&self) -> anyhow::Result<PathBuf> {
        self.own_dir().context("there is no place for contexts: set HOME or XDG_CONFIG_HOME")
    }
}

/// What `devnet context use` chose.
fn chosen(dir: &Path) -> anyhow::Result<Option<String>> {
    let path = dir.join("context");
    match fs::read_to_string(&path) {
        Ok(text) => Ok(Some(text.trim().to_owned()).filter(|name| !name.is_empty())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("reading {}", path.display())),
    }
}

fn file_of(dir: &Path, name: &str) -> anyhow::Result<PathBuf> {
    if !is_name(name) {
        bail!("`{name}` is no name of a context: write letters, digits, - and _");
    }
    Ok(dir.join("contexts").join(format!("{name}.yaml")))
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c))
}

fn make_private(dir: &Path) -> anyhow::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true).mode(0o700);
    builder.create(dir).with_context(|| format!("making {}", dir.display()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn environment(home: &Path, pairs: &[(&str, &str)]) -> Environment {
        let home = [("HOME".to_owned(), home.display().to_string())];
        let pairs = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        Environment::of(home.into_iter().chain(pairs).collect::<BTreeMap<_, _>>())
    }

    #[test]
    fn a_file_beats_a_name_and_a_name_beats_what_was_chosen() {
        let home = tempfile::tempdir().unwrap();
        let own = home.path().join(".config/devnet");
        let found = |pairs: &[(&str, &str)]| {
            let chosen = environment(home.path(), pairs).chosen_file().unwrap().unwrap();
            (chosen.path, chosen.named_by)
        };
        assert_eq!(found(&[]), (own.join("client.yaml"), DEFAULT));
        let env = environment(home.path(), &[]);
        let lab = env.add_context("lab", "addr: x\n").unwrap();
        assert_eq!(lab, own.join("contexts/lab.yaml"));
        assert!(env.add_context("lab", "").unwrap_err().to_string().contains("already"));
        assert_eq!(env.contexts().unwrap(), ["lab"]);
        env.use_context("lab").unwrap();
        assert_eq!(found(&[]), (lab.clone(), "devnet context use"));
        let named = [("DEVNET_CONTEXT", "work")];
        assert_eq!(found(&named), (own.join("contexts/work.yaml"), "DEVNET_CONTEXT"));
        assert_eq!(found(&[("DEVNET_CONTEXT", DEFAULT)]), (own.join("client.yaml"), DEFAULT));
        let both = [("DEVNET_CONTEXT", "work"), ("DEVNET_CONFIG", "/x.yaml")];
        assert_eq!(found(&both), (PathBuf::from("/x.yaml"), "DEVNET_CONFIG"));
        env.use_context(DEFAULT).unwrap();
        assert_eq!(found(&[]), (own.join("client.yaml"), DEFAULT));
    }

    #[test]
    fn a_name_leads_nowhere_else() {
        let home = tempfile::tempdir().unwrap();
        for name in ["../x", "a/b", "", "a.b", "ä"] {
            let env = environment(home.path(), &[("DEVNET_CONTEXT", name)]);
            assert!(env.context_file(name).is_err(), "{name}");
            assert!(name.is_empty() || env.chosen_file().is_err(), "{name}");
        }
    }
}
