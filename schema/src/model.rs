//! What a language model takes: weights, context and overhead, from its name.
//!
//! Knows the shapes of common models, bits a weight of the usual formats, and the arithmetic.
//! Refuses to know files: whoever has one knows its true size. Where only a name is known, the
//! estimate says so and is generous.
//!
//! Weights are the published size of a tag, else `parameters × bits / 8`; context is
//! `2 × layers × heads × size × bytes × tokens`
//! (keys and values); overhead is a twentieth of the weights and 1 GiB for the driver's context and
//! buffers. Bits a weight are those that llama.cpp's quantize tool states for its formats.

mod shapes;

use std::fmt;

use shapes::{SHAPES, Shape};

use crate::quantity::Bytes;

const GIB: u64 = 1 << 30;

/// What one model takes of a device, or of memory where there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Needs {
    /// Its weights, as they lie on disk.
    pub weights: Bytes,
    /// Context of all requests that are answered at once.
    pub context: Bytes,
    /// Everything else.
    pub overhead: Bytes,
    /// Whether the model's shape is known. Otherwise there is a fifth of room above.
    pub certain: bool,
    /// Millions of parameters, all experts included.
    pub parameters: u64,
    /// How its weights are written, like `q4_k_m`.
    pub format: &'static str,
}

impl Needs {
    /// Memory of a device, or of the node where the model runs on processors.
    pub fn memory(&self) -> Bytes {
        Bytes(self.weights.0.saturating_add(self.context.0).saturating_add(self.overhead.0))
    }

    /// The terms of the sum, for people: `8.0B q4_k_m 4.6GiB + context 1.0GiB + 1.2GiB = 6.8GiB`.
    pub fn terms(&self) -> String {
        let tenths = self.parameters.saturating_add(50) / 100;
        format!(
            "{}.{}B {} {} + context {} + {} = {}",
            tenths / 10,
            tenths % 10,
            self.format,
            shown(self.weights),
            shown(self.context),
            shown(self.overhead),
            shown(self.memory())
        )
    }

    /// Disk for its file: a tenth more than the weights.
    pub fn disk(&self) -> Bytes {
        Bytes(self.weights.0.saturating_add(self.weights.0 / 10))
    }
}

/// How a model's weights are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Format {
    /// The word in a tag, in lower case.
    word: &'static str,
    /// Hundredths of a bit for a weight.
    centibits: u64,
}

/// Longer words first: `q4_k_m` also begins with `q4`.
const FORMATS: [Format; 22] = [
    Format { word: "q5_k_m", centibits: 568 },
    Format { word: "q5_k_s", centibits: 568 },
    Format { word: "q4_k_m", centibits: 484 },
    Format { word: "q4_k_s", centibits: 484 },
    Format { word: "q3_k_m", centibits: 391 },
    Format { word: "mxfp4", centibits: 450 },
    Format { word: "q8_0", centibits: 850 },
    Format { word: "q6_k", centibits: 656 },
    Format { word: "q5_0", centibits: 568 },
    Format { word: "q4_0", centibits: 450 },
    Format { word: "q4_1", centibits: 484 },
    Format { word: "q2_k", centibits: 335 },
    Format { word: "fp16", centibits: 1600 },
    Format { word: "bf16", centibits: 1600 },
    Format { word: "fp32", centibits: 3200 },
    Format { word: "f16", centibits: 1600 },
    Format { word: "awq", centibits: 425 },
    Format { word: "gptq", centibits: 425 },
    Format { word: "int4", centibits: 425 },
    Format { word: "nvfp4", centibits: 450 },
    Format { word: "int8", centibits: 800 },
    Format { word: "fp8", centibits: 800 },
];

/// What a tag without a format has in Ollama's library.
const USUAL: Format = Format { word: "q4_k_m", centibits: 484 };
/// What a repository at Hugging Face without a format has.
const HALF: Format = Format { word: "bf16", centibits: 1600 };

/// Why nothing can be said of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unknown {
    /// The text is not a model's name.
    Name,
    /// The name does not say how large it is.
    Size,
}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Name => "is not a model's name",
            Self::Size => "does not say how large the model is",
        })
    }
}

/// What a model takes with `context` tokens for each of `parallel` requests at once, its cache in
/// 16 bits. The name is that of a registry with a tag: `llama3.1:8b`, `qwen2.5:14b-instruct-q8_0`.
///
/// # Errors
/// When the text is no name, or names no size.
pub fn needs(name: &str, context: u32, parallel: u32) -> Result<Needs, Unknown> {
    if !is_name(name) {
        return Err(Unknown::Name);
    }
    let lower = name.to_ascii_lowercase();
    let (path, tag) = lower.split_once(':').unwrap_or((&lower, ""));
    let family = path.rsplit('/').next().unwrap_or(path);
    let tokens = u64::from(context).saturating_mul(u64::from(parallel));
    // A repository has an owner and no tag.
    let repository = tag.is_empty() && path.contains('/');
    let words = if repository { family } else { tag };
    let written = FORMATS.iter().find(|format| words.contains(format.word)).copied();
    let format = written.unwrap_or(if repository { HALF } else { USUAL });
    let known = match repository {
        true => of_repository(family),
        false => SHAPES.iter().find(|shape| {
            shape.family == family && tag.split('-').next().is_some_and(|size| size == shape.size)
        }),
    };
    if let Some(shape) = known {
        let sees = shape.vision.saturating_mul(1_000_000);
        // The tag of a size alone is a file whose size is known.
        let listed = !repository && tag == shape.size;
        let (weights, word) = match listed {
            true => (shape.published.saturating_mul(1_000_000), shape.format),
            false => (weights(shape.parameters, format.centibits) + sees, format.word),
        };
        let token = 2 * shape.layers * shape.kv_heads * shape.head * 2;
        return Ok(Needs {
            weights: Bytes(weights),
            context: Bytes(tokens.saturating_mul(token)),
            overhead: Bytes(weights / 20 + GIB),
            certain: true,
            parameters: shape.parameters,
            format: word,
        });
    }
    let parameters = parameters(tag).or_else(|| parameters(family)).ok_or(Unknown::Size)?;
    let weights = weights(parameters, format.centibits);
    // 0.15 GiB for a thousand tokens, and a fifth above the weights.
    let context = tokens.saturating_mul(GIB * 15 / 100 / 1000);
    Ok(Needs {
        weights: Bytes(weights),
        context: Bytes(context),
        overhead: Bytes(weights / 5 + GIB),
        certain: false,
        parameters,
        format: format.word,
    })
}

/// The shape whose repositories begin like this one; the longest beginning counts.
fn of_repository(name: &str) -> Option<&'static Shape> {
    let begins = |shape: &&Shape| {
        let rest = name.strip_prefix("meta-").unwrap_or(name).strip_prefix(shape.repository);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    };
    SHAPES.iter().filter(begins).max_by_key(|shape| shape.repository.len())
}

/// A size for people: in GiB with one decimal, rounded up.
pub(crate) fn shown(bytes: Bytes) -> String {
    let tenths = bytes.0.saturating_mul(10).div_ceil(1 << 30);
    format!("{}.{}GiB", tenths / 10, tenths % 10)
}

fn weights(million_parameters: u64, centibits: u64) -> u64 {
    let bits = u128::from(million_parameters) * 1_000_000 * u128::from(centibits);
    u64::try_from(bits / 800).unwrap_or(u64::MAX)
}

/// `[namespace/]name[:tag]`, as registries of models write it.
fn is_name(name: &str) -> bool {
    let known = |c: char| c.is_ascii_alphanumeric() || "._-/:".contains(c);
    let parts = name.split(['/', ':']);
    let good = |part: &str| part.starts_with(|c: char| c.is_ascii_alphanumeric());
    name.len() <= 200
        && name.chars().all(known)
        && name.matches(':').count() <= 1
        && parts.into_iter().all(good)
}

/// Millions of parameters that a word of the text names: `8b`, `1.5b`, `270m`, `8x7b`.
fn parameters(text: &str) -> Option<u64> {
    text.split(['-', '_']).find_map(|word| {
        let (experts, size) = word.split_once('x').unwrap_or(("1", word));
        let experts: u64 = experts.parse().ok().filter(|count| (1..=1024).contains(count))?;
        let (number, scale) = match size.strip_suffix('b') {
            Some(number) => (number, 1000),
            None => (size.strip_suffix('m')?, 1),
        };
        let milli = number.parse::<crate::quantity::Cpu>().ok()?.milli;
        let fits = !number.ends_with('m') && (1..=10_000_000).contains(&milli);
        fits.then(|| experts * milli * scale / 1000)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gib(bytes: Bytes) -> f64 {
        bytes.0 as f64 / GIB as f64
    }

    #[test]
    fn known_models_take_what_their_shape_says() {
        // Worked by hand: parameters, layers, heads and head size of each.
        let cases = [
            ("llama3.2:3b", 8192, 1.86, 0.9, 3.85),
            ("llama3.2:3b-instruct-q4_K_M", 8192, 1.8, 0.9, 3.8),
            ("llama3.1:8b", 8192, 4.56, 1.0, 6.8),
            ("llama3.1:8b", 32768, 4.56, 4.0, 9.8),
            ("llama3.1:8b-instruct-q8_0", 8192, 7.9, 1.0, 10.4),
            ("meta-llama/Llama-3.1-8B-Instruct", 8192, 14.95, 1.0, 17.7),
            ("Qwen/Qwen2.5-72B-Instruct-AWQ", 8192, 36.0, 2.5, 41.3),
            ("llama3.3:70b", 8192, 40.05, 2.5, 45.6),
        ];
        for (name, context, weights, cache, all) in cases {
            let needs = needs(name, context, 1).unwrap();
            assert!(needs.certain, "{name}");
            assert!((gib(needs.weights) - weights).abs() < 0.06, "{name}: {needs:?}");
            assert!((gib(needs.context) - cache).abs() < 0.06, "{name}: {needs:?}");
            assert!((gib(needs.memory()) - all).abs() < 0.1, "{name}: {needs:?}");
        }
        let twice = needs("llama3.1:8b", 8192, 2).unwrap();
        assert!((gib(twice.context) - 2.0).abs() < 0.01);
    }

    /// What the formula makes of each model, against the size of its file: within a tenth.
    #[test]
    fn every_size_is_what_the_formula_makes_of_the_parameters() {
        assert!(SHAPES.len() >= 40, "{}", SHAPES.len());
        for shape in &SHAPES {
            let format = FORMATS.iter().find(|format| format.word == shape.format).unwrap();
            let made = weights(shape.parameters, format.centibits) / 1_000_000 + shape.vision;
            let error = made as f64 / shape.published as f64 - 1.0;
            let name = format!("{}:{}", shape.family, shape.size);
            assert!(error.abs() <= 0.1, "{name}: {made} MB for {} MB", shape.published);
            let needs = needs(&name, 1, 1).unwrap();
            assert!(needs.certain && needs.weights.0 == shape.published * 1_000_000, "{name}");
        }
        let mut names: Vec<_> = SHAPES.iter().map(|shape| (shape.family, shape.size)).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), SHAPES.len(), "one model twice");
    }

    #[test]
    fn the_terms_of_the_sum_are_shown() {
        let needs = needs("llama3.1:8b", 8192, 1).unwrap();
        let terms = "8.0B q4_k_m 4.6GiB + context 1.0GiB + 1.3GiB = 6.8GiB";
        assert_eq!(needs.terms(), terms);
    }

    #[test]
    fn names_alone_give_a_generous_guess_or_none() {
        let guess = needs("acme:14b", 8192, 1).unwrap();
        assert!(!guess.certain);
        assert!((gib(guess.memory()) - (7.89 * 1.2 + 1.0 + 1.23)).abs() < 0.1, "{guess:?}");
        assert_eq!(needs("acme:8x7b", 1, 1).unwrap().weights.0, 33_880_000_000);
        assert!(needs("acme/gemma3-270m", 1, 1).is_ok());
        assert_eq!(needs("llama3.1", 8192, 1), Err(Unknown::Size));
        assert_eq!(needs("llama3.1:latest", 8192, 1), Err(Unknown::Size));
        for bad in ["", "-x", "a b", "a:b:c", "a:", "/a", "a//b:8b", "é:8b"] {
            assert_eq!(needs(bad, 1, 1), Err(Unknown::Name), "{bad}");
        }
        for wild in ["x:999999999999999999b", "x:1024x9999999b", "x:0b", "x:8mb", "x:.b"] {
            let _ = needs(wild, u32::MAX, u32::MAX);
        }
    }
}
