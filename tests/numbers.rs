//! Numbers in documents are the source's: a row of a table says in which words a number stands, and where
//! the truth is. What a document counts and no row knows is told as well, and so are names that a table of a
//! document lacks, and amounts and times without their unit.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, unreachable_pub)]

#[path = "common/figures.rs"]
mod figures;
#[path = "common/sources.rs"]
mod sources;
#[path = "common/truths.rs"]
mod truths;

use std::collections::{BTreeMap, BTreeSet};

use figures::{Document, documents};
use sources::{between, files, items, kebab, quoted, table, text};

/// What documents count: a number over two before one of these needs a row, or a place below.
const COUNTED: &[&str] = &[
    "accounts",
    "actions",
    "addresses",
    "alerts",
    "attesters",
    "bytes",
    "challengers",
    "checks",
    "children",
    "choices",
    "clocks",
    "columns",
    "commands",
    "connections",
    "crates",
    "crashes",
    "defects",
    "demands",
    "elements",
    "eth",
    "ether",
    "examples",
    "files",
    "functions",
    "gates",
    "gib",
    "hashes",
    "hours",
    "images",
    "invariants",
    "items",
    "jobs",
    "kb",
    "kib",
    "kills",
    "lanes",
    "layers",
    "leaves",
    "levels",
    "lies",
    "lines",
    "looks",
    "messages",
    "methods",
    "metrics",
    "mib",
    "minutes",
    "models",
    "openings",
    "operators",
    "pairs",
    "parameters",
    "presets",
    "products",
    "programs",
    "queues",
    "receipts",
    "refutations",
    "requests",
    "roles",
    "roots",
    "rows",
    "s",
    "scenarios",
    "seconds",
    "segments",
    "sets",
    "states",
    "steps",
    "strategies",
    "streams",
    "tags",
    "targets",
    "threads",
    "tries",
    "uploads",
    "values",
    "verifiers",
    "words",
];

/// Counts of other things than the source, by document, and what they are.
const OTHER: &[(&str, &[&str], &str)] = &[
    ("inference/src/isolated.rs", &["eight bytes"], "the width of a number"),
    ("src/amount.rs", &["0.5 eth"], "an example"),
    (
        "docs/attacks.md",
        &["24 addresses", "2,048 addresses", "six seconds"],
        "an attack that was found",
    ),
    (
        "README.md",
        &["4.6 minutes", "31 s", "2,600 bytes", "8,488 bytes", "5 openings", "2.2 kb"],
        "measured",
    ),
    ("CONTRIBUTING.md", &["twenty minutes"], "measured"),
    ("docs/protocol.md", &["32 bytes", "20 bytes", "4 bytes"], "the width of a type"),
    ("docs/protocol.md", &["four roots"], "of a run"),
    (
        "docs/adr/0010-an-ordinary-run-is-a-list-of-one.md",
        &["three refutations"],
        "those of iterations",
    ),
    ("docs/adr/0010-an-ordinary-run-is-a-list-of-one.md", &["32 bytes"], "the width of a root"),
    ("docs/protocol.md", &["sixteen challengers", "fourteen demands"], "an attack that was found"),
    ("protocol/src/asks/mod.rs", &["three words"], "what an ask is made of"),
    ("docs/glossary.md", &["32 lanes"], "those of the protocol"),
    (
        "docs/engine.md",
        &[
            "thousand elements",
            "524 kb",
            "85 bytes",
            "three levels",
            "4 threads",
            "four threads",
            "24 files",
            "5 files",
            "6 openings",
        ],
        "measured, or what was measured",
    ),
    (
        "docs/simulation.md",
        &[
            "1,863 s",
            "61 s",
            "0.0499 ether",
            "6 s",
            "4 s",
            "8 s",
            "16 s",
            "12 s",
            "0.001 ether",
            "0.002 ether",
            "0.004 ether",
            "0.010 ether",
        ],
        "measured, or what was measured",
    ),
    ("docs/simulation.md", &["60 s", "64 demands"], "values of before that lost"),
    (
        "docs/simulation.md",
        &[
            "0.4 s",
            "0.1 ether",
            "0.12 ether",
            "3.2 s",
            "5 s",
            "10 s",
            "15 s",
            "20 s",
            "45 s",
            "90 s",
            "120 s",
            "four lies",
            "16 challengers",
        ],
        "what sweeps of parameters vary, and what follows",
    ),
    (
        "docs/simulation.md",
        &["ten minutes", "six checks"],
        "what a reader needs; what is named after it",
    ),
    ("docs/ARCHITECTURE.md", &["4 threads"], "what a test runs"),
    (
        "docs/ARCHITECTURE.md",
        &["256 bytes", "85 bytes", "six openings", "four levels", "1,000 kills"],
        "measured",
    ),
    ("docs/dependencies.md", &["ten lines", "three lines"], "a guess"),
    ("docs/operating.md", &["0.5 eth"], "an example"),
    (
        "docs/operating.md",
        &[
            "eight seconds",
            "30 seconds",
            "8 s",
            "18 minutes",
            "183 jobs",
            "99,840 jobs",
            "1.8 s",
            "64 s",
        ],
        "measured",
    ),
    ("docs/glossary.md", &["4 bytes"], "the width of a type"),
    ("docs/adr/0003-a-step-is-sixty-four-products.md", &["4,096 products"], "an example"),
    ("docs/adr/0007-crates-by-who-needs-them.md", &["seven functions"], "what was before"),
    ("docs/reference.md", &["0.5 eth", "64 children"], "an example"),
];

/// Folders of the workspace's sources.
fn crates() -> Vec<String> {
    let members = between("Cargo.toml", "members = [", "]");
    let members = members.split('"').skip(1).step_by(2).map(|one| format!("{one}/src"));
    members.chain(["src".to_owned()]).collect()
}

fn read() -> Vec<Document> {
    documents(&files(&crates()).into_keys().collect::<Vec<_>>())
}

#[test]
fn numbers_in_documents_are_the_source_s() {
    let documents = read();
    let mut wrong = Vec::new();
    for (words, truth) in truths::truths() {
        let found: Vec<_> = documents.iter().flat_map(|document| document.find(words)).collect();
        if found.is_empty() {
            wrong.push(format!("no document says {words:?} any more: take the row out"));
        }
        let false_ones = found.iter().filter(|found| found.number != truth);
        wrong.extend(false_ones.map(|found| {
            let line = found.document.words[found.at].line;
            format!(
                "{}:{line}: {words:?} is {}, and {truth} in truth",
                found.document.path, found.number
            )
        }));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_documents_count_has_a_row() {
    let truths = truths::truths();
    let mut unknown = Vec::new();
    for document in &read() {
        let known = truths.iter().flat_map(|(words, _)| document.find(words)).map(|found| found.at);
        let known: BTreeSet<usize> = known.collect();
        let counts = document.counts(COUNTED, &known);
        let others = OTHER.iter().filter(|(path, ..)| *path == document.path);
        let others: Vec<&str> = others.flat_map(|(_, counts, _)| *counts).copied().collect();
        for other in &others {
            if !counts.iter().any(|(_, count)| count == other) {
                unknown.push(format!("{} no longer says {other:?}: take it out", document.path));
            }
        }
        let news = counts.iter().filter(|(_, count)| !others.contains(&count.as_str()));
        unknown.extend(news.map(|(line, count)| format!("{}:{line}: {count}", document.path)));
    }
    assert!(unknown.is_empty(), "no row says where these are counted:\n{}", unknown.join("\n"));
}

/// That a table's first names are the source's.
fn compare(what: &str, documented: Vec<String>, truth: Vec<String>) {
    let [documented, truth] = [documented, truth].map(BTreeSet::from_iter);
    assert!(truth.len() > 3, "{what}: found only {truth:?}");
    let missing: Vec<&String> = truth.difference(&documented).collect();
    let made_up: Vec<&String> = documented.difference(&truth).collect();
    assert!(missing.is_empty(), "{what}: not in the document: {missing:?}");
    assert!(made_up.is_empty(), "{what}: not in the source: {made_up:?}");
}

fn first_cells(path: &str, head: &str) -> Vec<String> {
    table(path, head).into_iter().map(|row| row[0].clone()).collect()
}

#[test]
fn tables_name_what_the_source_has() {
    let protocol = "docs/protocol.md";
    let transaction = "protocol/src";
    let actions = quoted(transaction, "/// Name of the action, as users read it.", "\n    }\n");
    compare("actions", first_cells(protocol, "| action | who | needs | does |"), actions);
    let parameters = between("protocol/src", "canonical_struct!(Parameters {", "});");
    let parameters = parameters.split(',').map(|name| name.trim().to_owned());
    let parameters: Vec<String> = parameters.filter(|name| !name.is_empty()).collect();
    let found = first_cells(protocol, "| parameter | default | bounds, checked at genesis |");
    compare("parameters", found, parameters);
    let refutations =
        between("protocol/src/asks/refutation.rs", "canonical_enum!(Refutation {", "});");
    let refutations = refutations.split("=> ").skip(1).map(|rest| {
        let name = rest.split(' ').next().unwrap();
        kebab(name).replace('-', " ")
    });
    let found = first_cells(protocol, "| refutation | fraud when |");
    compare("refutations", found, refutations.collect());
    let tags = between("protocol/src", "pub enum Tag {", "\n}");
    let tags = tags.split("= 0x").skip(1).map(|rest| rest[..2].to_owned());
    let found = table(protocol, "| tag | structure | tag | structure |");
    let found = found.into_iter().flat_map(|row| [row[0].clone(), row[2].clone()]);
    let found = found.filter(|tag| !tag.is_empty());
    compare("tags", found.collect(), tags.collect());

    let simulation = "docs/simulation.md";
    let invariants = quoted("simulation/src/invariants/names.rs", "Invariant {", "\n    }");
    compare("invariants", first_cells(simulation, "| invariant | says |"), invariants);
    let lies = items("dispute/src", "NAMED: &'static [(&'static str, Self)] = &[", "];");
    let found = first_cells(simulation, "| lie | what is wrong | expected outcome |");
    let found = found.iter().flat_map(|cell| cell.split(", ")).map(str::to_owned);
    compare("lies", found.filter(|lie| !lie.contains(':')).collect(), lies);
    let catalogue = ["mod", "honest", "after", "asking", "chaos"]
        .map(|name| text(&format!("simulation/src/strategy/catalogue/{name}.rs")))
        .concat();
    // A row of the catalogue begins a line with its name, its source, its outcomes and its summary.
    let strategies = catalogue.split("\n        \"").skip(1).map(|entry| {
        let texts: Vec<&str> = entry.split('"').step_by(2).take(4).collect();
        let source = if texts[1].is_empty() { "–" } else { texts[1] };
        [texts[0], source, &texts[2].replace('|', " / "), texts[3]].join(" | ")
    });
    let found = table(simulation, "| strategy | side | source | must end as | |");
    let found = found.into_iter().map(|row| [&*row[0], &*row[2], &*row[3], &*row[4]].join(" | "));
    compare("strategies", found.collect(), strategies.collect());
}

#[test]
fn the_readme_names_every_command() {
    let reference = text("docs/reference.md");
    let headings = reference.lines().filter_map(|line| line.strip_prefix("## `rebut "));
    let all: Vec<&str> = headings.map(|name| name.trim_end_matches('`')).collect();
    let is_leaf = |name: &&&str| !all.iter().any(|other| other.starts_with(&format!("{name} ")));
    // What daemons start, not people.
    let leaves = all.iter().filter(is_leaf).filter(|name| **name != "run-worker");
    let named = table("README.md", "| command | does |");
    let named = named.iter().flat_map(|row| row[0].split(", ")).map(|command| {
        let words = command.split(' ').skip(1);
        let is_word = |word: &&str| word.chars().all(|one| one.is_ascii_lowercase() || one == '-');
        words.take_while(is_word).collect::<Vec<_>>().join(" ")
    });
    compare("commands", named.collect(), leaves.map(|name| (*name).to_owned()).collect());
}

#[test]
fn dependencies_are_documented_with_their_versions() {
    let manifest = between("Cargo.toml", "[workspace.dependencies]", "\nchallenger = ");
    let dependencies: BTreeMap<&str, &str> = manifest
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once(" = "))
        .map(|(name, rest)| (name, rest.split('"').nth(1).unwrap().trim_start_matches('=')))
        .collect();
    let mut documented = BTreeMap::new();
    for row in table("docs/dependencies.md", "| crate | why |") {
        for one in row[0].split(", ") {
            let mut words = one.split(' ');
            if let (Some(name), Some(version)) = (words.next(), words.next()) {
                documented.insert(name.to_owned(), version.to_owned());
            }
        }
    }
    for (name, version) in dependencies {
        let said = documented.get(name).unwrap_or_else(|| panic!("{name} is not in the document"));
        let is_right = version == said || version.starts_with(&format!("{said}."));
        assert!(is_right, "{name} is {version}, and {said} in docs/dependencies.md");
    }
}

/// Crates whose amounts and times are money's and the ledger's.
const UNITS: [&str; 6] = ["protocol", "ledger", "node", "executor", "challenger", "dispute"];

/// Where numbers of 128 bits are no amounts.
const NO_AMOUNTS: [(&str, &str); 1] = [("protocol/src/numerics/", "significands of floats")];

/// Fields and parameters of a file with their types; not what is bound inside of functions.
fn typed(text: &str) -> Vec<(usize, String, String)> {
    let mut found = Vec::new();
    for (line, code) in text.lines().enumerate() {
        let code = code.split("//").next().unwrap_or_default();
        let is_bound = code.trim_start().starts_with("let ");
        let of_closure = |at: usize| code[..at].matches('|').count() % 2 == 1;
        for (at, _) in code.match_indices(": ").filter(|(at, _)| !is_bound && !of_closure(*at)) {
            let is_name = |one: char| one.is_alphanumeric() || one == '_';
            let name = code[..at].rsplit(|one| !is_name(one)).next().unwrap_or_default();
            let kind = code[at + 2..].trim_start_matches("&").trim_start_matches("mut ");
            let kind = kind.trim_start_matches("Option<").trim_start_matches("Vec<");
            let kind = kind.split(|one| !is_name(one)).next().unwrap_or_default();
            // Constants are in capitals.
            if name.starts_with(|one: char| one.is_lowercase()) {
                found.push((line + 1, name.to_owned(), kind.to_owned()));
            }
        }
    }
    found
}

#[test]
fn amounts_and_times_end_in_their_unit() {
    let ends = |name: &str, unit: &str| {
        let name = name.trim_end_matches("_min").trim_end_matches("_max");
        name == unit || name.ends_with(&format!("_{unit}"))
    };
    let numbers = ["u8", "u16", "u32", "u64", "u128", "usize", "i64", "i128", "f32", "f64"];
    let (mut wrong, mut amounts, mut times) = (Vec::new(), 0, 0);
    for (path, text) in files(&UNITS.map(|one| format!("{one}/src"))) {
        for (line, name, kind) in typed(&text) {
            let is_known = NO_AMOUNTS.iter().any(|(folder, _)| path.starts_with(folder));
            if kind == "u128" && !is_known {
                amounts += 1;
                if !ends(&name, "wei") {
                    wrong.push(format!("{path}:{line}: {name} is an amount: end it in _wei"));
                }
            }
            if numbers.contains(&&*kind) && (ends(&name, "ms") || ends(&name, "s")) {
                times += 1;
                if kind != "u64" {
                    wrong
                        .push(format!("{path}:{line}: {name} is a time: make it a u64, no {kind}"));
                }
            }
        }
    }
    assert!(amounts > 50 && times > 50, "found only {amounts} amounts and {times} times");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_checks_find_what_they_are_for() {
    let document =
        Document::new("a.md", "# 6. Segments\n\nIn segments of `64`\nproducts, 2^3 words; of");
    let found = document.find("segments of {} products");
    assert_eq!(found.iter().map(|found| &*found.number).collect::<Vec<_>>(), ["64"]);
    let known = found.iter().map(|found| found.at).collect();
    let counts = |known| document.counts(&["segments", "products", "words"], known);
    assert_eq!(counts(&known), [(4, "2^3 words".to_owned())]);
    assert_eq!(counts(&BTreeSet::new()).len(), 2);
    let code = "fn lock(stake: u128, of: &str) {\n    let left: u128 = sum(|one: u128| one);\n    since_ms: u32,";
    let found: Vec<String> = typed(code).into_iter().map(|(_, name, _)| name).collect();
    assert_eq!(found, ["stake", "of", "since_ms"]);
}
