//! The components that are compiled in.
//!
//! Knows their texts. A component of this list that does not read is a bug that the tests of this
//! crate find.

/// A component's texts: name, component.kdl, compose.yml.tera.
pub(crate) type Texts = (&'static str, &'static str, &'static str);

macro_rules! texts {
    ($name:literal) => {
        (
            $name,
            include_str!(concat!("../components/", $name, "/component.kdl")),
            include_str!(concat!("../components/", $name, "/compose.yml.tera")),
        )
    };
}

/// Every built-in component.
pub(crate) const ALL: [Texts; 4] =
    [texts!("nginx"), texts!("ollama"), texts!("postgres"), texts!("redis")];
