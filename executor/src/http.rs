//! The executor over HTTP: inference and embeddings for those who hold its token, trace data for all.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use inference::files::parse_tensors;
use inference::state_transfer::{state_length, state_part};
use inference::{Model, Tensor};
use ledger::http::{Budget, Failure, OCTETS, PART_BYTES, Shares, Source, answer_in_parts, failure};
use protocol::hash::{Digest, keccak, parse_digest};
use protocol::tensor::{ElementType, TensorType};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::api::{Api, AskError, ClaimedRun};
use crate::embeddings::{Encoder, TEXTS_MAX};

/// Version of all shapes.
const SCHEMA: u32 = 1;
/// Most bytes of a request.
const BODY_BYTES_MAX: usize = 64 << 20;
/// Most batches of one request that are under way at a time.
const BATCHES_AT_ONCE: usize = 8;

/// What the routes share.
#[derive(Clone, Debug)]
pub struct Office {
    /// Where those who ask come in.
    pub api: Arc<Api>,
    /// Text encoders by their models' names.
    pub encoders: Arc<HashMap<String, Encoder>>,
    /// Hash of the token that those who ask must hold.
    pub token: Digest,
    /// What the bodies of those who hold it may take in memory together.
    pub budget: Budget,
    /// Who reads states of runs.
    pub readers: Shares,
    /// How long an answer may take.
    pub patience: Duration,
}

type Reply = Result<Response, Failure>;

fn malformed(message: impl Into<String>) -> Failure {
    failure(StatusCode::BAD_REQUEST, "malformed", message)
}

fn not_asked(error: AskError) -> Failure {
    metrics::counter!("rebut_executor_asked_failed_total").increment(1);
    let message = error.to_string();
    match error {
        AskError::Inputs { .. } | AskError::Run(_) | AskError::NoResult { .. } => {
            malformed(message)
        }
        AskError::Busy { .. } => failure(StatusCode::SERVICE_UNAVAILABLE, "busy", message),
        AskError::Ledger(_) => failure(StatusCode::BAD_GATEWAY, "ledger", message),
        AskError::Late { .. } => failure(StatusCode::GATEWAY_TIMEOUT, "late", message),
    }
}

/// The routes.
pub fn routes(office: Office) -> Router {
    Router::new()
        .route("/v1/infer", post(infer))
        .route("/v1/embeddings", post(embeddings))
        .route("/v1/models", get(models))
        .route("/v1/traces/{trace_root}", get(trace))
        .route("/v1/traces/{trace_root}/states/{boundary}", get(state))
        .with_state(office)
}

/// Who asks spends this executor's stake: nobody may without its token.
fn authorised(office: &Office, headers: &HeaderMap) -> Result<(), Failure> {
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let given = given.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
    // Hashes are compared: how long it takes says nothing about the token.
    if keccak(given.trim().as_bytes()) == office.token {
        Ok(())
    } else {
        let message = "the header `authorization: Bearer TOKEN` is missing or wrong; the token \
                           is in the executor's folder, in the file ACCOUNT/api-token";
        Err(failure(StatusCode::UNAUTHORIZED, "unauthorised", message))
    }
}

fn model<'a>(office: &'a Office, name: &str) -> Result<&'a Arc<Model>, Failure> {
    office.api.model(name).ok_or_else(|| {
        let names: Vec<String> = office.api.models().into_iter().map(|(name, _)| name).collect();
        let message = format!("there is no model {name}; there are {}", names.join(", "));
        failure(StatusCode::NOT_FOUND, "not-found", message)
    })
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Infer {
    model: String,
    inputs: Value,
}

async fn infer(State(office): State<Office>, headers: HeaderMap, body: Body) -> Reply {
    authorised(&office, &headers)?;
    let held = office.budget.read(body, BODY_BYTES_MAX, Source::Rest).await?;
    let asked: Infer =
        serde_json::from_slice(&held.bytes).map_err(|error| malformed(error.to_string()))?;
    let model = model(&office, &asked.model)?;
    let types: Vec<(String, TensorType)> =
        model.input_names().iter().cloned().zip(model.graph().inputs.iter().cloned()).collect();
    let named = asked.inputs.as_object().into_iter().flatten().map(|(name, _)| name);
    for name in named {
        if !types.iter().any(|(known, _)| known == name) {
            let known: Vec<&str> = types.iter().map(|(known, _)| known.as_str()).collect();
            let message =
                format!("inputs: the model has no input {name}; it has {}", known.join(", "));
            return Err(malformed(message));
        }
    }
    let bytes = asked.inputs.to_string().into_bytes();
    let inputs = parse_tensors("json", bytes, &types).map_err(malformed)?;
    let answer = timed(&office, model, inputs).await?;
    let outputs: serde_json::Map<String, Value> =
        answer.outputs().iter().map(|(name, tensor)| (name.clone(), written(tensor))).collect();
    let mut document = claimed(&answer);
    document["schema"] = json!(SCHEMA);
    document["model"] = json!(asked.model);
    document["model_root"] = json!(model.root().to_string());
    document["outputs"] = Value::Object(outputs);
    Ok(Json(document).into_response())
}

async fn timed(
    office: &Office,
    model: &Arc<Model>,
    inputs: HashMap<String, Tensor>,
) -> Result<ClaimedRun, Failure> {
    let begun = Instant::now();
    metrics::counter!("rebut_executor_asked_total").increment(1);
    let answer = office.api.ask(model, inputs, office.patience).await.map_err(not_asked)?;
    metrics::histogram!("rebut_executor_asked_seconds").record(begun.elapsed());
    Ok(answer)
}

fn claimed(answer: &ClaimedRun) -> Value {
    let trace = answer.run.trace();
    json!({
        "job": answer.job.to_string(), "claim": answer.claim.to_string(), "status": "standing",
        "window_end_ms": answer.window_end_ms, "trace_root": trace.root().to_string(),
        "output_root": trace.state_roots().last().map(ToString::to_string),
    })
}

/// A tensor with its values in row-major order: decimals that read back as the same bits; what
/// is no number is null.
fn written(tensor: &Tensor) -> Value {
    let data: Vec<Value> = match tensor.kind().element {
        ElementType::F32 => tensor.as_f32().iter().map(|value| json!(value)).collect(),
        _ => match tensor.integers() {
            Some(integers) => integers.into_iter().map(|value| json!(value)).collect(),
            // 16-bit floats, as the numbers they are.
            None => {
                let wide = |bits| json!(f32::from_bits(tensor.kind().element.to_f32(bits)));
                tensor.all_bits().into_iter().map(wide).collect()
            }
        },
    };
    json!({ "shape": tensor.shape().dimensions(), "data": data })
}

/// A request as OpenAI's embeddings endpoint takes it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Embeddings {
    model: String,
    input: Value,
    #[serde(default)]
    encoding_format: Option<String>,
    /// Numbers of an embedding; only as many as the model gives.
    #[serde(default)]
    dimensions: Option<u64>,
    /// Who asks, for logs of others; of no use here.
    #[serde(default, rename = "user")]
    _user: Option<String>,
}

/// The texts of a request: a string or a list of strings.
fn texts_of(input: Value) -> Result<Vec<String>, Failure> {
    let wrong = || malformed("input must be a string or a list of strings");
    match input {
        Value::String(text) => Ok(vec![text]),
        Value::Array(items) => items
            .into_iter()
            .map(|item| match item {
                Value::String(text) => Ok(text),
                _ => Err(wrong()),
            })
            .collect(),
        _ => Err(wrong()),
    }
}

async fn embeddings(State(office): State<Office>, headers: HeaderMap, body: Body) -> Reply {
    authorised(&office, &headers)?;
    let held = office.budget.read(body, BODY_BYTES_MAX, Source::Rest).await?;
    let asked: Embeddings =
        serde_json::from_slice(&held.bytes).map_err(|error| malformed(error.to_string()))?;
    let as_base64 = match asked.encoding_format.as_deref() {
        None | Some("float") => false,
        Some("base64") => true,
        Some(other) => {
            return Err(malformed(format!("encoding_format {other}: it may be float or base64")));
        }
    };
    let texts = texts_of(asked.input)?;
    if texts.is_empty() || texts.len() > TEXTS_MAX {
        return Err(malformed(format!("input: between 1 and {TEXTS_MAX} texts")));
    }
    let model = Arc::clone(model(&office, &asked.model)?);
    let encoder = office.encoders.get(&asked.model).ok_or_else(|| {
        malformed(format!("model {0}: no {0}.tokenizer.json stands beside {0}.onnx", asked.model))
    })?;
    let width = width(&model);
    if asked.dimensions.is_some() && asked.dimensions != width {
        let given = width.map_or("another number of".to_owned(), |width| width.to_string());
        let wanted = asked.dimensions.unwrap_or_default();
        let message = format!("dimensions: the model gives {given} numbers, not {wanted}");
        return Err(malformed(message));
    }
    let batches = encoder.batches(&texts).map_err(|error| malformed(error.to_string()))?;
    let tokens: usize = batches.iter().map(|batch| batch.tokens).sum();
    let counts: Vec<usize> = batches.iter().map(|batch| batch.texts).collect();
    let inputs = batches.into_iter().map(|batch| batch.inputs).collect();
    let answers = all(&office, &model, inputs).await?;
    let mut data = Vec::with_capacity(texts.len());
    for (answer, count) in answers.iter().zip(&counts) {
        for row in rows(answer, *count)? {
            let embedding = if as_base64 { json!(base64(&row)) } else { json!(row) };
            data.push(
                json!({ "object": "embedding", "index": data.len(), "embedding": embedding }),
            );
        }
    }
    Ok(Json(json!({
        "object": "list", "model": asked.model, "data": data,
        "usage": { "prompt_tokens": tokens, "total_tokens": tokens },
        "rebut": {
            "schema": SCHEMA, "model_root": model.root().to_string(),
            "claims": answers.iter().map(claimed).collect::<Vec<_>>(), "texts_of_claims": counts,
        },
    }))
    .into_response())
}

/// Answers to batches in their order, some of them under way at a time.
async fn all(
    office: &Office,
    model: &Arc<Model>,
    batches: Vec<HashMap<String, Tensor>>,
) -> Result<Vec<ClaimedRun>, Failure> {
    let mut answers: Vec<Option<ClaimedRun>> = vec![None; batches.len()];
    let mut waiting = batches.into_iter().enumerate();
    let mut under_way = JoinSet::new();
    loop {
        while under_way.len() < BATCHES_AT_ONCE
            && let Some((index, inputs)) = waiting.next()
        {
            let (office, model) = (office.clone(), Arc::clone(model));
            under_way.spawn(async move { (index, timed(&office, &model, inputs).await) });
        }
        match under_way.join_next().await {
            None => return Ok(answers.into_iter().flatten().collect()),
            Some(Ok((index, answer))) => {
                if let Some(place) = answers.get_mut(index) {
                    *place = Some(answer?);
                }
            }
            Some(Err(error)) => {
                return Err(failure(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "internal",
                    error.to_string(),
                ));
            }
        }
    }
}

/// Numbers of an embedding: the size of the last axis of the model's one output.
fn width(model: &Model) -> Option<u64> {
    let (_, value) = model.outputs().first()?;
    let operator = value.checked_sub(model.header().output_of(0))?;
    Some(model.node(operator)?.output.shape.columns())
}

/// The first rows of a claim's one output.
fn rows(answer: &ClaimedRun, count: usize) -> Result<Vec<Vec<f32>>, Failure> {
    let outputs = answer.outputs();
    let mut tensors = outputs
        .values()
        .filter(|tensor| tensor.kind().element == ElementType::F32 && tensor.shape().rank() == 2);
    let (Some(tensor), None) = (tensors.next(), tensors.next()) else {
        return Err(malformed("the model has not one output of texts by numbers"));
    };
    let width = tensor.shape().columns() as usize;
    Ok(tensor.as_f32().chunks(width.max(1)).take(count).map(<[f32]>::to_vec).collect())
}

/// Little-endian floats as base64, as OpenAI's clients read them.
fn base64(row: &[f32]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bytes: Vec<u8> = row.iter().flat_map(|value| value.to_le_bytes()).collect();
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for part in bytes.chunks(3) {
        let word = part.iter().fold(0u32, |word, byte| word << 8 | u32::from(*byte))
            << (8 * (3 - part.len()));
        for place in 0..4 {
            let digit = (word >> (18 - 6 * place)) & 63;
            text.push(if place <= part.len() { char::from(DIGITS[digit as usize]) } else { '=' });
        }
    }
    text
}

async fn models(State(office): State<Office>) -> Response {
    let data: Vec<Value> = office
        .api
        .models()
        .into_iter()
        .map(|(name, root)| {
            let embeds = office.encoders.contains_key(&name);
            json!({ "id": name, "object": "model", "root": root.to_string(), "embeds": embeds })
        })
        .collect();
    Json(json!({ "schema": SCHEMA, "object": "list", "data": data })).into_response()
}

fn run(office: &Office, root: &str) -> Result<Arc<inference::Run>, Failure> {
    let root = parse_digest(root).ok_or_else(|| malformed("the trace root is 0x and 64 digits"))?;
    let message = "this run is not in memory; it is kept until its claim is final";
    office.api.run(&root).ok_or_else(|| failure(StatusCode::NOT_FOUND, "not-found", message))
}

async fn trace(State(office): State<Office>, Path(root): Path<String>) -> Reply {
    let run = run(&office, &root)?;
    let roots: Vec<String> = run.trace().state_roots().iter().map(ToString::to_string).collect();
    Ok(Json(json!({
        "schema": SCHEMA, "trace_root": run.trace().root().to_string(),
        "model_root": run.model().root().to_string(), "state_roots": roots,
    }))
    .into_response())
}

/// States that one address reads at a time.
const STATES_OF_ONE_MAX: usize = 16;

/// The state at a boundary as it is published (raw); whoever reads it compares with the root. It is sent
/// from the run, part by part, and holds neither a copy nor the run: it breaks off when the run is let go.
async fn state(
    State(office): State<Office>,
    source: Source,
    Path((root, boundary)): Path<(String, u32)>,
) -> Reply {
    let run = run(&office, &root)?;
    let state = run.trace().state(boundary).ok_or_else(|| {
        failure(StatusCode::NOT_FOUND, "not-found", "the trace has no such boundary")
    })?;
    let length = state_length(state);
    let share = office.readers.take(source, 1, STATES_OF_ONE_MAX).ok_or_else(|| {
        let message = "as many states as one address may read are being read; try again";
        failure(StatusCode::SERVICE_UNAVAILABLE, "busy", message)
    })?;
    let run = Arc::downgrade(&run);
    Ok(answer_in_parts(OCTETS, length, share, move |from| {
        let run = run.upgrade();
        let run = run.ok_or_else(|| std::io::Error::other("the run is not kept any more"))?;
        let state = run.trace().state(boundary);
        Ok(state.map_or(Vec::new(), |state| state_part(state, from, PART_BYTES)))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_a_string_or_a_list_of_strings() {
        assert_eq!(texts_of(json!("a")).ok(), Some(vec!["a".to_owned()]));
        assert_eq!(texts_of(json!(["a", "b"])).map(|all| all.len()).ok(), Some(2));
        for wrong in [json!(7), json!({}), json!([1]), json!(["a", 1]), json!(null)] {
            assert!(texts_of(wrong).is_err());
        }
    }

    #[test]
    fn base64_is_as_everybody_writes_it() {
        assert_eq!(base64(&[]), "");
        assert_eq!(base64(&[1.0]), "AACAPw==");
        assert_eq!(base64(&[1.0, -2.5]), "AACAPwAAIMA=");
        assert_eq!(base64(&[0.0, 0.0, 1.0]), "AAAAAAAAAAAAAIA/");
    }
}
