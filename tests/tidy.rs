//! Keeps the code in order: no circles of modules, no long files and functions. After rust-analyzer's
//! `xtask/src/tidy.rs`; who may depend on whom among crates is `.ci/layering`.

#![allow(clippy::unwrap_used, unreachable_pub)]

#[path = "common/modules.rs"]
mod modules;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use modules::{Modules, circles};

/// Most lines of a file. What is longer is named here with its reason.
const FILE_LINES_MAX: usize = 500;
const LONG_FILES: [(&str, &str); 0] = [];

/// Most lines of a function. What is longer is a table, and named here.
const FUNCTION_LINES_MAX: usize = 70;
const LONG_FUNCTIONS: [(&str, &str); 0] = [];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Members of the workspace, and the folder of the command.
fn crates() -> Vec<String> {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let members = manifest.lines().find(|line| line.starts_with("members = [")).unwrap();
    let members = members.split('"').skip(1).step_by(2).map(|one| format!("{one}/src"));
    members.chain(["src".to_owned()]).collect()
}

/// The files of a folder, by their path from the root.
fn files(folder: &str) -> BTreeMap<String, String> {
    let (mut found, mut folders) = (BTreeMap::new(), vec![root().join(folder)]);
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                let name = path.strip_prefix(root()).unwrap().display().to_string();
                found.insert(name, fs::read_to_string(&path).unwrap());
            }
        }
    }
    found
}

fn sources() -> BTreeMap<String, String> {
    let found: BTreeMap<_, _> = crates().iter().flat_map(|folder| files(folder)).collect();
    assert!(found.len() > 200, "only {} files found", found.len());
    found
}

/// A file without the tests at its end; nothing of a file that holds tests only.
fn production<'a>(path: &str, text: &'a str) -> &'a str {
    let is_test = ["/tests.rs", "/testing.rs"].iter().any(|end| path.ends_with(end))
        || ["/tests/", "/testing/"].iter().any(|part| path.contains(part));
    let end = text.find("\n#[cfg(test)]\nmod tests {").filter(|_| !is_test);
    if is_test { "" } else { &text[..end.unwrap_or(text.len())] }
}

#[test]
fn files_are_short() {
    let mut long = Vec::new();
    for (path, text) in sources() {
        let lines = text.lines().count();
        let is_named = LONG_FILES.iter().any(|(named, _)| *named == path);
        if lines > FILE_LINES_MAX && !is_named {
            long.push(format!("{path}: {lines} lines"));
        }
        assert!(!is_named || lines > FILE_LINES_MAX, "{path} is short: take it from the list");
    }
    assert!(long.is_empty(), "over {FILE_LINES_MAX} lines:\n{}", long.join("\n"));
}

/// A line without what stands after `//` at its beginning or after a space.
fn without_comment(line: &str) -> &str {
    let start = if line.trim_start().starts_with("//") { Some(0) } else { line.find(" //") };
    line[..start.unwrap_or(line.len())].trim_end()
}

#[test]
fn tests_are_the_last_of_their_file() {
    let mut found = Vec::new();
    for (path, text) in sources() {
        let rest = &text[production(&path, &text).len()..];
        let is_last = rest.find("\n}\n").is_none_or(|at| rest[at + 3..].trim().is_empty());
        if !is_last && rest.starts_with("\n#[cfg(test)]\nmod tests {") {
            found.push(path);
        }
    }
    assert!(found.is_empty(), "production code after the tests: {found:?}");
}

/// Functions of a file with their lines, as rustfmt lays them out.
fn functions(text: &str) -> Vec<(String, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (first, line) in lines.iter().enumerate() {
        let line = without_comment(line);
        let code = line.trim_start();
        let Some((head, rest)) =
            code.strip_prefix("fn ").map(|rest| ("", rest)).or(code.split_once(" fn "))
        else {
            continue;
        };
        let known = ["pub", "const", "async", "unsafe", "default", "extern"];
        // `pub(in crate::one)` and `extern "C"`: what stands in brackets or quotes says nothing here.
        let is_known = |word: &str| {
            let word = word.split(['(', '"']).next().unwrap_or_default();
            word.is_empty() || word.ends_with(')') || known.contains(&word)
        };
        if !head.split_whitespace().all(|word| is_known(word) || word.contains("::")) {
            continue;
        }
        let end = format!("{}}}", &line[..line.len() - code.len()]);
        // A function of a trait may have a head alone.
        let is_end = |line: &&str| {
            let line = without_comment(line);
            line == end || line == end.replace('}', ") -> Self;")
        };
        let is_head = code.ends_with(';') || code.ends_with('}');
        let last = if is_head { Some(0) } else { lines[first..].iter().position(is_end) };
        // One whose end is not found ends with the file, so that it shows.
        let count = last.map_or(lines.len() - first, |at| at + 1);
        let name = rest.split(|one: char| !one.is_alphanumeric() && one != '_').next();
        found.push((name.unwrap_or_default().to_owned(), count));
    }
    found
}

#[test]
fn functions_are_short() {
    let mut long = Vec::new();
    for (path, text) in sources() {
        for (name, lines) in functions(production(&path, &text)) {
            let is_named = LONG_FUNCTIONS.contains(&(path.as_str(), name.as_str()));
            if lines > FUNCTION_LINES_MAX && !is_named {
                long.push(format!("{path}: {name} has {lines} lines"));
            }
        }
    }
    assert!(long.is_empty(), "over {FUNCTION_LINES_MAX} lines:\n{}", long.join("\n"));
}

#[test]
fn no_modules_stand_in_a_circle() {
    let mut found = Vec::new();
    for folder in crates() {
        let files: BTreeMap<String, String> = files(&folder)
            .into_iter()
            .map(|(path, text)| {
                let text = production(&path, &text).to_owned();
                (path[folder.len() + 1..].to_owned(), text)
            })
            .collect();
        let edges = Modules::new(&files).edges();
        for circle in circles(&edges) {
            let ties: Vec<String> = edges
                .iter()
                .filter(|(from, to)| circle.contains(from) && circle.contains(to))
                .map(|(from, to)| format!("  {from} uses {to}"))
                .collect();
            found.push(format!("{folder}: {} files\n{}", circle.len(), ties.join("\n")));
        }
    }
    assert!(found.is_empty(), "circles of modules:\n{}", found.join("\n"));
}

#[test]
fn the_checks_find_what_they_are_for() {
    let body = "        one();\n".repeat(80);
    for head in [
        "fn",
        "pub(crate) async fn",
        "pub(in crate::http) fn",
        "pub extern \"C\" fn",
        "pub const fn",
    ] {
        for (first, last) in [("(", ""), ("() { // one;", " // end")] {
            let long = format!("    {head} wide{first}\n{body}    }}{last}\n");
            assert_eq!(functions(&long), [("wide".to_owned(), 82)], "{long}");
        }
    }
    assert_eq!(functions("// has fn in it\nlet one: fn (u32) = two;\n"), []);
    assert!(!production("one/src/testing_nothing/two.rs", "fn one() {}\n").is_empty());
    assert!(production("one/src/testing/two.rs", "fn one() {}\n").is_empty());
    for hidden in ["cov_mark::hit![x];", "cov_mark::hit! (x);", "use ::cov_mark::hit as h;"] {
        assert!(hides_marks(hidden), "{hidden}");
    }
    assert_eq!(
        marks(
            "// cov_mark::check!(one);\ncov_mark::check!(two); // cov_mark::check!(three);\n",
            "check"
        ),
        ["two"]
    );
    let file = |path: &str, text: &str| (path.to_owned(), text.to_owned());
    let files: BTreeMap<String, String> = [
        file("lib.rs", "mod one;\nmod two;\npub use two::inner::Deep;\n"),
        file("one.rs", "use crate::{two::{Two, Other}, x};\n"),
        file("two/mod.rs", "mod inner;\nuse self::inner::Deep;\n"),
        file("two/inner.rs", "fn run() { crate::three::go() }\n"),
        file("three.rs", "use crate::Deep;\n"),
    ]
    .into();
    let edges = Modules::new(&files).edges();
    let expected = [
        ("one.rs", "two/mod.rs"),
        ("three.rs", "two/inner.rs"),
        ("two/inner.rs", "three.rs"),
        ("two/mod.rs", "two/inner.rs"),
    ];
    for (from, to) in expected {
        assert!(edges.contains(&(from.to_owned(), to.to_owned())), "{from} uses {to}: {edges:?}");
    }
    let beside: BTreeMap<String, String> = [
        file("lib.rs", "mod one;\nmod two;\n"),
        file("one.rs", "pub(crate) use crate::two::B;\nfn run(_: B) {}\n"),
        file("two.rs", "use crate::one;\n"),
    ]
    .into();
    assert_eq!(circles(&Modules::new(&beside).edges()).len(), 1);
    let circle: BTreeSet<String> = ["three.rs", "two/inner.rs"].map(str::to_owned).into();
    assert_eq!(circles(&edges), [circle]);
    let hit = |name: &str| format!("cov_mark::hit!({name});\n");
    let test = format!("\n#[cfg(test)]\nmod tests {{\n{}}}\n", hit("of_a_test"));
    let one = [
        file("one/src/lib.rs", &format!("{}{}{test}", hit("good"), hit("alone"))),
        file("one/src/two.rs", &format!("{}use cov_mark::check;\n", hit("good"))),
        file("one/src/two/tests.rs", "cov_mark::check!(good);\ncov_mark::check_count!(none, 2);\n"),
    ];
    let other = [file("other/src/tests.rs", "cov_mark::check!(good);\n")];
    let crates = [("one".to_owned(), one.into()), ("other".to_owned(), other.into())].into();
    let faults = faults_of_marks(&crates);
    let expected = ["good is a mark of", "are called as", "checks alone", "hits none", "hits good"];
    assert_eq!(faults.len(), expected.len(), "{faults:?}");
    for (fault, expected) in faults.iter().zip(expected) {
        assert!(fault.contains(expected), "{fault}");
    }
}

/// What a file says inside of `cov_mark::MACRO!(…)`, up to a comma; comments say nothing.
fn marks<'a>(text: &'a str, named: &str) -> Vec<&'a str> {
    let call = format!("cov_mark::{named}!(");
    let calls = text.lines().flat_map(|line| without_comment(line).split(&call).skip(1));
    calls.filter_map(|rest| rest.split([')', ',']).next()).collect()
}

/// Whether a file names the marks' crate in another way than by a call: it would not be found.
fn hides_marks(text: &str) -> bool {
    let calls = ["hit!(", "check!(", "check_count!("].map(|call| format!("::{call}"));
    let mut named = text.lines().flat_map(|line| without_comment(line).split("cov_mark").skip(1));
    named.any(|rest| !calls.iter().any(|call| rest.starts_with(call)))
}

/// What is wrong with the marks of these files, by crate: each is hit in one place, and checked in a test of
/// its crate.
fn faults_of_marks(crates: &BTreeMap<String, BTreeMap<String, String>>) -> Vec<String> {
    let (mut faults, mut places) = (Vec::new(), BTreeMap::new());
    for (folder, files) in crates {
        let all = files.values().flat_map(|text| marks(text, "check"));
        let counted = files.values().flat_map(|text| marks(text, "check_count"));
        let checked: BTreeSet<&str> = all.chain(counted).collect();
        let mut hit = BTreeSet::new();
        for (path, text) in files {
            for name in marks(production(path, text), "hit") {
                hit.insert(name);
                if let Some(other) = places.insert(name.to_owned(), path.clone()) {
                    faults.push(format!("{path}: {name} is a mark of {other} as well"));
                }
            }
            // Under another name they would not be found here.
            if hides_marks(text) {
                faults.push(format!(
                    "{path}: marks are called as cov_mark::hit! and cov_mark::check!"
                ));
            }
        }
        faults
            .extend(hit.difference(&checked).map(|name| format!("{folder}: nobody checks {name}")));
        faults.extend(checked.difference(&hit).map(|name| format!("{folder}: nobody hits {name}")));
    }
    faults
}

#[test]
fn every_mark_is_checked_and_every_check_names_a_mark() {
    let crates: BTreeMap<_, _> =
        crates().into_iter().map(|folder| (folder.clone(), files(&folder))).collect();
    let found = crates.values().flat_map(BTreeMap::values).map(|text| marks(text, "hit").len());
    assert!(found.sum::<usize>() > 30, "the marks were not found");
    let faults = faults_of_marks(&crates);
    assert!(faults.is_empty(), "marks:\n{}", faults.join("\n"));
}

#[test]
fn files_that_documents_name_are_there() {
    let mut missing = Vec::new();
    for (document, text) in documents() {
        // Odd parts are inside of single or triple backticks.
        for name in text.split('`').skip(1).step_by(2) {
            let is_path = name.contains('/')
                && name.chars().all(|one| one.is_ascii_alphanumeric() || "./_-".contains(one));
            let folder = name.split('/').next().unwrap_or_default();
            let is_ours = is_path && root().join(folder).is_dir() && !folder.is_empty();
            // What a build or a command makes is not there yet.
            let is_made = ["target", "pages"].contains(&folder);
            if is_ours && !is_made && !root().join(name).exists() {
                missing.push(format!("{document}: {name}"));
            }
        }
    }
    assert!(missing.is_empty(), "documents name what is not there:\n{}", missing.join("\n"));
}

/// The documents by their names.
fn documents() -> Vec<(String, String)> {
    let folders = ["", "docs", "docs/adr"].map(|folder| root().join(folder));
    let entries = folders.iter().flat_map(|folder| fs::read_dir(folder).unwrap());
    let paths = entries.map(|entry| entry.unwrap().path());
    let found: Vec<_> = paths
        .filter(|path| path.extension().is_some_and(|end| end == "md"))
        .map(|path| (path.display().to_string(), fs::read_to_string(&path).unwrap()))
        .collect();
    assert!(found.len() > 10);
    found
}
