//! What the source says: constants, fields, and how many there are of something. Where something is sought
//! in a folder, one file of it must have it, whichever.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// The text of a file of the repository.
pub fn text(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The file at a place, or the one of a folder that says something, with what comes after that.
fn after(place: &str, words: &str) -> (String, String) {
    let is_file = Path::new(env!("CARGO_MANIFEST_DIR")).join(place).is_file();
    let all =
        if is_file { [(place.to_owned(), text(place))].into() } else { files(&[place.to_owned()]) };
    let mut found = all.into_iter().filter_map(|(path, text)| {
        let (_, rest) = text.split_once(words)?;
        Some((path, rest.to_owned()))
    });
    let first = found.next().unwrap_or_else(|| panic!("{place} does not say {words:?}"));
    if let Some((other, _)) = found.next() {
        panic!("{words:?} is in {} and in {other}: name one of them", first.0);
    }
    first
}

/// What stands between two pieces of a text, from the first one on.
pub fn between(place: &str, before: &str, end: &str) -> String {
    let (path, rest) = after(place, before);
    rest.split_once(end).unwrap_or_else(|| panic!("{path}: no {end:?}")).0.trim().to_owned()
}

/// A constant, by its name.
pub fn constant(place: &str, name: &str) -> u128 {
    let (path, rest) = after(place, &format!("const {name}: "));
    let (_, rest) = rest.split_once(" = ").unwrap();
    evaluate(&path, rest.split_once(';').unwrap().0)
}

/// A field in the first value of its name after some words, such as `fn fast()`.
pub fn field(place: &str, words: &str, name: &str) -> u128 {
    let (path, rest) = after(place, words);
    let value = rest.split_once("\n    }\n").unwrap().0;
    let (_, rest) = value
        .split_once(&format!(" {name}: "))
        .unwrap_or_else(|| panic!("{path}: no {name} after {words:?}"));
    evaluate(&path, rest.split_once(",\n").unwrap().0)
}

/// Sums, products, quotients and shifts of numbers and of constants of the same file.
fn evaluate(path: &str, expression: &str) -> u128 {
    let expression = expression.trim().trim_end_matches(')');
    let expression = expression.trim_start_matches("Duration::from_secs(");
    if let Some((left, right)) = expression.rsplit_once("<<") {
        return evaluate(path, left) << evaluate(path, right);
    }
    if let Some((left, right)) = expression.rsplit_once(" + ") {
        return evaluate(path, left) + evaluate(path, right);
    }
    if let Some((left, right)) = expression.rsplit_once([' ', '\n']) {
        let (left, sign) = left.trim_end().split_at(left.trim_end().len() - 1);
        let (left, right) = (evaluate(path, left), evaluate(path, right));
        return match sign {
            "*" => left * right,
            "/" => left / right,
            _ => panic!("{path}: {expression} is more than this test reads"),
        };
    }
    let digits = expression.replace('_', "");
    let plain = match digits.strip_prefix("0x") {
        Some(digits) => u128::from_str_radix(digits, 16).ok(),
        None => digits.parse().ok(),
    };
    plain.unwrap_or_else(|| constant(path, expression))
}

/// The first words of the lines of a list or an enum, from some words to its end.
pub fn items(place: &str, words: &str, end: &str) -> Vec<String> {
    let list = between(place, words, end);
    let lines = list.lines().map(str::trim);
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with(['/', '#']));
    let words = lines.map(|line| {
        let word = line.trim_start_matches(['(', '"', '{', '$']);
        let end = word.find(|one: char| !one.is_alphanumeric() && !"-_".contains(one));
        word[..end.unwrap_or(word.len())].to_owned()
    });
    words.filter(|word| !word.is_empty()).collect()
}

/// The texts between double quotes, from some words to an end.
pub fn quoted(place: &str, words: &str, end: &str) -> Vec<String> {
    between(place, words, end).split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The default of a flag, as the reference of the commands tells it.
pub fn flag(command: &str, flag: &str) -> String {
    let section = between("docs/reference.md", &format!("\n## `rebut {command}`\n"), "\n## ");
    let (_, rest) = section
        .split_once(&format!("      {flag} <"))
        .unwrap_or_else(|| panic!("rebut {command} has no {flag}"));
    let (_, rest) = rest.split_once("[default: ").unwrap();
    rest.split_once(']').unwrap().0.to_owned()
}

/// The rows of the table after a heading: their cells, without marks.
pub fn table(path: &str, head: &str) -> Vec<Vec<String>> {
    let text = text(path);
    let (_, rest) = text.split_once(head).unwrap_or_else(|| panic!("{path}: no table {head}"));
    let rows = rest.lines().skip(2).take_while(|line| line.starts_with('|'));
    rows.map(|row| {
        let row = row.strip_prefix('|').unwrap_or(row);
        let cells = row.strip_suffix('|').unwrap_or(row).split('|');
        cells.map(|cell| cell.replace('`', "").trim().to_owned()).collect()
    })
    .collect()
}

/// A name in one word with small letters and hyphens.
pub fn kebab(name: &str) -> String {
    let mut words = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() && !words.is_empty() {
            words.push('-');
        }
        words.extend(letter.to_lowercase());
    }
    words
}

/// The source files of folders, by their paths from the root.
pub fn files(folders: &[String]) -> BTreeMap<String, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = BTreeMap::new();
    let mut folders: Vec<_> = folders.iter().map(|folder| root.join(folder)).collect();
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                let name = path.strip_prefix(root).unwrap().display().to_string();
                found.insert(name, fs::read_to_string(&path).unwrap());
            }
        }
    }
    found
}
