//! tera, with every escape and every way to grow without bounds closed.
//!
//! Knows tera. Refuses to know what a template is for. tera itself has no access to files, the
//! environment or the clock; what is closed here is what could use too much memory or time.

use std::{
    io::{self, Write},
    sync::LazyLock,
};

use devnet_schema::template::words;
use tera::{Context, ErrorKind, Kwargs, State, Tera, TeraResult, Value};

/// The largest text that a template may make, in bytes.
pub(crate) const LARGEST_OUTPUT: usize = 1024 * 1024;

/// Longest list that `range` makes.
const LONGEST_RANGE: i64 = 1000;

/// Renders templates.
pub(crate) struct Engine {
    tera: Tera,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Engine")
    }
}

impl Engine {
    /// The one that everything is rendered with.
    pub(crate) fn shared() -> &'static Self {
        static SHARED: LazyLock<Engine> = LazyLock::new(Engine::new);
        &SHARED
    }

    fn new() -> Self {
        let mut tera = Tera::default();
        tera.autoescape_on(Vec::<&'static str>::new());
        tera.register_filter("replace", replace);
        tera.register_filter("join", join);
        // It adds any number of spaces to any number of lines.
        tera.register_filter("indent", |_: Value, _: Kwargs, _: &State| -> TeraResult<String> {
            Err(tera::Error::message("the filter `indent` is not available"))
        });
        tera.register_function("range", range);
        Self { tera }
    }

    /// Renders a translated template.
    ///
    /// # Errors
    /// What is wrong, in words for people.
    pub(crate) fn render(&self, template: &str, context: &Context) -> Result<String, String> {
        let mut out = Limited(Vec::new());
        match self.tera.render_str_to(template, context, false, &mut out) {
            Ok(()) => String::from_utf8(out.0).map_err(|_| "it does not make a text".to_owned()),
            Err(error) if matches!(error.kind(), ErrorKind::Io(_)) => {
                Err("it makes more than 1 MiB of text".to_owned())
            }
            Err(error) => Err(words(&error)),
        }
    }
}

/// Takes at most [`LARGEST_OUTPUT`] bytes.
struct Limited(Vec<u8>);

impl Write for Limited {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > LARGEST_OUTPUT {
            return Err(io::Error::from(io::ErrorKind::FileTooLarge));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// `value | replace(from="a", to="b")`, bounded before it allocates.
fn replace(value: &str, arguments: Kwargs, _: &State) -> TeraResult<String> {
    let from = arguments.must_get::<&str>("from")?;
    let to = arguments.must_get::<&str>("to")?;
    if from.is_empty() {
        return Err(tera::Error::message("`replace` has nothing to look for"));
    }
    let grown = value.matches(from).count().saturating_mul(to.len());
    bounded(value.len().saturating_add(grown))?;
    Ok(value.replace(from, to))
}

/// `list | join(sep=",")`, bounded before it allocates.
fn join(value: &[Value], arguments: Kwargs, _: &State) -> TeraResult<String> {
    let separator = arguments.get::<&str>("sep")?.unwrap_or("");
    let texts: Vec<String> = value.iter().map(Value::to_string).collect();
    let length = texts.iter().map(|text| text.len() + separator.len()).sum();
    bounded(length)?;
    Ok(texts.join(separator))
}

fn bounded(length: usize) -> TeraResult<()> {
    if length > LARGEST_OUTPUT {
        return Err(tera::Error::message("a text of more than 1 MiB is made"));
    }
    Ok(())
}

/// `range(start=0, end=3)`: at most a thousand numbers.
fn range(arguments: Kwargs, _: &State) -> TeraResult<Vec<i64>> {
    let start = arguments.get::<i64>("start")?.unwrap_or(0);
    let end = arguments.must_get::<i64>("end")?;
    if end.saturating_sub(start) > LONGEST_RANGE {
        return Err(tera::Error::message("`range` makes at most 1000 numbers"));
    }
    Ok((start..end).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(template: &str) -> Result<String, String> {
        let mut context = Context::new();
        context.insert("x", &"a".repeat(100_000));
        Engine::new().render(template, &context)
    }

    #[test]
    fn nothing_grows_past_its_bound() {
        assert_eq!(render("{% for i in range(end=3) %}{{ i }}{% endfor %}").unwrap(), "012");
        assert_eq!(render(r#"{{ "a.b" | split(pat=".") | join(sep="-") }}"#).unwrap(), "a-b");
        assert_eq!(render(r#"{{ "a.b" | replace(from=".", to="-") }}"#).unwrap(), "a-b");
        for greedy in [
            "{% for i in range(end=1000) %}{{ x }}{% endfor %}",
            r#"{{ x | replace(from="a", to=x) }}"#,
            "{{ range(end=100) | join(sep=x) }}",
            "{% for i in range(end=100000) %}{% endfor %}",
            "{{ x | indent(width=1000000) }}",
        ] {
            assert!(render(greedy).is_err(), "{greedy}");
        }
    }

    #[test]
    fn there_is_no_escape() {
        for way in [
            "{{ get_env(name=\"HOME\") }}",
            "{{ now() }}",
            "{% include \"/etc/passwd\" %}",
            "{% extends \"x\" %}",
        ] {
            assert!(render(way).is_err(), "{way}");
        }
    }
}
