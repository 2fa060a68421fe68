//! The file that holds the login for an https remote.
//!
//! Knows two forms: a token alone, and the lines that git's own credential helpers write. Refuses a
//! file that others may read, and never repeats what is in one.

use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf, sync::Arc};

use devnet_schema::secret::Sensitive;

use super::{Credentials, Login};

/// Hosts that take a token as the password take any user name with it.
const ANY_USERNAME: &str = "git";

/// The login in `file`, read anew each time it is asked for, so that a rotated token is taken up.
pub fn login_file(file: PathBuf) -> Credentials {
    Arc::new(move || read(&file))
}

fn read(file: &PathBuf) -> Result<Login, String> {
    let name = file.display();
    let failed = |error| format!("the login file {name} cannot be read: {error}");
    let mode = fs::metadata(file).map_err(failed)?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(format!("the login file {name} may be read by others: run chmod 600 {name}"));
    }
    let text = fs::read_to_string(file).map_err(failed)?;
    parse(&text).ok_or_else(|| {
        format!(
            "the login file {name} holds no login: write a token alone, or the two lines \
             username=NAME and password=TOKEN"
        )
    })
}

fn parse(text: &str) -> Option<Login> {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let value = |key: &str| {
        lines.iter().find_map(|line| line.strip_prefix(key)?.strip_prefix('=')).map(str::to_owned)
    };
    let (username, password) = match (value("username"), value("password"), lines.as_slice()) {
        (username, Some(password), _) => (username, password),
        (None, None, [token]) => (None, (*token).to_owned()),
        _ => return None,
    };
    let username = username.unwrap_or_else(|| ANY_USERNAME.to_owned());
    (!password.is_empty()).then(|| Login { username, password: Sensitive::new(password) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> Option<(String, String)> {
        parse(text).map(|login| (login.username, login.password.expose().clone()))
    }

    #[test]
    fn a_token_alone_and_the_lines_of_a_credential_helper_are_read() {
        let pair = |a: &str, b: &str| Some((a.to_owned(), b.to_owned()));
        assert_eq!(parts("t0k=en\n"), pair("git", "t0k=en"));
        let helper = "protocol=https\nhost=git.lab\nusername=ada\npassword=s=cret\n";
        assert_eq!(parts(helper), pair("ada", "s=cret"));
        assert_eq!(parts("password=x"), pair("git", "x"));
        for empty in ["", "\n \n", "username=ada\n", "password=\n", "one\ntwo\n"] {
            assert_eq!(parts(empty), None, "{empty:?}");
        }
    }

    #[test]
    fn a_file_that_others_may_read_is_refused_and_not_repeated() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("login");
        fs::write(&file, "c4n4ry\n").unwrap();
        let login = login_file(file.clone());
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        let error = login().unwrap_err();
        assert!(error.contains("chmod 600") && !error.contains("c4n4ry"), "{error}");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(login().unwrap().password.expose(), "c4n4ry");
        fs::write(&file, "c4n4ry\nmore\n").unwrap();
        let error = login().unwrap_err();
        assert!(error.contains("holds no login") && !error.contains("c4n4ry"), "{error}");
        fs::remove_file(&file).unwrap();
        assert!(login().unwrap_err().contains("cannot be read"));
    }
}
