//! Models that leave sizes open, as commands take them: sizes from inputs, from flags, from the file
//! beside the model.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// A field of a protobuf message that holds bytes.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![number << 3 | 2, content.len() as u8];
    bytes.extend(content);
    bytes
}

/// `y = x + x` over `x: f32[batch, unnamed]`, written out byte by byte.
fn open_model() -> Vec<u8> {
    let axes = [field(1, &field(2, b"batch")), field(1, &[])].concat();
    let kind = field(1, &[vec![1 << 3, 1], field(2, &axes)].concat());
    let input = [field(1, b"x"), field(2, &kind)].concat();
    let node = [field(1, b"x"), field(1, b"x"), field(2, b"y"), field(4, b"Add")].concat();
    let graph = [field(1, &node), field(2, b"g"), field(11, &input), field(12, &field(1, b"y"))];
    let opset = vec![2 << 3, 17];
    [vec![1 << 3, 8], field(7, &graph.concat()), field(8, &opset)].concat()
}

fn rebut(folder: &Path, arguments: &[&str]) -> (Value, i32) {
    let output = Command::new(env!("CARGO_BIN_EXE_rebut"))
        .current_dir(folder)
        .arg("--json")
        .args(arguments)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let json = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    (json, output.status.code().unwrap())
}

fn message(report: &Value) -> &str {
    report["error"]["message"].as_str().unwrap()
}

fn prepared() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("m.onnx"), open_model()).unwrap();
    std::fs::write(folder.path().join("in.json"), "[[1, 2, 3], [4, 5, 6]]").unwrap();
    folder
}

#[test]
fn a_public_claim_of_a_model_with_open_sizes_is_verified_and_disputed_without_flags() {
    let folder = prepared();
    let at = folder.path();
    let run = ["run", "m.onnx", "--input", "in.json", "--out", "c", "--states"];
    let (report, code) = rebut(at, &run);
    assert_eq!(code, 0, "{report}");
    assert_eq!(report["inferred"], serde_json::json!(["batch=2", "x=2,3"]));
    // The executor's own file says how the model was imported, so that it is enough.
    assert_eq!(rebut(at, &["verify", "c"]).0["verdict"], "stands");
    assert_eq!(rebut(at, &["dispute", "c", "--verdict", "v.json"]).1, 0);
    // Of a public claim the inputs tell, or the state before the first layer.
    std::fs::remove_file(at.join("c/executor.json")).unwrap();
    let (report, code) = rebut(at, &["verify", "c", "--model", "m.onnx"]);
    assert_eq!((report["verdict"].as_str(), code), (Some("stands"), 0), "{report}");
    std::fs::remove_file(at.join("c/inputs.npz")).unwrap();
    let (report, code) = rebut(at, &["verify", "c", "--model", "m.onnx", "--layers", "0"]);
    assert_eq!((report["verdict"].as_str(), code), (Some("nothing-found"), 0), "{report}");
    // Flags go before what is inferred: another shape is another model.
    let more = ["--dim", "batch=1", "--shape", "x=1,6"];
    let (report, code) = rebut(at, &[&["verify", "c", "--model", "m.onnx"], &more[..]].concat());
    assert_eq!(code, 2);
    assert!(message(&report).contains("as they are bound here"), "{report}");
}

#[test]
fn what_is_open_is_told_with_the_command_that_binds_it() {
    let folder = prepared();
    let at = folder.path();
    for command in [
        vec!["inspect", "m.onnx"],
        vec!["preflight", "m.onnx"],
        vec!["demo", "--lie", "none", "--model", "m.onnx"],
    ] {
        let (report, code) = rebut(at, &command);
        assert_eq!(code, 2, "{report}");
        let text = message(&report);
        assert!(text.contains("dimension batch of axis 0, unnamed dynamic axis 1"), "{text}");
        let line = text.split("that is: rebut ").nth(1).expect(text);
        let line: Vec<&str> = line.split(' ').filter(|word| *word != "--json").collect();
        assert_eq!(line[..command.len()], command, "{text}");
        let (report, code) = rebut(at, &line);
        assert_eq!(code, 0, "{line:?}: {report}");
    }
    let (report, code) = rebut(at, &["inspect", "m.onnx", "--shape", "x=1,3", "--dim", "foo=3"]);
    assert_eq!(code, 2);
    assert!(message(&report).contains("no dimension foo; it has batch"), "{report}");
}

#[test]
fn every_command_reads_the_options_beside_a_model_and_flags_go_before_them() {
    let folder = prepared();
    let at = folder.path();
    std::fs::write(at.join("m.json"), r#"{"shapes": {"x": [2, 3]}}"#).unwrap();
    let (report, code) = rebut(at, &["inspect", "m.onnx"]);
    assert_eq!(code, 0, "{report}");
    let wanted = serde_json::json!([
        { "name": "x", "element_type": "f32", "shape": [2, 3], "f16_in_file": false }
    ]);
    assert_eq!(report["inputs"], wanted);
    assert_eq!(report["outputs"][0]["name"], "y");
    assert_eq!(report["outputs"][0]["shape"], serde_json::json!([2, 3]));
    assert_eq!(rebut(at, &["preflight", "m.onnx"]).1, 0);
    let (report, code) = rebut(at, &["inspect", "m.onnx", "--shape", "x=4,5"]);
    assert_eq!((report["inputs"][0]["shape"].clone(), code), (serde_json::json!([4, 5]), 0));
    // A file that was given as an input is one.
    std::fs::write(at.join("m.json"), r#"{"x": [[1, 2, 3, 4]]}"#).unwrap();
    let (report, code) = rebut(at, &["run", "m.onnx", "--input", "m.json", "--out", "c"]);
    assert_eq!((&report["inferred"], code), (&serde_json::json!(["batch=1", "x=1,4"]), 0));
    std::fs::write(at.join("m.json"), r#"{"shape": {"x": [2, 3]}}"#).unwrap();
    let (report, code) = rebut(at, &["inspect", "m.onnx"]);
    assert_eq!(code, 2);
    assert!(message(&report).contains("m.json"), "{report}");
}
