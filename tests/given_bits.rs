//! An input of unusual bits from the file to the verdict.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

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

#[test]
fn an_input_of_any_bits_is_run_stands_and_convicts_who_lies_about_it() {
    let model = text(&PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("models/digits-cnn.onnx"));
    let folder = tempfile::tempdir().unwrap();
    let mut roots = Vec::new();
    let kinds = [
        ("zero", vec![0x8000_0000, 0, 1, 0x8000_0001]),
        ("plain", vec![0, 0, 0, 0]),
        ("infinite", vec![0x7F80_0000]),
        ("nan", vec![0xFFC0_0001, 0x7FA0_0000]),
    ];
    for (name, bits) in kinds {
        let input = picture(folder.path(), &format!("{name}.npy"), &bits);
        let out = text(&folder.path().join(name));
        let (report, code) = json(&["run", &model, "--input", &input, "--out", &out]);
        assert_eq!(code, 0, "{name}: {report}");
        roots.push((report["input_root"].clone(), report["output_root"].clone()));
        let (verified, code) = json(&["verify", &out]);
        assert_eq!((code, verified["verdict"].as_str()), (0, Some("stands")), "{name}: {verified}");
        let out = text(&folder.path().join(format!("{name}-lie")));
        // Of the operator that reads the leaf with these bits.
        let lie = ["--lie", "0:0:58:+16777216"];
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
