//! Texts to the inputs of a text encoder: tokens by the model's own tokenizer, in batches of its size.

use std::collections::HashMap;
use std::path::Path;

use inference::{Model, Tensor};
use tokenizers::{Tokenizer, TruncationParams};

/// Most texts of a request.
pub const TEXTS_MAX: usize = 2_048;
/// Most bytes of a text.
pub const TEXT_BYTES_MAX: usize = 64 << 10;

/// Why texts are not embedded.
#[derive(Debug, thiserror::Error)]
pub enum EmbedError {
    /// The tokenizer's file cannot be used.
    #[error("{path}: {reason}; it must be a tokenizer.json of the tokenizers library")]
    File {
        /// The file.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// The model is no text encoder.
    #[error("the model is no text encoder of a fixed size: {reason}")]
    Model {
        /// What is wrong.
        reason: String,
    },
    /// A text cannot be embedded.
    #[error("text {index}: {reason}")]
    Text {
        /// Which, from 0.
        index: usize,
        /// What is wrong.
        reason: String,
    },
}

/// A model with its tokenizer.
#[derive(Debug)]
pub struct Encoder {
    tokenizer: Tokenizer,
    /// Texts that the model takes at a time.
    pub batch: usize,
    /// Tokens of a text.
    pub sequence: usize,
    kinds: Vec<String>,
}

/// Texts of a batch as inputs, and how many tokens they have.
#[derive(Debug)]
pub struct Batch {
    /// Inputs by name.
    pub inputs: HashMap<String, Tensor>,
    /// Texts in it; what fills the batch up is not for anybody.
    pub texts: usize,
    /// Tokens of the texts.
    pub tokens: usize,
}

impl Encoder {
    /// A text encoder, from a model and the tokenizer beside it.
    ///
    /// # Errors
    /// When the file cannot be used or the model takes no token ids of one fixed size.
    pub fn read(path: &Path, model: &Model) -> Result<Self, EmbedError> {
        let wrong = |reason: String| EmbedError::Model { reason };
        let file = |reason: String| EmbedError::File { path: path.display().to_string(), reason };
        let mut tokenizer = Tokenizer::from_file(path).map_err(|error| file(error.to_string()))?;
        let known = ["input_ids", "attention_mask", "token_type_ids"];
        let mut size = None;
        for (name, kind) in model.input_names().iter().zip(&model.graph().inputs) {
            if !known.contains(&name.as_str()) {
                return Err(wrong(format!("it has an input {name}")));
            }
            let dimensions = kind.shape.dimensions();
            let [batch, sequence] = dimensions else {
                return Err(wrong(format!("{name} has {} dimensions, not 2", dimensions.len())));
            };
            if size.is_some_and(|size| size != (*batch, *sequence)) {
                return Err(wrong("its inputs have different sizes".to_owned()));
            }
            size = Some((*batch, *sequence));
        }
        let (batch, sequence) = size.ok_or_else(|| wrong("it has no inputs".to_owned()))?;
        let (batch, sequence) = (batch as usize, sequence as usize);
        // Told, not cut: an embedding of half a text is another text's.
        tokenizer
            .with_truncation(None::<TruncationParams>)
            .map_err(|error| file(error.to_string()))?
            .with_padding(None);
        Ok(Self { tokenizer, batch, sequence, kinds: model.input_names().to_vec() })
    }

    /// Texts in batches of the model's size; the last is filled up with its own last text.
    ///
    /// # Errors
    /// When a text is too long.
    pub fn batches(&self, texts: &[String]) -> Result<Vec<Batch>, EmbedError> {
        let mut rows = Vec::with_capacity(texts.len());
        for (index, text) in texts.iter().enumerate() {
            let wrong = |reason: String| EmbedError::Text { index, reason };
            if text.len() > TEXT_BYTES_MAX {
                return Err(wrong(format!("it is over {TEXT_BYTES_MAX} bytes")));
            }
            let encoding = self.tokenizer.encode_fast(text.as_str(), true);
            let encoding = encoding.map_err(|error| wrong(error.to_string()))?;
            let count = encoding.get_ids().len();
            if count > self.sequence {
                return Err(wrong(format!(
                    "it has {count} tokens and the model takes {}; shorten it",
                    self.sequence
                )));
            }
            rows.push(encoding);
        }
        rows.chunks(self.batch.max(1))
            .map(|rows| {
                let tokens = rows.iter().map(|row| row.get_ids().len()).sum();
                let last = rows.last();
                let mut inputs = HashMap::new();
                for name in &self.kinds {
                    let mut all = Vec::with_capacity(self.batch * self.sequence);
                    let filled = rows.iter().chain(last.into_iter().cycle());
                    for row in filled.take(self.batch) {
                        let ids = match name.as_str() {
                            "input_ids" => row.get_ids(),
                            "attention_mask" => row.get_attention_mask(),
                            _ => row.get_type_ids(),
                        };
                        let padded =
                            ids.iter().map(|id| i64::from(*id)).chain(std::iter::repeat(0));
                        all.extend(padded.take(self.sequence));
                    }
                    let tensor = self.tensor(all)?;
                    inputs.insert(name.clone(), tensor);
                }
                Ok(Batch { inputs, texts: rows.len(), tokens })
            })
            .collect()
    }

    fn tensor(&self, ids: Vec<i64>) -> Result<Tensor, EmbedError> {
        let dimensions = vec![self.batch as u64, self.sequence as u64];
        let shape = protocol::tensor::Shape::new(&dimensions);
        let tensor = shape.and_then(|shape| Tensor::from_i64(&shape, ids));
        tensor.ok_or_else(|| EmbedError::Model { reason: "its inputs are too large".to_owned() })
    }
}
