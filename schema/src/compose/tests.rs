//! Goldens of the Compose reader.
