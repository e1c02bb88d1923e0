//! Settings from files, environment and flags: what holds, where it comes from, what is wrong.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;
use std::process::Command;

fn rebut(folder: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> (String, i32) {
    let output = Command::new(env!("CARGO_BIN_EXE_rebut"))
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .envs(environment.iter().copied())
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    (String::from_utf8(text).unwrap(), output.status.code().unwrap())
}

const GOOD: &str = r#"
[common]
ledger = "http://10.0.0.1:8645"
threads = 2

[executor.serve]
models = "models"
bail-out = true
threads = 3

[challenger.run]
mode = "watch"
"#;

const BAD: &str = r#"
[common]
threads = "many"
[executor.serv]
models = "models"
[challenger.run]
mod = "watch"
mode = "sleep"
sample-permille = 2000
dry-run = 3
ledger = 1.5
dev = "bank"
"#;

#[test]
fn flags_go_before_the_environment_before_the_file_before_defaults() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("rebut.toml"), GOOD).unwrap();
    let shown = |more: &[&str], environment: &[(&str, &str)]| {
        let words = [&["--config", "rebut.toml", "config", "show", "--origin"], more].concat();
        let (text, code) = rebut(folder.path(), &words, environment);
        assert_eq!(code, 0, "{text}");
        text
    };
    insta::assert_snapshot!("configuration", shown(&[], &[("REBUT_MODE", "defend")]));
    let words = ["--", "executor", "serve", "--ledger", "http://10.0.0.2:1"];
    insta::assert_snapshot!("configuration_of_a_call", shown(&words, &[("REBUT_THREADS", "7")]));
}

#[test]
fn everything_that_is_wrong_is_told_at_once_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("bad.toml"), BAD).unwrap();
    let environment = [("REBUT_CONFIG", "bad.toml"), ("REBUT_LISTEN", "nowhere")];
    let (text, code) = rebut(folder.path(), &["config", "check"], &environment);
    assert_eq!(code, 1);
    insta::assert_snapshot!("configuration_problems", text);
    // Nothing runs on half of a configuration.
    let (text, code) = rebut(folder.path(), &["ledger", "status"], &environment[..1]);
    assert_eq!(code, 2);
    assert!(text.contains("bad.toml:3") && text.contains("bad.toml:11"), "{text}");
    let (text, code) = rebut(folder.path(), &["ledger", "status", "--config", "none.toml"], &[]);
    assert!(code == 2 && text.contains("none.toml: there is no such file"), "{text}");
}

#[test]
fn the_example_is_a_configuration_when_its_settings_are_switched_on() {
    let folder = tempfile::tempdir().unwrap();
    let (example, code) = rebut(folder.path(), &["config", "example"], &[]);
    assert_eq!(code, 0);
    let on: String = example
        .lines()
        .map(|line| match line.strip_prefix("# ") {
            // Texts that have no default are left to whoever fills them in.
            Some(setting) if setting.contains(" = ") && !setting.ends_with("\"\"") => setting,
            _ => line,
        })
        .map(|line| format!("{line}\n"))
        .collect();
    std::fs::write(folder.path().join("rebut.toml"), on).unwrap();
    let (text, code) = rebut(folder.path(), &["--config", "rebut.toml", "config", "check"], &[]);
    assert_eq!(code, 0, "{text}");
}

#[test]
fn the_reference_is_what_the_commands_say() {
    let (made, _) = rebut(Path::new("."), &["documents", "reference"], &[]);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference.md");
    if std::env::var_os("REBUT_BLESS").is_some() {
        std::fs::write(&path, &made).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == made,
        "docs/reference.md is old: REBUT_BLESS=1 cargo test --test configuration"
    );
}
