//! Signals as container engines read them: by name, with or without `SIG`, in either case, by
//! number, and counted from `SIGRTMIN` or back from `SIGRTMAX`.
//!
//! Knows Linux's (signal(7)). Refuses to know what a process makes of one.

/// Names by number, from 1.
const NAMES: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2",
    "PIPE", "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG",
    "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
];

/// A signal by its full name.
pub(super) fn read(text: &str) -> Option<String> {
    if let Ok(number) = text.parse::<usize>() {
        return number.checked_sub(1).and_then(|at| NAMES.get(at)).map(|name| format!("SIG{name}"));
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let counted = |rest: &str, sign: char, most: u8| {
        let number = rest.strip_prefix(sign)?;
        number.parse::<u8>().ok().filter(|number| (1..=most).contains(number))
    };
    let known = NAMES.contains(&name)
        || name == "RTMIN"
        || name == "RTMAX"
        || name.strip_prefix("RTMIN").is_some_and(|rest| counted(rest, '+', 15).is_some())
        || name.strip_prefix("RTMAX").is_some_and(|rest| counted(rest, '-', 14).is_some());
    known.then(|| format!("SIG{name}"))
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn signals_have_several_names() {
        for (text, name) in [
            ("SIGINT", "SIGINT"),
            ("int", "SIGINT"),
            ("2", "SIGINT"),
            ("15", "SIGTERM"),
            ("31", "SIGSYS"),
            ("SIGRTMIN+3", "SIGRTMIN+3"),
            ("rtmax-14", "SIGRTMAX-14"),
        ] {
            assert_eq!(read(text).as_deref(), Some(name), "{text}");
        }
        for text in ["", "0", "32", "-1", "SIG", "SIGNAL", "SIGRTMIN+16", "SIGRTMAX-15", "RTMIN3"] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
