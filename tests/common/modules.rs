//! Which file of a crate uses which, read from its text.

use std::collections::{BTreeMap, BTreeSet};

/// Path of a module from its crate, such as `["http", "client"]`.
type Path = Vec<String>;

/// The modules of a crate.
pub struct Modules {
    /// Files and their texts without comments, by module.
    modules: BTreeMap<Path, (String, String)>,
}

fn module_of(file: &str) -> Path {
    let name = file.trim_end_matches(".rs");
    let mut path: Path = name.split('/').map(str::to_owned).collect();
    if matches!(path.last().map(String::as_str), Some("mod" | "lib" | "main")) {
        path.pop();
    }
    path
}

fn without_comments(text: &str) -> String {
    let code: Vec<&str> = text.lines().map(|line| line.split("//").next().unwrap_or("")).collect();
    // Who may see something is no use of it.
    code.join("\n").replace("(in crate::", "(in ")
}

/// The single paths of a list such as `a::{b, c::{d, e}}`.
fn spread(text: &str) -> Vec<Path> {
    let text = text.trim();
    let Some(open) = text.find('{') else {
        let plain = text.split(" as ").next().unwrap_or("");
        return vec![plain.split("::").map(|part| part.trim().to_owned()).collect()];
    };
    let prefix: Path = text[..open]
        .split("::")
        .map(|part| part.trim().to_owned())
        .filter(|part| !part.is_empty())
        .collect();
    let inside = text[open + 1..].trim_end().trim_end_matches('}');
    let (mut depth, mut first, mut parts) = (0, 0, Vec::new());
    for (at, one) in inside.char_indices() {
        match one {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&inside[first..at]);
                first = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&inside[first..]);
    // The last brace of an inner list was trimmed with the outer one's.
    let parts = parts.into_iter().map(|part| {
        let missing = part.matches('{').count().saturating_sub(part.matches('}').count());
        format!("{part}{}", "}".repeat(missing))
    });
    parts
        .filter(|part| !part.trim().is_empty())
        .flat_map(|part| spread(&part))
        .map(|part| prefix.iter().cloned().chain(part).collect())
        .collect()
}

/// What a file imports: each path, and whether it is given on.
fn imports(text: &str) -> Vec<(Path, bool)> {
    let mut found = Vec::new();
    for statement in text.split(';') {
        let Some(at) = statement.rfind("use ") else { continue };
        let head = statement[..at].trim_end();
        let is_start =
            head.is_empty() || head.ends_with(['}', ')', ']', '{']) || head.ends_with("pub");
        let body = &statement[at + 4..];
        if is_start && !body.contains('(') && !body.contains('=') {
            let is_public = head.ends_with("pub") || head.ends_with(')');
            found.extend(spread(body).into_iter().map(|path| (path, is_public)));
        }
    }
    found
}

/// Paths in the code itself that begin with `crate` or `super`, or with a module of this one.
fn paths(text: &str, children: &[String]) -> Vec<Path> {
    let is_word = |one: char| one.is_alphanumeric() || one == '_';
    let tokens = text.split(|one: char| !is_word(one) && one != ':');
    let starts = |word: &str| {
        matches!(word, "crate" | "super") || children.iter().any(|child| child == word)
    };
    tokens
        .filter(|token| token.contains("::") && !token.starts_with(':'))
        .map(|token| token.trim_end_matches(':').split("::").map(str::to_owned).collect::<Path>())
        // `crate::{` alone names nothing.
        .filter(|path| path.len() > 1 && path.first().is_some_and(|word| starts(word)))
        .collect()
}

impl Modules {
    /// Of the files of a crate, by their path from its source folder.
    pub fn new(files: &BTreeMap<String, String>) -> Self {
        let one = |(file, text): (&String, &String)| {
            (module_of(file), (file.clone(), without_comments(text)))
        };
        Self { modules: files.iter().map(one).collect() }
    }

    fn children(&self, module: &Path) -> Vec<String> {
        let is_child = |one: &&Path| one.len() == module.len() + 1 && one.starts_with(module);
        self.modules.keys().filter(is_child).filter_map(|one| one.last().cloned()).collect()
    }

    /// The module that defines what a path names, as seen from a module.
    fn defines(&self, from: &Path, path: &[String], depth: u32) -> Option<Path> {
        let mut at: Path = from.clone();
        let mut rest = path;
        match path.first().map(String::as_str)? {
            "crate" => (at, rest) = (Vec::new(), &path[1..]),
            "self" => rest = &path[1..],
            "super" => {
                while rest.first().is_some_and(|part| part == "super") {
                    at.pop();
                    rest = &rest[1..];
                }
            }
            child if self.children(from).iter().any(|one| one == child) => {}
            _ => return None,
        }
        while let Some(part) = rest.first() {
            let deeper: Path = at.iter().cloned().chain([part.clone()]).collect();
            if !self.modules.contains_key(&deeper) {
                break;
            }
            (at, rest) = (deeper, &rest[1..]);
        }
        // What is only given on is defined elsewhere.
        if let (Some(name), true) = (rest.first(), depth < 8) {
            let (_, text) = self.modules.get(&at)?;
            let given = imports(text)
                .into_iter()
                .find(|(path, is_public)| *is_public && path.last() == Some(name));
            if let Some((path, _)) = given
                && let Some(found) = self.defines(&at, &path, depth + 1)
            {
                return Some(found);
            }
        }
        Some(at)
    }

    /// Which file uses which. That a module gives on what a module below it defines is no use of it; what it
    /// gives on from beside it may be used by itself as well.
    pub fn edges(&self) -> BTreeSet<(String, String)> {
        let mut edges = BTreeSet::new();
        for (module, (file, text)) in &self.modules {
            let is_given = |(path, is_public): &(Path, bool)| {
                let home = self.defines(module, path, 0);
                *is_public && home.is_none_or(|home| home.starts_with(module))
            };
            let (given, used): (Vec<_>, Vec<_>) = imports(text).into_iter().partition(is_given);
            let named = paths(text, &self.children(module));
            let given: BTreeSet<Path> = given.into_iter().map(|(path, _)| path).collect();
            let named =
                named.into_iter().filter(|path| !given.iter().any(|one| one.starts_with(path)));
            for path in used.into_iter().map(|(path, _)| path).chain(named) {
                let target = self.defines(module, &path, 0);
                if let Some((other, _)) = target.and_then(|target| self.modules.get(&target))
                    && other != file
                {
                    edges.insert((file.clone(), other.clone()));
                }
            }
        }
        edges
    }
}

/// The sets of files that all use each other, over one another.
pub fn circles(edges: &BTreeSet<(String, String)>) -> Vec<BTreeSet<String>> {
    let mut uses: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (from, to) in edges {
        uses.entry(from).or_default().push(to);
    }
    let reach = |start: &str| {
        let (mut seen, mut next) = (BTreeSet::new(), vec![start.to_owned()]);
        while let Some(one) = next.pop() {
            for other in uses.get(one.as_str()).into_iter().flatten() {
                if seen.insert((*other).to_owned()) {
                    next.push((*other).to_owned());
                }
            }
        }
        seen
    };
    let reached: BTreeMap<String, BTreeSet<String>> =
        uses.keys().map(|file| ((*file).to_owned(), reach(file))).collect();
    let mut found: Vec<BTreeSet<String>> = Vec::new();
    for (file, seen) in reached.iter().filter(|(file, seen)| seen.contains(*file)) {
        if found.iter().any(|circle| circle.contains(file)) {
            continue;
        }
        let back = |other: &&String| reached.get(*other).is_some_and(|seen| seen.contains(file));
        found.push(seen.iter().filter(back).cloned().collect());
    }
    found
}
