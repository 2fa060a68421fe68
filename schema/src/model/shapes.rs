//! Models whose shape is known.
//!
//! Knows numbers. Each row is of its own model and none is derived from another's.
//!
//! Layers, heads and sizes are those of the models' own `config.json`, as the configurations of
//! litgpt (github.com/Lightning-AI/litgpt, `litgpt/config.py`, June 2026) repeat them; parameters
//! are counted from these, all experts and the embedding included, the latter once where it is also
//! the output. Published sizes are those that ollama.com/library lists for the tag, as the list of
//! models of Alpaca (github.com/Jeffser/Alpaca, `src/ollama_models.py`, June 2026) repeats them. A
//! test holds each size against what the formula makes of the parameters.

/// A model whose shape is known.
#[derive(Debug)]
pub(super) struct Shape {
    /// Its name in Ollama's library.
    pub(super) family: &'static str,
    /// The tag that says its size.
    pub(super) size: &'static str,
    /// How the names of its repositories at Hugging Face begin, in lower case.
    pub(super) repository: &'static str,
    /// Millions of parameters.
    pub(super) parameters: u64,
    pub(super) layers: u64,
    pub(super) kv_heads: u64,
    pub(super) head: u64,
    /// The format of the library's tag.
    pub(super) format: &'static str,
    /// Bytes of the library's tag, in millions.
    pub(super) published: u64,
    /// Millions of bytes of a part that sees pictures, in 16 bits: SigLIP's 417 million parameters.
    pub(super) vision: u64,
}

const fn shape(
    family: &'static str,
    size: &'static str,
    repository: &'static str,
    parameters: u64,
    [layers, kv_heads, head]: [u64; 3],
    (format, published): (&'static str, u64),
    vision: u64,
) -> Shape {
    Shape {
        family,
        size,
        repository,
        parameters,
        layers,
        kv_heads,
        head,
        format,
        published,
        vision,
    }
}

#[rustfmt::skip]
pub(super) const SHAPES: [Shape; 67] = [
    shape("llama2", "7b", "llama-2-7b", 6738, [32, 32, 128], ("q4_0", 3800), 0),
    shape("llama2", "13b", "llama-2-13b", 13015, [40, 40, 128], ("q4_0", 7400), 0),
    shape("llama2", "70b", "llama-2-70b", 68975, [80, 8, 128], ("q4_0", 39000), 0),
    shape("llama3", "8b", "llama-3-8b", 8028, [32, 8, 128], ("q4_0", 4700), 0),
    shape("llama3", "70b", "llama-3-70b", 70548, [80, 8, 128], ("q4_0", 40000), 0),
    shape("llama3.1", "8b", "llama-3.1-8b", 8028, [32, 8, 128], ("q4_k_m", 4900), 0),
    shape("llama3.1", "70b", "llama-3.1-70b", 70548, [80, 8, 128], ("q4_k_m", 43000), 0),
    shape("llama3.1", "405b", "llama-3.1-405b", 405841, [126, 8, 128], ("q4_k_m", 243000), 0),
    shape("llama3.2", "1b", "llama-3.2-1b", 1235, [16, 8, 64], ("q8_0", 1300), 0),
    shape("llama3.2", "3b", "llama-3.2-3b", 3212, [28, 8, 128], ("q4_k_m", 2000), 0),
    shape("llama3.3", "70b", "llama-3.3-70b", 70548, [80, 8, 128], ("q4_k_m", 43000), 0),
    shape("codellama", "7b", "codellama-7b", 6738, [32, 32, 128], ("q4_0", 3800), 0),
    shape("codellama", "13b", "codellama-13b", 13016, [40, 40, 128], ("q4_0", 7400), 0),
    shape("codellama", "34b", "codellama-34b", 33743, [48, 8, 128], ("q4_0", 19000), 0),
    shape("codellama", "70b", "codellama-70b", 68976, [80, 8, 128], ("q4_0", 39000), 0),
    shape("mistral", "7b", "mistral-7b", 7248, [32, 8, 128], ("q4_k_m", 4400), 0),
    shape("mixtral", "8x7b", "mixtral-8x7b", 46703, [32, 8, 128], ("q4_0", 26000), 0),
    shape("mixtral", "8x22b", "mixtral-8x22b", 140629, [56, 8, 128], ("q4_0", 80000), 0),
    shape("mistral-large", "123b", "mistral-large", 122608, [88, 8, 128], ("q4_k_m", 73000), 0),
    shape("mathstral", "7b", "mathstral-7b", 7248, [32, 8, 128], ("q4_0", 4100), 0),
    shape("gemma", "7b", "gemma-7b", 8538, [28, 16, 256], ("q4_0", 5000), 0),
    shape("gemma2", "2b", "gemma-2-2b", 2614, [26, 4, 256], ("q4_0", 1600), 0),
    shape("gemma2", "9b", "gemma-2-9b", 9241, [42, 8, 256], ("q4_0", 5400), 0),
    shape("gemma2", "27b", "gemma-2-27b", 27226, [46, 16, 128], ("q4_0", 16000), 0),
    shape("gemma3", "4b", "gemma-3-4b", 3880, [34, 4, 256], ("q4_k_m", 3300), 834),
    shape("gemma3", "12b", "gemma-3-12b", 11765, [48, 8, 256], ("q4_k_m", 8100), 834),
    shape("gemma3", "27b", "gemma-3-27b", 27008, [62, 16, 128], ("q4_k_m", 17000), 834),
    shape("codegemma", "7b", "codegemma-7b", 8538, [28, 16, 256], ("q4_0", 5000), 0),
    shape("phi", "2.7b", "phi-2", 2774, [32, 32, 80], ("q4_0", 1600), 0),
    shape("phi3", "3.8b", "phi-3-mini", 3820, [32, 32, 96], ("q4_0", 2200), 0),
    shape("phi3.5", "3.8b", "phi-3.5-mini", 3820, [32, 32, 96], ("q4_0", 2200), 0),
    shape("phi4", "14b", "phi-4", 14659, [40, 10, 128], ("q4_k_m", 9100), 0),
    shape("phi4-mini", "3.8b", "phi-4-mini", 3836, [32, 8, 128], ("q4_k_m", 2500), 0),
    shape("qwen2.5", "1.5b", "qwen2.5-1.5b", 1543, [28, 2, 128], ("q4_k_m", 986), 0),
    shape("qwen2.5", "3b", "qwen2.5-3b", 3085, [36, 2, 128], ("q4_k_m", 1900), 0),
    shape("qwen2.5", "7b", "qwen2.5-7b", 7612, [28, 4, 128], ("q4_k_m", 4700), 0),
    shape("qwen2.5", "14b", "qwen2.5-14b", 14765, [48, 8, 128], ("q4_k_m", 9000), 0),
    shape("qwen2.5", "32b", "qwen2.5-32b", 32758, [64, 8, 128], ("q4_k_m", 20000), 0),
    shape("qwen2.5", "72b", "qwen2.5-72b", 72697, [80, 8, 128], ("q4_k_m", 47000), 0),
    shape("qwen2.5-coder", "1.5b", "qwen2.5-coder-1.5b", 1543, [28, 2, 128], ("q4_k_m", 986), 0),
    shape("qwen2.5-coder", "3b", "qwen2.5-coder-3b", 3085, [36, 2, 128], ("q4_k_m", 1900), 0),
    shape("qwen2.5-coder", "7b", "qwen2.5-coder-7b", 7612, [28, 4, 128], ("q4_k_m", 4700), 0),
    shape("qwen2.5-coder", "14b", "qwen2.5-coder-14b", 14765, [48, 8, 128], ("q4_k_m", 9000), 0),
    shape("qwen2.5-coder", "32b", "qwen2.5-coder-32b", 32758, [64, 8, 128], ("q4_k_m", 20000), 0),
    shape("qwq", "32b", "qwq-32b", 32758, [64, 8, 128], ("q4_k_m", 20000), 0),
    shape("qwen3", "4b", "qwen3-4b", 4022, [36, 8, 128], ("q4_k_m", 2500), 0),
    shape("qwen3", "8b", "qwen3-8b", 8188, [36, 8, 128], ("q4_k_m", 5200), 0),
    shape("qwen3", "14b", "qwen3-14b", 14765, [40, 8, 128], ("q4_k_m", 9300), 0),
    shape("qwen3", "32b", "qwen3-32b", 32758, [64, 8, 128], ("q4_k_m", 20000), 0),
    shape("qwen3", "30b", "qwen3-30b-a3b", 30531, [48, 4, 128], ("q4_k_m", 19000), 0),
    shape("qwen3", "235b", "qwen3-235b-a22b", 235090, [94, 4, 128], ("q4_k_m", 142000), 0),
    shape("deepseek-r1", "70b", "r1-distill-llama-70b", 70548, [80, 8, 128], ("q4_k_m", 43000), 0),
    shape("smollm2", "135m", "smollm2-135m", 134, [30, 3, 64], ("f16", 271), 0),
    shape("smollm2", "360m", "smollm2-360m", 362, [32, 5, 64], ("f16", 726), 0),
    shape("smollm2", "1.7b", "smollm2-1.7b", 1711, [24, 32, 64], ("q8_0", 1800), 0),
    shape("olmo2", "7b", "olmo-2-1124-7b", 7297, [32, 32, 128], ("q4_k_m", 4500), 0),
    shape("olmo2", "13b", "olmo-2-1124-13b", 13715, [40, 40, 128], ("q4_k_m", 8400), 0),
    shape("falcon3", "1b", "falcon3-1b", 1669, [18, 4, 256], ("q8_0", 1800), 0),
    shape("falcon3", "3b", "falcon3-3b", 3228, [22, 4, 256], ("q4_k_m", 2000), 0),
    shape("falcon3", "7b", "falcon3-7b", 7455, [28, 4, 256], ("q4_k_m", 4600), 0),
    shape("falcon3", "10b", "falcon3-10b", 10305, [40, 4, 256], ("q4_k_m", 6300), 0),
    shape("falcon", "7b", "falcon-7b", 6921, [32, 1, 64], ("q4_0", 4200), 0),
    shape("falcon", "40b", "falcon-40b", 41301, [60, 8, 64], ("q4_0", 24000), 0),
    shape("falcon", "180b", "falcon-180b", 178552, [80, 8, 64], ("q4_0", 101000), 0),
    shape("tinyllama", "1.1b", "tiny-llama-1.1b", 1100, [22, 4, 64], ("q4_0", 638), 0),
    shape("nemotron", "70b", "llama-3.1-nemotron-70b", 70548, [80, 8, 128], ("q4_k_m", 43000), 0),
    shape("stable-code", "3b", "stable-code-3b", 2795, [32, 32, 80], ("q4_0", 1600), 0),
];
