//! The tokens of KDL: whether a word, number, escape or text on several lines is one, and what it
//! says.
//!
//! Knows the spelling of tokens. Refuses to know what stands around them.

/// Why a token is none.
#[derive(Debug)]
pub(super) struct Problem {
    /// What is wrong.
    pub what: String,
    /// What to write.
    pub help: String,
}

impl Problem {
    /// A problem and its remedy.
    pub(super) fn new(what: impl Into<String>, help: impl Into<String>) -> Self {
        Self { what: what.into(), help: help.into() }
    }
}

/// The longest number. Everything this short fits the 128 bits that the parser has.
const LONGEST_NUMBER: usize = 30;

/// Whether a word would be read as a number, right or wrong.
pub(super) fn is_number(word: &str) -> bool {
    let unsigned = word.strip_prefix(['-', '+']).unwrap_or(word);
    let digits = unsigned.strip_prefix('.').unwrap_or(unsigned);
    digits.starts_with(|c: char| c.is_ascii_digit())
}

/// Checks a word without quotes.
pub(super) fn word(word: &str) -> Result<(), Problem> {
    if matches!(word, "true" | "false" | "null" | "inf" | "-inf" | "nan") {
        let help = format!("write `#{word}`, or `\"{word}\"` for the text");
        return Err(Problem::new(format!("`{word}` needs a `#`"), help));
    }
    if !is_number(word) || (word.len() <= LONGEST_NUMBER && number(word)) {
        return Ok(());
    }
    let shown: String = word.chars().take(40).collect();
    let bare = word.trim_end_matches(',');
    if bare.len() < word.len() && (bare.len() <= LONGEST_NUMBER && number(bare)) {
        let help = format!("remove the comma behind `{bare}`: a blank separates values");
        return Err(Problem::new(format!("`{shown}` is not a number"), help));
    }
    Err(Problem::new(format!("`{shown}` is not a number"), "put it into quotes, if it is a text"))
}

fn number(word: &str) -> bool {
    let unsigned = word.strip_prefix(['-', '+']).unwrap_or(word);
    for (prefix, radix) in [("0x", 16), ("0o", 8), ("0b", 2)] {
        if let Some(rest) = unsigned.strip_prefix(prefix) {
            return digits(rest, radix);
        }
    }
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    let exponent = exponent.map(|text| text.strip_prefix(['-', '+']).unwrap_or(text));
    digits(whole, 10)
        && fraction.is_none_or(|fraction| digits(fraction, 10))
        && exponent.is_none_or(|exponent| digits(exponent, 10))
}

/// Digits and `_`, beginning with a digit.
fn digits(text: &str, radix: u32) -> bool {
    text.starts_with(|c: char| c.is_digit(radix))
        && text.chars().all(|c| c.is_digit(radix) || c == '_')
}

/// Checks `#true` and its like.
pub(super) fn keyword(text: &str) -> Result<(), Problem> {
    if matches!(text, "#true" | "#false" | "#null" | "#inf" | "#-inf" | "#nan") {
        return Ok(());
    }
    let shown: String = text.chars().take(40).collect();
    Err(Problem::new(
        format!("`{shown}` is no keyword"),
        "keywords are #true, #false and #null; put a text into quotes",
    ))
}

/// The length of the escape that `text` begins with.
pub(super) fn escape(text: &str) -> Result<usize, Problem> {
    let rest = text.get(1..).unwrap_or("");
    match rest.chars().next() {
        Some('n' | 'r' | 't' | 'b' | 'f' | 's' | '"' | '\\') => Ok(2),
        Some('u') => code_point(rest).map(|length| 1 + length).ok_or_else(|| {
            Problem::new("this is no code point", "write 1 to 6 hexadecimal digits: `\\u{e9}`")
        }),
        Some(c) if c.is_whitespace() => {
            Ok(1 + rest.len() - rest.trim_start_matches(char::is_whitespace).len())
        }
        _ => Err(Problem::new("this is no escape", "write `\\\\` for a `\\`")),
    }
}

/// The length of `u{…}`.
fn code_point(text: &str) -> Option<usize> {
    let digits = text.strip_prefix("u{")?;
    let end = digits.find('}').filter(|end| (1..=6).contains(end))?;
    let hexadecimal = digits[..end].bytes().all(|b| b.is_ascii_hexdigit());
    let code = u32::from_str_radix(&digits[..end], 16).ok().filter(|_| hexadecimal)?;
    char::from_u32(code).map(|_| "u{".len() + end + "}".len())
}

/// Checks what is between three quotes: it begins on a line of its own, its last line is blank, and
/// every other line begins with the same blanks as the last.
pub(super) fn lines(body: &str, escapes: bool) -> Result<(), Problem> {
    let problem = |what: &str| {
        Problem::new(what, "write the quotes on lines of their own, no deeper than the text")
    };
    let (first, rest) = body.split_once('\n').ok_or_else(|| problem("this text has one line"))?;
    if !matches!(first, "" | "\r") {
        return Err(problem("this text does not begin on a line of its own"));
    }
    if escapes && joins_lines(body) {
        let what = "lines of a text in three quotes cannot be joined with `\\` here";
        return Err(Problem::new(what, "write the line in one, or use a text in single quotes"));
    }
    let (inner, last) = rest.rsplit_once('\n').unwrap_or(("", rest));
    if !last.chars().all(char::is_whitespace) || body.replace("\r\n", "").contains('\r') {
        return Err(problem("this text does not end with quotes on a line of their own"));
    }
    let blank = |line: &str| line.chars().all(char::is_whitespace);
    match inner.split('\n').find(|line| !blank(line) && !line.starts_with(last)) {
        Some(_) => Err(problem("a line of this text is less deep than its last")),
        None => Ok(()),
    }
}

/// Whether a `\` stands before a blank or line end. Pairs of `\` are skipped.
fn joins_lines(body: &str) -> bool {
    let mut chars = body.chars();
    while let Some(c) = chars.next() {
        if c == '\\' && chars.next().is_none_or(char::is_whitespace) {
            return true;
        }
    }
    false
}

/// What a text in quotes says. Escapes that are none were reported, and are left out.
pub(super) fn unescape(body: &str) -> String {
    let mut out = String::with_capacity(body.len());
    let mut rest = body;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let here = &rest[at..];
        let length = escape(here).unwrap_or(1);
        match here[1..length].chars().next() {
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some('t') => out.push('\t'),
            Some('b') => out.push('\u{8}'),
            Some('f') => out.push('\u{c}'),
            Some('s') => out.push(' '),
            Some('u') => {
                let digits = here[3..length].trim_end_matches('}');
                let code = u32::from_str_radix(digits, 16).ok();
                out.extend(code.and_then(char::from_u32));
            }
            Some(c @ ('"' | '\\')) => out.push(c),
            _ => {}
        }
        rest = &here[length..];
    }
    out.push_str(rest);
    out
}

/// What stands between three quotes says: its lines without the blanks that its last line has, and
/// joined by line feeds.
pub(super) fn dedent(body: &str) -> String {
    let rest = body.split_once('\n').map_or("", |(_, rest)| rest);
    let Some((inner, prefix)) = rest.rsplit_once('\n') else {
        return String::new();
    };
    let blank = |line: &str| line.chars().all(char::is_whitespace);
    let lines = inner.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line));
    let lines: Vec<&str> = lines
        .map(|line| if blank(line) { "" } else { line.strip_prefix(prefix).unwrap_or(line) })
        .collect();
    lines.join("\n")
}
