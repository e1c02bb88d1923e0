//! An input of unusual bits from the file to the verdict.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "common/services.rs"]
mod services;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use services::{daemon, get, ledger, models, rebut, report};

fn json(arguments: &[&str]) -> (Value, i32) {
    let output =
        Command::new(env!("CARGO_BIN_EXE_rebut")).arg("--json").args(arguments).output().unwrap();
    let value = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
    (value, output.status.code().unwrap())
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

/// A picture whose last elements are replaced.
fn picture(folder: &Path, name: &str, bits: &[u32]) -> String {
    let models = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("models/samples/digit-3.npy");
    let mut bytes = std::fs::read(models).unwrap();
    let first = bytes.len() - bits.len() * 4;
    for (place, bits) in bytes[first..].chunks_mut(4).zip(bits) {
        place.copy_from_slice(&bits.to_le_bytes());
    }
    let path = folder.join(name);
    std::fs::write(&path, bytes).unwrap();
    text(&path)
}

/// The last elements of a picture.
const KINDS: [(&str, &[u32]); 4] = [
    ("zero", &[0x8000_0000, 0, 1, 0x8000_0001]),
    ("plain", &[0, 0, 0, 0]),
    ("infinite", &[0x7F80_0000]),
    ("nan", &[0xFFC0_0001, 0x7FA0_0000]),
];
/// In the operator that reads them.
const LIE: &str = "0:0:58:+16777216";

#[test]
fn an_input_of_any_bits_is_run_stands_and_convicts_who_lies_about_it() {
    let model = text(&PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("models/digits-cnn.onnx"));
    let folder = tempfile::tempdir().unwrap();
    let mut roots = Vec::new();
    for (name, bits) in KINDS {
        let input = picture(folder.path(), &format!("{name}.npy"), bits);
        let out = text(&folder.path().join(name));
        let (report, code) = json(&["run", &model, "--input", &input, "--out", &out]);
        assert_eq!(code, 0, "{name}: {report}");
        roots.push((report["input_root"].clone(), report["output_root"].clone()));
        let (verified, code) = json(&["verify", &out]);
        assert_eq!((code, verified["verdict"].as_str()), (0, Some("stands")), "{name}: {verified}");
        let out = text(&folder.path().join(format!("{name}-lie")));
        // Of the operator that reads the leaf with these bits.
        let lie = ["--lie", LIE];
        let run = [&["run", &model, "--input", &input, "--out", &out][..], &lie].concat();
        assert_eq!(json(&run).1, 0, "{name}");
        let verdict = text(&folder.path().join(format!("{name}.json")));
        let (disputed, _) = json(&["dispute", &out, "--verdict", &verdict]);
        assert_eq!(disputed["verdict"], "fraud", "{name}: {disputed}");
        assert_eq!(json(&["replay", &verdict]).1, 0, "{name}");
    }
    // −0 and subnormals are another input than zeros, with the same result.
    assert_ne!(roots[0].0, roots[1].0);
    assert_eq!(roots[0].1, roots[1].1);
}

#[test]
fn audit_a15_among_services_a_lie_about_an_input_of_any_bits_falls_and_the_truth_becomes_final() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path();
    let (_ledger, url) = ledger(place);
    let words = ["executor", "serve", "--no-preflight"];
    let (_liar, _) = daemon(place, &url, &[&words[..], &["--lie", LIE]].concat(), "liar");
    let (_honest, _) = daemon(place, &url, &words, "honest");
    let (_challenger, checked) = daemon(place, &url, &["challenger", "run"], "challenger");
    let model = text(&models().join("digits-cnn.onnx"));
    let requests = KINDS.map(|(name, bits)| {
        let input = picture(place, &format!("{name}.npy"), bits);
        let out = format!("{name}.npz");
        rebut()
            .args(["--json", "request", &model, "--input", &input, "--out", &out])
            .args(["--dev", "client", "--ledger", &url, "--patience-seconds", "120"])
            .current_dir(place)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    });
    // Each has the answer that this machine's own run has: the command looks, and says so.
    for (request, (name, _)) in requests.into_iter().zip(KINDS) {
        let answer = report(request);
        assert_eq!(answer["status"], "final", "{name}: {answer}");
    }
    let claims = |status: &str| -> Value {
        serde_json::from_str(&get(&url, &format!("/v1/claims?status={status}")).1).unwrap()
    };
    let (rejected, last) = (claims("rejected"), claims("final"));
    assert_eq!((&rejected["total"], &last["total"]), (&Value::from(4), &Value::from(4)));
    assert!(rejected.to_string().contains("rejected: operator"), "{rejected}");
    let (_, readiness) = get(&checked, "/readyz");
    assert!(!readiness.contains("NOT CHECKED"), "{readiness}");
}
